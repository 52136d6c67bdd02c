"""A venue is a fold of its movements: any order of arrival, the same stay. PAM-FR §5.3, §5.4.1."""

from __future__ import annotations

import random as randomness
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.conftest import House
from exchange.pam import adt
from icops_fhir.exchange.movements import Movement, Statement, fold, from_json, heard, live, spread, to_json, voids
from icops_fhir.fhir.json import canonical, dumps, loads

TRIGGERS = ("A01", "A02", "A03", "A04", "A05", "A06", "A16", "A21", "A22", "A54")


@st.composite
def statements(draw: Any) -> list[tuple[str, Statement]]:
    """Messages of one venue: distinct stamps, as a sender that writes one message at a time."""
    out = []
    for rank in range(draw(st.integers(0, 8))):
        number = draw(st.sampled_from("ABCD"))
        action = draw(st.sampled_from(("INSERT", "INSERT", "UPDATE", "CANCEL")))
        trigger = draw(st.sampled_from(TRIGGERS))
        facts = draw(st.dictionaries(st.sampled_from(("class", "location@PV1-3", "participant@PV1-7")), st.sampled_from(({"x": 1}, {"x": 2}, None)), max_size=2))
        scope = draw(st.sampled_from(("", "V", "A"))) if action == "CANCEL" and trigger == "A01" else ""
        out.append((number, Statement(f"2026-03-{rank + 1:02d}", action, trigger, f"2026-03-{draw(st.integers(1, 9)):02d}T08", scope, facts, original=f"m{rank}")))
    return out


def folded(said: list[tuple[str, Statement]]) -> Any:
    known: dict[str, Movement] = {}
    for number, statement in said:
        known[number] = heard(known.get(number, Movement(number)), statement)
    everything = list(known.values())
    return fold(everything, voids(everything, ("V", "A"))), {m.key for m in everything if live(m)}


@given(statements(), st.randoms())
def test_the_order_of_arrival_does_not_change_the_venue(said: list[tuple[str, Statement]], random: randomness.Random) -> None:
    assert folded(random.sample(said, len(said))) == folded(said)


