"""The whole loop with real sockets: hospital message, pathway, notification, edit in town, hospital message.

    hospital ─ A01 A16 A03 A13 A03 ─► icops-fhir ─► Tasks of the CarePlan ─► subscriber, away for a while
                                          │ PUT of a phone, by a client that knows nothing of our ids and extensions
    hospital ◄──────── one A31 ───────────┘

The subscriber is away for OUTAGE seconds: 5 here, 60 in `make faults`, or what ICOPS_OUTAGE says.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.peers import Hospital, Sender, Subscriber, field, subscription, until
from acceptance.served import EXAMPLES, Server, serving
from icops_fhir.exchange import outbox
from icops_fhir.store import engine

OUTAGE = float(os.environ.get("ICOPS_OUTAGE", "5"))
BACK_OFF = 15.0  # the longest pause between two tries

HOME = ("home-nursing", "meal-delivery", "home-help", "medication-delivery")
AWAY = {(code, "on-hold"): 1 for code in HOME}
AT_HOME = {("home-nursing", "in-progress"): 1, ("meal-delivery", "accepted"): 1, ("home-help", "accepted"): 1, ("medication-delivery", "requested"): 1}
ALWAYS = {("apa-renewal", "in-progress"): 1}  # no home task
ADMITTED = {("transmit-summary", "requested"): 1}
ANNOUNCED = {("prepare-return", "requested"): 1, ("confirm-home-visits", "requested"): 1}
RETURN = ("return-call", "discharge-letter", "gp-visit", "first-home-visit", "reconcile-medication", "weight-watch", "lab-check", "cardiologist-visit")
DISCHARGED = {(code, "requested"): 1 for code in RETURN}
TAKEN_BACK = {(code, "cancelled"): 1 for code in RETURN}

STEPS = {
    "A01": {**ALWAYS, **AWAY, **ADMITTED},
    "A16": {**ALWAYS, **AWAY, **ADMITTED, **ANNOUNCED},
    "A03": {**ALWAYS, **AT_HOME, **ADMITTED, **ANNOUNCED, **DISCHARGED},
    "A13": {**ALWAYS, **AWAY, **ADMITTED, **ANNOUNCED, **TAKEN_BACK},
    "A03 again": {**ALWAYS, **AT_HOME, **ADMITTED, **ANNOUNCED, **TAKEN_BACK, **DISCHARGED},
}
"""The Tasks of the plan after each message: (code, status), how many."""


def message(name: str) -> bytes:
    return (EXAMPLES / "pathway" / f"{name}.hl7").read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r")


def messages() -> dict[str, bytes]:
    """The stay of the example, admitted directly."""
    admitted = message("s1-2-a06-hospitalisation").replace(b"ADT^A06^ADT_A06", b"ADT^A01^ADT_A01")
    rest = ("s2-1-a16-sortie-annoncee", "s2-2-a03-sortie", "s3-1-a13-sortie-annulee", "s3-2-a03-sortie")
    return dict(zip(STEPS, (admitted, *map(message, rest)), strict=True))


def tasks(server: Server, plan: str) -> Counter[tuple[str, str]]:
    return Counter((task["code"]["coding"][0]["code"], task["status"]) for task in server.all(f"Task?based-on=CarePlan/{plan}&_count=100"))


def plain(value: Any) -> Any:
    """What a simple client keeps: no id of an element, no extension, no `_member`."""
    if isinstance(value, dict):
        kept = {name: plain(item) for name, item in value.items() if name not in ("id", "extension", "modifierExtension") and name[0] != "_"}
        return {name: item for name, item in kept.items() if item not in ({}, [])}
    return [plain(item) for item in value] if isinstance(value, list) else value


def segments(raw: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in raw.decode().split("\r"):
        found.setdefault(line[:3], []).append(line)
    return found


def differing(before: str, after: str) -> set[int]:
    """The numbers of the fields that differ between two lines of one segment."""
    a, b = before.split("|"), after.split("|")
    size = max(len(a), len(b))
    return {n for n in range(size) if (a + [""] * size)[n] != (b + [""] * size)[n]}


def everything(server: Server) -> list[str]:
    """Every version of every resource."""
    return sorted(json.dumps(version, sort_keys=True) for version in server.all("_history?_count=500"))


def loop(folder: Path, outage: float) -> None:
    hospital, subscriber = Hospital(), Subscriber()
    sites = folder / "sites.json"
    route = {"name": "chu-lys", "host": "127.0.0.1", "port": hospital.port, "feeds": ["GAM^CHU-LYS"], "facility": "DAC-RHONE", "first_pause": 0.2, "longest_pause": 1}
    sites.write_text(json.dumps({"sites": {"GAM^CHU-LYS": {"charset": "UNICODE UTF-8"}}, "routes": [route]}))
    with serving(folder / "loop.db", "--example", ICOPS_SITES=str(sites)) as server:
        plan = server.get("CarePlan", status="active")["entry"][0]["resource"]
        followed = server.post(subscription(subscriber.url))["id"]
        until(lambda: server.get(f"Subscription/{followed}")["status"] == "active", 10)

        assert subscriber.kinds() == ["handshake"]

        def standing() -> dict[str, Any]:
            said = server.get(f"Subscription/{followed}/$status")["entry"][0]["resource"]["parameter"]
            return {one["name"]: next((value for name, value in one.items() if name.startswith("value")), None) for one in said}

        def counted() -> int:
            return int(standing()["events-since-subscription-start"])

        def fired() -> int:
            """The changes that the topic is about: every Task of the plan, and the plan."""
            return sum(1 for entry in server.all("_history?_count=500")
                       if entry["resourceType"] in ("Task", "CarePlan") and entry["meta"]["versionId"] + entry["resourceType"] + entry["id"] not in before)  # fmt: skip

        before = {entry["meta"]["versionId"] + entry["resourceType"] + entry["id"] for entry in server.all("_history?_count=500")}

        # ---- five messages, the Tasks after each; the subscriber leaves after the second and is back before the last

        sender, answers, left = Sender(server.mllp), {}, 0.0
        for name, raw in messages().items():
            if name == "A03":
                until(lambda: len(subscriber.events()) == counted() == fired(), 10)
                heard = len(subscriber.events())
                subscriber.down()
                left = time.monotonic()
            if name == "A03 again":
                until(lambda: standing().get("error"), 10)

                assert len(subscriber.events()) == heard < counted()
                time.sleep(max(0.0, left + outage - time.monotonic()))
                subscriber.up()
            answers[name] = sender.ask(raw)

            assert (field(answers[name], "MSA", 1), field(answers[name], "MSA", 2)) == ("AA", field(raw, "MSH", 10))
            assert tasks(server, plan["id"]) == STEPS[name], name

        # ---- events without a gap, in order, once each

        until(lambda: len(subscriber.events()) >= fired(), BACK_OFF + 10, lambda: (len(subscriber.events()), standing()))
        numbers = [number for number, _ in subscriber.events()]

        assert numbers == list(range(1, fired() + 1))
        assert counted() == numbers[-1]
        assert server.get(f"Subscription/{followed}")["status"] == "active"

        # ---- a phone corrected in town reaches the hospital as one A31

        patient = server.get("Patient", identifier="248026938311421")["entry"][0]["resource"]
        edited = {**plain(patient), "id": patient["id"]}
        edited.pop("meta", None)
        (phone,) = [item for item in edited["telecom"] if item["value"] == "0478990114"]
        phone["value"] = "0478990199"
        answer = httpx.put(f"{server.base}/Patient/{patient['id']}", json=edited)

        assert answer.status_code == 200, answer.text
        until(lambda: hospital.heard, 10)
        told, last = segments(hospital.heard[0]), segments(messages()["A03 again"])
        header = hospital.heard[0]

        assert field(header, "MSH", 9).split("^")[:2] == ["ADT", "A31"]
        assert field(header, "MSH", 12) == "2.5^FRA^2.11"
        assert (field(header, "MSH", 4), field(header, "MSH", 5), field(header, "MSH", 6)) == ("DAC-RHONE", "GAM", "CHU-LYS")
        assert differing(last["PID"][0], told["PID"][0]) == {13}
        assert told["PID"][0].split("|")[13] == last["PID"][0].split("|")[13].replace("0478990114", "0478990199")
        assert told["PV1"] == ["PV1|1|N"]  # ITI-30: the identity, no visit
        assert {name: lines for name, lines in told.items() if name not in ("MSH", "PID", "PV1")} == {
            name: last[name] for name in ("EVN", "ROL", "")}  # the movement's own segments (ZBE, ZFM) are not an A31's

        # ---- all of it once more changes nothing

        versions, events = everything(server), subscriber.events()
        for name, raw in messages().items():
            assert sender.ask(raw) == answers[name]
        sender.close()
        time.sleep(1.5)

        assert everything(server) == versions
        assert tasks(server, plan["id"]) == STEPS["A03 again"]
        assert (subscriber.events(), counted()) == (events, len(events))
        assert len(hospital.heard) == 1
        assert server.errors() == []
    store = engine.open(f"sqlite:///{folder / 'loop.db'}")
    waiting = store.view(lambda reader: reader.records(outbox.kind("chu-lys")) + reader.records(outbox.FAILED))
    store.close()

    assert waiting == []
    hospital.close()
    subscriber.down()


def test_the_loop_hospital_pathway_subscriber_town_hospital(tmp_path: Path) -> None:
    loop(tmp_path, OUTAGE)


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_the_loop_with_a_subscriber_away_for_a_minute(tmp_path: Path) -> None:
    loop(tmp_path, 60.0)
