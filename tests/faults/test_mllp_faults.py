"""The real server when things go wrong under MLLP load: kill -9, SIGTERM, a second server, a full disk.

What is promised (HL7 v2.5.1 §2.9.2): a message that was answered AA is there exactly once, with all it causes; any other
may be sent again and is then there once. Counted by sender, control id and hash of the body.

    hospitals ═ 4 connections ═► server ═ kill -9 ═ start ═ kill -9 ═ … ═► SIGTERM ─► the file is counted
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import subprocess
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.peers import Sender, Subscriber, field, subscription, until
from acceptance.served import COMMAND, Server, serving
from exchange.pam import adt
from icops_fhir.exchange import keys
from icops_fhir.fhir.json import loads
from icops_fhir.mappers.v2 import er7
from icops_fhir.subscriptions import state as states

OID = "1.2.250.1.999.41"
LANES = 4  # connections at one time; one patient is always on the same
FOLLOWED = 5  # one patient in so many has an active CarePlan
PEOPLE = 240  # new patients for each start of the server
ADMITTED = ("transmit-summary",)
DISCHARGED = ("return-call", "discharge-letter", "gp-visit", "first-home-visit", "reconcile-medication")


def stay(number: int) -> list[bytes]:
    """What the hospital says of one patient: an admission; of those who are followed also the discharge."""
    who: dict[str, Any] = {"patient": f"P{number}", "oid": OID, "venue": f"V{number}", "dossier": f"D{number}"}
    admission = adt("A01", "20260301080000", **who, zbe=f"M{number}-1", control=f"{number}-1", pv1={"f44": "20260301080000"})
    if number % FOLLOWED:
        return [admission]
    out = {"f44": "20260301080000", "f45": "20260305100000"}
    return [admission, adt("A03", "20260305100000", **who, zbe=f"M{number}-2", control=f"{number}-2", pv1=out, extra=("ZFM||8||9",))]


def plans(numbers: range) -> dict[str, Any]:
    """The followed patients and their plans, as one transaction."""
    entries = []
    for number in (n for n in numbers if n % FOLLOWED == 0):
        kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PI"}]}
        patient = {"resourceType": "Patient", "identifier": [{"system": f"urn:oid:{OID}", "value": f"P{number}", "type": kind}]}
        plan = {"resourceType": "CarePlan", "id": f"plan-{number}", "status": "active", "intent": "plan", "subject": {"reference": f"urn:uuid:{number:036}"}}
        entries += [
            {"fullUrl": f"urn:uuid:{number:036}", "resource": patient, "request": {"method": "POST", "url": "Patient"}},
            {"resource": plan, "request": {"method": "PUT", "url": f"CarePlan/plan-{number}"}},
        ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


class Load:
    """Hospitals that send stays, each message until it is answered AA, and now and then one more time."""

    def __init__(self) -> None:
        self.lanes: list[deque[bytes]] = [deque() for _ in range(LANES)]
        self.accepted: dict[bytes, bytes] = {}
        self.sent: set[bytes] = set()
        self.wrong: list[str] = []
        self.cut = 0  # messages whose answer did not come
        self._people = 0

    def more(self, server: Server) -> None:
        numbers = range(self._people, self._people + PEOPLE)
        self._people += PEOPLE
        server.post(plans(numbers))
        for number in numbers:
            self.lanes[number % LANES] += stay(number)

    def run(self, address: tuple[str, int], end: Callable[[], Any], seconds: float) -> None:
        """Sends on every lane; ends the server after so many seconds."""
        threads = [threading.Thread(target=self._send, args=(address, lane)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        end()
        for thread in threads:
            thread.join(30)

    def _send(self, address: tuple[str, int], lane: deque[bytes]) -> None:
        try:
            sender = Sender(address)
            while lane:
                raw = lane[0]
                self.sent.add(raw)
                answer = sender.ask(raw)
                if (field(answer, "MSA", 1), field(answer, "MSA", 2)) != ("AA", field(raw, "MSH", 10)):
                    self.wrong.append(answer.decode())
                    return
                self.accepted[raw] = answer
                if len(lane) % 7 == 0 and sender.ask(raw) != answer:
                    self.wrong.append(f"another answer to {field(raw, 'MSH', 10)}")
                lane.popleft()
        except OSError:
            self.cut += 1  # it is sent again to the next server


class Kept:
    """What the file holds, read without the service."""

    def __init__(self, database: Path) -> None:
        self._file = sqlite3.connect(database)

        assert self._file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        self.originals = Counter((sender, control, sha) for sender, control, sha in self._file.execute("SELECT sender, control_id, sha256 FROM original"))
        self.translations = self._records(keys.TRANSLATION)
        self.states = self._records(states.STATE)
        self.versions = self._file.execute("SELECT sequence, type, id, version FROM version ORDER BY sequence").fetchall()
        self.current = [
            loads(body) for (body,) in self._file.execute(
                "SELECT v.body FROM version v JOIN resource r ON r.sequence = v.sequence WHERE r.deleted = 0")
        ]  # fmt: skip
        self._file.close()

    def _records(self, kind: str) -> dict[str, bytes]:
        return dict(self._file.execute("SELECT key, body FROM record WHERE kind = ?", (kind,)).fetchall())

    def holds(self, raw: bytes) -> bool:
        return self.originals[_named(raw)] == 1

    def whole(self) -> None:
        """No hole and nothing twice: in the feed, in the versions of each resource, in the originals."""
        steps = defaultdict(list)
        for _, type_, id_, version in self.versions:
            steps[type_, id_].append(version)

        assert [sequence for sequence, *_ in self.versions] == list(range(1, len(self.versions) + 1))
        assert all(versions == list(range(1, len(versions) + 1)) for versions in steps.values())
        assert set(self.originals.values()) <= {1}

    def tells(self, people: int, held: set[bytes]) -> None:
        """Each message that is held has all it causes, once; nothing else is there."""
        for raw in held:
            message = er7.parse(raw)

            assert keys.original(message.sender, message.control_id, raw) in self.translations
        assert len(self.translations) == len(held) == self.originals.total()
        people_and_stays = [r for r in self.current if r["resourceType"] in ("Patient", "Encounter")]
        numbers = Counter(value for r in people_and_stays for value in {i["value"] for i in r["identifier"]} if value[0] in "PVM")
        tasks = Counter((r["basedOn"][0]["reference"], r["code"]["coding"][0]["code"], r["status"]) for r in self.current if r["resourceType"] == "Task")
        expected_numbers, expected_tasks = Counter[str](), Counter[tuple[str, str, str]]()
        for number in range(people):
            said = [raw in held for raw in stay(number)]
            expected_numbers.update([f"M{number}-{n}" for n, known in enumerate(said, 1) if known])
            expected_numbers.update([f"V{number}"] if any(said) else [])
            if any(said) or number % FOLLOWED == 0:
                expected_numbers[f"P{number}"] += 1
            if number % FOLLOWED == 0:
                codes = [code for known, made in zip(said, (ADMITTED, DISCHARGED), strict=True) if known for code in made]
                expected_tasks.update((f"CarePlan/plan-{number}", code, "requested") for code in codes)

        assert numbers == expected_numbers
        assert tasks == expected_tasks

    def fired(self) -> int:
        return sum(1 for _, type_, _, _ in self.versions if type_ in ("Task", "CarePlan"))


def _named(raw: bytes) -> tuple[str, str, str]:
    message = er7.parse(raw)
    return message.sender, message.control_id, hashlib.sha256(raw).hexdigest()


def finished(server: Server, load: Load) -> None:
    """What was left is sent, then all of it once more: the same answers, and not one version more."""
    load.run(server.mllp, lambda: None, 0)

    assert load.wrong == []
    assert not any(load.lanes)
    before = sequence(server)
    sender = Sender(server.mllp)
    for raw, answer in load.accepted.items():
        assert sender.ask(raw) == answer
    sender.close()

    assert sequence(server) == before


def sequence(server: Server) -> str:
    """The last number of the change feed."""
    text = httpx.get(server.base.removesuffix("/fhir") + "/metrics").text
    return next(line.split()[1] for line in text.splitlines() if line.startswith("icops_change_feed_sequence "))


def killed(folder: Path, kills: int, seed: int) -> None:
    dice, load, subscriber = random.Random(seed), Load(), Subscriber()
    database = folder / "load.db"
    server = Server(database)
    server.start()
    followed = server.post(subscription(subscriber.url))["id"]
    until(lambda: server.get(f"Subscription/{followed}")["status"] == "active", 10)
    for _ in range(kills):
        load.more(server)
        load.run(server.mllp, server.kill, dice.uniform(0.2, 0.9))

        assert load.wrong == []
        server.start()
    assert server.stop() == 0
    kept = Kept(database)
    unanswered = load.sent - set(load.accepted)
    held = {raw for raw in load.sent if kept.holds(raw)}

    assert len(load.accepted) > 20 * kills
    assert set(load.accepted) <= held
    kept.whole()
    kept.tells(load._people, held)
    server.start()
    for lane in load.lanes:  # from here on, only what was begun
        while lane and lane[-1] not in unanswered:
            lane.pop()
    finished(server, load)
    fired = Kept(database).fired()
    until(lambda: _state(server, followed)["delivered"] >= fired, 30 + fired / 50, lambda: (_state(server, followed), fired))
    assert server.stop() == 0
    kept = Kept(database)
    kept.whole()
    kept.tells(load._people, load.sent)
    told = subscriber.events()
    first = list(dict(told))

    assert set(load.accepted) == load.sent
    assert first == list(range(1, kept.fired() + 1))
    assert set(told) == set(dict(told).items())  # told twice: the same
    assert server.errors() == []
    subscriber.down()
    print(f"{kills} kills, {len(load.accepted)} messages, {load.cut} cut off, at the end {len(unanswered & held)} of {len(unanswered)} were kept; {len(told) - len(first)} of {len(first)} events told again")


def _state(server: Server, id_: str) -> dict[str, Any]:
    with sqlite3.connect(f"file:{server.database}?mode=ro", uri=True) as file:
        return dict(json.loads(file.execute("SELECT body FROM record WHERE kind = ? AND key = ?", (states.STATE, id_)).fetchone()[0]))


def test_after_kill_9_under_load_what_was_accepted_is_there_once_with_all_it_causes(tmp_path: Path) -> None:
    killed(tmp_path, 5, 11)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_after_fifty_kill_9_under_load_what_was_accepted_is_there_once_with_all_it_causes(tmp_path: Path) -> None:
    killed(tmp_path, 50, time.time_ns())


def test_sigterm_under_load_keeps_what_it_accepted_and_ends_well(tmp_path: Path) -> None:
    load, ended = Load(), []
    with serving(tmp_path / "load.db") as server:
        for _ in range(4):
            load.more(server)
        load.run(server.mllp, lambda: ended.append(server.stop()), 0.4)
    kept = Kept(server.database)
    held = {raw for raw in load.sent if kept.holds(raw)}

    assert ended == [0]
    assert load.wrong == []
    assert 0 < len(load.accepted) < 4 * PEOPLE
    assert set(load.accepted) == held  # what was not answered was not taken
    kept.whole()
    kept.tells(4 * PEOPLE, held)
    assert server.errors() == []


def test_a_second_server_on_the_same_file_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "load.db") as server:
        second = subprocess.run([COMMAND, "serve", "--port", "0", "--mllp-port", "0"], capture_output=True, text=True, timeout=30, check=False, env=server._environment)
        sender = Sender(server.mllp)

        assert second.returncode == 1
        assert "in use by another server" in second.stderr
        assert "Traceback" not in second.stderr
        assert field(sender.ask(stay(1)[0]), "MSA", 1) == "AA"
        sender.close()


def test_with_a_full_disk_nothing_is_accepted_that_is_not_kept_and_service_goes_on_once_there_is_room(tmp_path: Path) -> None:
    answers: dict[bytes, list[str]] = defaultdict(list)
    with serving(tmp_path / "load.db") as server:
        server.post(plans(range(2000)))
        sender = Sender(server.mllp)
        server.fill(400_000)
        full = _until_full(sender, answers)
        full_now = [raw for raw, codes in answers.items() if codes == ["AE"]]

        assert full
        server.fill(-1)
        for raw in full_now:
            answers[raw].append(field(sender.ask(raw), "MSA", 1))
        last = stay(1999)[0]
        answers[last].append(field(sender.ask(last), "MSA", 1))
        sender.close()
    kept = Kept(server.database)

    assert {code for codes in answers.values() for code in codes} == {"AA", "AE"}
    assert {codes[-1] for codes in answers.values()} == {"AA"}
    kept.whole()
    kept.tells(2000, set(answers))


def _until_full(sender: Sender, answers: dict[bytes, list[str]]) -> bool:
    refusals = 0
    for raw in _stays(1999):
        answer = sender.ask(raw)
        answers[raw].append(field(answer, "MSA", 1))
        refusals += field(answer, "MSA", 1) == "AE"
        if field(answer, "MSA", 1) == "AE":
            assert field(answer, "ERR", 4) == "E"
        if refusals == 10:
            return True
    return False


def _stays(people: int) -> Iterator[bytes]:
    for number in range(people):
        yield stay(number)[0]