@given(statements(), st.randoms())
def test_a_replay_changes_nothing(said: list[tuple[str, Statement]], random: randomness.Random) -> None:
    again = [*said, *random.sample(said, len(said) // 2)]

    assert folded(again) == folded(said)


@given(statements())
def test_a_movement_is_the_same_after_storage(said: list[tuple[str, Statement]]) -> None:
    for _, statement in said:
        movement = heard(Movement("A"), statement)

        assert from_json(loads(dumps(to_json(movement)))) == movement


@given(statements())
def test_cancelling_every_movement_leaves_no_live_one(said: list[tuple[str, Statement]]) -> None:
    cancels = [(n, Statement("2026-04-01", "CANCEL", "A01", "")) for n in "ABCD"]
    venue, standing = folded([*said, *cancels])

    assert standing == set()
    assert venue is None or venue.status in ("cancelled", "in-progress")


def test_a_cancellation_without_zbe_takes_every_such_movement_of_the_visit_until_then() -> None:
    first = Movement("A03/V/1^S^", inserted="1")
    later = Movement("A03/V/3^S^", inserted="3")
    star = Movement("A03/V/*^S^", cancelled="2")

    assert [live(m) for m in spread([first, later, star])] == [False, True, False]


STAY = [
    ("A05", "20260301080000", "M0", {"f3": "4036"}), ("A01", "20260302080000", "M1", {"f3": "4036^22^3"}),
    ("A02", "20260303080000", "M2", {"f3": "4037^1^1"}), ("A21", "20260304080000", "M3", {"f3": "4037^1^1"}),
    ("A22", "20260305080000", "M4", {"f3": "4037^1^2"}), ("A03", "20260306080000", "M5", {"f3": "4037^1^2"}),
]  # fmt: skip
STATUS = ["planned", "in-progress", "in-progress", "onleave", "in-progress", "finished"]
CANCEL = {"A05": "A38", "A01": "A11", "A02": "A12", "A21": "A52", "A22": "A53", "A03": "A13"}


def state(house: House) -> dict[str, Any]:
    venue = house.venue()
    return {name: canonical(value) for name, value in venue.items() if name not in ("meta", "id")}


@pytest.mark.parametrize("step", range(2, 6))
def test_each_cancellation_restores_the_state_before_its_movement(house: House, step: int) -> None:
    states = []
    for event, when, number, pv1 in STAY[: step + 1]:
        house.ok(adt(event, when, zbe=number, pv1=pv1))
        states.append(state(house))
    event, when, number, _ = STAY[step]

    house.ok(adt(CANCEL[event], "20260307080000", zbe=number, at=when, action="CANCEL", original=event, pv1=STAY[step - 1][3]))

    assert loads(states[step]["status"]) == STATUS[step]
    assert state(house) == states[step - 1]


def test_any_order_of_a_whole_stay_gives_the_same_encounters() -> None:
    messages = [adt(event, when, zbe=number, pv1=pv1) for event, when, number, pv1 in STAY]
    messages += [
        adt("A12", "20260307080000", zbe="M2", at=STAY[2][1], action="CANCEL", original="A02", pv1=STAY[1][3]),
        adt("Z99", "20260308080000", zbe="M5", at="20260306120000", action="UPDATE", original="A03", pv1=STAY[5][3]),
    ]  # fmt: skip
    seen = []
    for seed in range(6):
        house = House()
        order = randomness.Random(seed).sample(messages, len(messages)) if seed else messages
        house.ok(*order)
        places = {f"Location/{p['id']}": canonical(p.get("identifier", [])).decode() for p in house.find("Location")}
        venue = house.venue()
        seen.append((venue["status"], venue["period"], [places[x["location"]["reference"]] for x in venue["location"]], venue["class"]["code"],
                     sorted((m["identifier"][0]["value"], m["status"]) for m in house.movements())))  # fmt: skip
        assert house.store.view(lambda reader: reader.records("pending")) == []
        house.store.close()

    assert all(one == seen[0] for one in seen)
    assert seen[0][0] == "finished"
    assert seen[0][1]["end"].startswith("2026-03-06T12:00")


def test_an_emergency_visit_that_becomes_a_stay_is_one_venue_and_a06_a07_follow_zbe_4(house: House) -> None:
    house.ok(adt("A04", "20260301080000", zbe="M1", pv1={"f2": "E"}), adt("A06", "20260301120000", zbe="M2", pv1={"f2": "I"}))

    assert house.venue()["class"]["code"] == "IMP"
    house.ok(adt("A07", "20260301130000", zbe="M2", at="20260301120000", action="CANCEL", original="A06", pv1={"f2": "E"}))
    assert house.venue()["class"]["code"] == "EMER"
    assert len(house.movements()) == 2


def test_a11_takes_the_venue_with_v_and_the_whole_dossier_with_a_or_nothing() -> None:
    for letter, expected in (("V", ["cancelled", "finished"]), ("A", ["cancelled", "cancelled"]), ("", ["cancelled", "cancelled"])):
        house = House()
        house.ok(
            adt("A01", "20260301080000", zbe="M1", venue="V1"), adt("A03", "20260302080000", zbe="M2", venue="V1"),
            adt("A01", "20260303080000", zbe="M3", venue="V2"), adt("A02", "20260304080000", zbe="M4", venue="V2"),
            adt("A11", "20260305080000", zbe="M3", venue="V2", at="20260303080000", action="CANCEL", original="A01", pv1={"f51": letter}),
        )  # fmt: skip

        assert [house.venue("V2")["status"], house.venue("V1")["status"]] == expected, letter
        house.store.close()


def test_a_cancellation_or_correction_that_comes_first_waits_for_its_movement(house: House) -> None:
    cancel = adt("A11", "20260302080000", zbe="M1", at="20260301080000", action="CANCEL", original="A01")
    house.ok(cancel, adt("Z99", "20260302070000", zbe="M9", at="20260301090000", action="UPDATE", original="A02", pv1={"f3": "NEW"}))

    assert house.find("Encounter") == []
    assert len(house.store.view(lambda reader: reader.records("pending"))) == 2

    house.ok(adt("A01", "20260301080000", zbe="M1"))
    assert house.venue()["status"] == "cancelled"
    house.ok(adt("A02", "20260301090000", zbe="M9", pv1={"f3": "OLD"}))
    location = house.venue()["location"][0]["location"]["reference"]
    assert "NEW" in canonical(house.get(location)["identifier"]).decode()
    assert house.store.view(lambda reader: reader.records("pending")) == []


def test_an_older_message_fills_and_never_overwrites(house: House) -> None:
    house.ok(adt("A31", "20260310080000", pid={"f13": "^PRN^PH^^^^^^^^^0102030405"}))
    house.ok(adt("A31", "20260309080000", pid={"f13": "^PRN^PH^^^^^^^^^0999999999", "f16": "M"}))

    assert [t["value"] for t in house.patient()["telecom"]] == ["0102030405"]
    assert house.patient()["maritalStatus"]["coding"][0]["code"] == "M"


def test_a_movement_told_late_does_not_move_the_patient_back(house: House) -> None:
    house.ok(adt("A01", "20260301080000", zbe="M1", pv1={"f3": "A"}), adt("A02", "20260303080000", zbe="M2", pv1={"f3": "C"}))
    place = house.venue()["location"]

    house.ok(adt("A02", "20260304080000", zbe="M3", at="20260302080000", pv1={"f3": "B"}))

    assert house.venue()["location"] == place
    assert len(house.movements()) == 3


@pytest.mark.parametrize("turn", [1, -1])
def test_in_the_same_second_the_cancellation_wins(house: House, turn: int) -> None:
    when = "20260301080000"
    house.ok(*[adt("A01", when, zbe="M1"), adt("A11", when, zbe="M1", at=when, action="CANCEL", original="A01")][::turn])

    assert house.venue()["status"] == "cancelled"


def test_one_movement_number_in_two_venues_is_two_movements(house: House) -> None:
    house.ok(adt("A01", "20260301080000", zbe="312", venue="V1"), adt("A01", "20260302080000", zbe="312", venue="V2"))

    assert [house.venue("V1")["status"], house.venue("V2")["status"]] == ["in-progress", "in-progress"]
    assert len(house.movements()) == 2


def test_the_same_movement_said_again_is_the_same_movement(house: House) -> None:
    house.ok(adt("A01", zbe="M1"), adt("A01", "20260301090000", zbe="M1", at="20260301080000"))

    assert len(house.movements()) == 1


def test_a_shifted_zbe_is_read(house: House) -> None:
    shifted = adt("A03", "20260302080000").replace(b"PID|", b"PID|", 1)
    shifted += b"PV1|1|I|||||||||||||||||V1^^^HOP&1.2.250.1.999.5&ISO^VN||||||||||||||||||||||||||||||||V\rZBE|M2^HOP^1.2.250.1.999.5^ISO|20260302080000|20260302080000||INSERT|N\r"
    house.ok(adt("A01", zbe="M1"), shifted)

    assert house.venue()["status"] == "finished"


def test_without_zbe_the_trigger_and_the_visit_stand_for_the_movement(house: House) -> None:
    house.ok(adt("A01", pv1={"f3": "4036"}), adt("A03", "20260302080000", pv1={"f3": "4036"}))
    assert house.venue()["status"] == "finished"

    house.ok(adt("A13", "20260302090000", pv1={"f3": "4036"}))
    assert house.venue()["status"] == "in-progress"


def test_an_identity_message_opens_no_stay(house: House) -> None:
    house.ok(adt("A28", pv1={"f2": "N", "f19": ""}), adt("A31", "20260302080000", pv1={"f2": "N", "f19": ""}))

    assert house.find("Encounter") == []


def test_movements_that_nobody_numbered_are_no_encounters_of_their_own(house: House) -> None:
    house.ok(adt("A01", pv1={}), adt("A08", "20260302080000", pv1={"f3": "4036"}))

    assert house.movements() == []
    assert house.venue()["location"]


def test_a_visit_number_said_of_another_patient_is_another_stay(house: House) -> None:
    house.ok(adt("A01", patient="P1", zbe="M1"))
    answer = house.send(adt("A01", "20260302080000", patient="P2", zbe="M1"))
    house.ok(adt("A03", "20260303080000", patient="P2", zbe="M2"))

    assert b"icops-visit-of-another" in answer.body
    assert {e["subject"]["reference"]: e["status"] for e in house.find("Encounter") if "partOf" not in e} == {
        f"Patient/{house.patient('P1')['id']}": "in-progress", f"Patient/{house.patient('P2')['id']}": "finished",
    }  # fmt: skip
