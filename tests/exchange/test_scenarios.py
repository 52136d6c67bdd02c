"""S1 to S4: a followed patient goes in and out of hospital, a discharge that never was, an INS withdrawn."""

from __future__ import annotations

import itertools
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from exchange.conftest import House
from exchange.pam import adt, ins, ipp
from icops_fhir.fhir.json import canonical

EXAMPLE = Path(__file__).parents[2] / "examples" / "pathway"


def message(name: str) -> bytes:
    return next(EXAMPLE.glob(f"{name}-*.hl7")).read_bytes()


@pytest.fixture
def followed(house: House) -> House:
    return follow(house)


def follow(house: House) -> House:
    """The example patient, her plan, her care team and her Tasks, as a FHIR client loads them."""
    text = (EXAMPLE / "pathway.json").read_text(encoding="utf-8")
    entries = json.loads(text)["entry"]
    for entry in entries:
        text = text.replace(entry["fullUrl"], f"{entry['resource']['resourceType']}/{uuid.uuid5(uuid.NAMESPACE_URL, entry['fullUrl'])}")
    for entry, url in zip(json.loads(text)["entry"], (e["fullUrl"] for e in entries)):
        house.put({**entry["resource"], "id": str(uuid.uuid5(uuid.NAMESPACE_URL, url))})
    return house


def tasks(house: House) -> dict[str, str]:
    return {t["id"]: t["status"] for t in house.find("Task")}


def stays(house: House) -> list[dict[str, Any]]:
    return [e for e in house.find("Encounter") if "partOf" not in e]


def test_s1_emergency_then_ward_is_one_stay_of_the_followed_patient(followed: House) -> None:
    before = tasks(followed)
    teams = followed.find("CareTeam")
    followed.ok(message("s1-1"), message("s1-2"))

    assert len(stays(followed)) == 1
    assert stays(followed)[0]["class"]["code"] == "IMP"
    assert len([e for e in followed.find("Encounter") if "partOf" in e]) == 2
    patients = followed.find("Patient")
    assert len(patients) == 1
    assert len(patients[0]["telecom"]) == 1
    assert len(patients[0]["address"]) == 1
    after = tasks(followed)
    assert set(before) < set(after)
    assert "on-hold" in after.values()
    assert len(followed.find("CareTeam")) == 1
    assert len(followed.find("CareTeam")[0]["participant"]) == len(teams[0]["participant"])


def test_s2_and_s3_a_discharge_announced_done_undone_and_done_again(followed: House) -> None:
    followed.ok(message("s1-1"), message("s1-2"))
    inside = tasks(followed)
    followed.ok(message("s2-1"))
    announced = set(tasks(followed)) - set(inside)
    assert announced
    followed.ok(message("s2-2"))
    assert stays(followed)[0]["status"] == "finished"
    discharged = set(tasks(followed)) - set(inside) - announced
    assert discharged

    followed.ok(message("s3-1"))
    assert stays(followed)[0]["status"] == "in-progress"
    assert {tasks(followed)[id_] for id_ in discharged} <= {"cancelled"}
    followed.ok(message("s3-2"))
    again = set(tasks(followed)) - set(inside) - announced - discharged
    assert again
    assert stays(followed)[0]["status"] == "finished"
    followed.ok(message("s3-3"))
    assert stays(followed)[0]["period"]["end"].startswith("2026-09-11T16:00")


def test_replaying_all_of_it_changes_nothing(followed: House) -> None:
    names = ("s1-1", "s1-2", "s2-1", "s2-2", "s3-1", "s3-2", "s3-3")
    followed.ok(*map(message, names))
    sequence = followed.store.sequence

    followed.ok(*map(message, names))

    assert followed.store.sequence == sequence


def test_an_admission_that_comes_after_its_discharge_makes_no_task(followed: House) -> None:
    followed.ok(message("s2-2"))
    before = tasks(followed)
    followed.ok(message("s1-2"), message("s2-1"))

    assert tasks(followed) == before
    assert stays(followed)[0]["status"] == "finished"


def test_a_historic_movement_makes_no_task(followed: House) -> None:
    before = tasks(followed)
    followed.ok(*[message(name).replace(b"|INSERT|N|", b"|INSERT|Y|") for name in ("s1-1", "s1-2", "s2-1", "s2-2")])

    assert tasks(followed) == before
    assert stays(followed)[0]["status"] == "finished"


def test_a_patient_without_a_plan_is_stored_silently(house: House) -> None:
    house.ok(message("s1-1"), message("s1-2"), message("s2-1"), message("s2-2"))

    assert house.find("Task") == []
    assert house.find("Communication") == []
    assert stays(house)[0]["status"] == "finished"


def test_a_cancellation_before_its_discharge_leaves_no_open_task(followed: House) -> None:
    followed.ok(message("s1-1"), message("s1-2"))
    before = tasks(followed)
    followed.ok(message("s3-1"), message("s2-2"))

    assert stays(followed)[0]["status"] == "in-progress"
    assert {status for id_, status in tasks(followed).items() if id_ not in before} <= {"cancelled"}


def test_a_correction_that_comes_before_its_discharge_dates_the_same_tasks() -> None:
    told = []
    for order in (("s3-2", "s3-3"), ("s3-3", "s3-2")):
        house = follow(House())
        house.ok(*map(message, ("s1-1", "s1-2", *order)))
        told.append({t["id"]: (t["status"], canonical(t.get("restriction", {})), canonical(t.get("executionPeriod", {}))) for t in house.find("Task")})
        house.store.close()

    assert told[0] == told[1]


def test_any_order_of_the_whole_story_ends_in_the_same_stay(followed: House) -> None:
    names = ("s1-2", "s2-2", "s3-1", "s3-2")
    seen = []
    for order in itertools.islice(itertools.permutations(names), 0, None, 5):
        house = House()
        house.ok(*map(message, (*order, "s3-3")))
        stay = stays(house)[0]
        seen.append((stay["status"], stay["period"], stay["class"]["code"], sorted((m["identifier"][0]["value"], m["status"]) for m in house.movements())))
        house.store.close()

    assert all(one == seen[0] for one in seen)
    assert seen[0][0] == "finished"


def test_s4_an_ins_withdrawn_is_nowhere_current_and_those_told_are_listed(followed: House) -> None:
    number, qualified = ipp("8800114").replace("HOP&1.2.250.1.999.5&ISO", "CHU-LYS&690990017&N"), "248026938311421"
    followed.ok(message("s1-1"))
    followed.ok(adt("A47", "20260912080000", facility="CHU-LYS", numbers=f"{number}~{ins(chr(34) * 2)}", dossier="", before=(f"MRG|{ins(qualified)}",)))

    patient = followed.find("Patient")[0]
    assert qualified not in canonical(patient).decode()
    assert followed.find("Patient", identifier=f"urn:oid:1.2.250.1.213.1.4.10|{qualified}") == []
    warned = [t for t in followed.find("Task") if t.get("code", {}).get("coding", [{}])[0].get("code") == "ins-withdrawn"]
    assert len(warned) == 1
    members = {p["member"]["reference"] for p in followed.find("CareTeam")[0]["participant"]}
    assert members <= {i["valueReference"]["reference"] for i in warned[0]["input"]}


def test_a_historic_cancellation_takes_the_tasks_of_its_movement_back_and_tells_nobody(followed: House) -> None:
    followed.ok(message("s1-1"), message("s1-2"))
    before = tasks(followed)
    followed.ok(message("s2-2"))
    made = set(tasks(followed)) - set(before)
    told = len(followed.find("Communication"))
    followed.ok(message("s3-1").replace(b"|CANCEL|N|", b"|CANCEL|Y|"))

    assert made
    assert {tasks(followed)[id_] for id_ in made} == {"cancelled"}
    assert len(followed.find("Communication")) == told
    assert stays(followed)[0]["status"] == "in-progress"


def test_a_historic_death_stops_everything_and_tells_nobody(followed: House) -> None:
    followed.ok(message("s1-1"), message("s1-2"))
    told = len(followed.find("Communication"))
    followed.ok(message("s2-2").replace(b"|INSERT|N|", b"|INSERT|Y|").replace(b"ZFM||8||9", b"ZFM||9"))

    assert set(tasks(followed).values()) == {"cancelled"}
    assert len(followed.find("Communication")) == told


def test_a_death_the_hospital_took_back_before_it_arrived_stops_nothing(followed: House) -> None:
    followed.ok(message("s1-1"))
    before = tasks(followed)
    who = next(line for line in message("s1-1").decode().split("\r") if line.startswith("PID")).split("|")

    def a31(when: str, death: str, dead: str) -> bytes:
        pid = [*who, *[""] * 40][:33]
        pid[29], pid[30] = death, dead
        return "".join(f"{line}\r" for line in (f"MSH|^~\\&|GAM|CHU-LYS|ICOPS|DAC|{when}||ADT^A31^ADT_A05|{when}|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8", f"EVN||{when}", "|".join(pid))).encode()

    followed.ok(a31("20260920080000", "", "N"), a31("20260915080000", "20260915", "Y"))

    assert tasks(followed) == before
    assert followed.find("Patient")[0]["deceasedBoolean"] is False


def test_an_answer_taken_back_leaves_no_refusal_behind(house: House) -> None:
    house.send(adt("A28", numbers=ipp("P1"), extra=("ZFA|ACTIF||||||||IO|20260301",)))
    refusal = house.find("Consent")[0]
    house.send(adt("A31", numbers=ipp("P1"), extra=('ZFA|ACTIF||||||||""',)))

    (consent,) = house.find("Consent")
    assert (refusal["status"], refusal["provision"]) == ("active", {"type": "deny"})
    assert (consent["status"], consent.get("provision")) == ("proposed", None)
