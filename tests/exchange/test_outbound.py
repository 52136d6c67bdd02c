"""The reverse road, through the real inbound, the real store and a real MLLP receiver."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from icops_fhir.exchange import outbox
from icops_fhir.exchange.inbound import Inbound
from icops_fhir.exchange.route import Route, routes
from icops_fhir.exchange.transplant import content
from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import loads
from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.ack import acknowledge
from icops_fhir.mllp.connection import Wire
from icops_fhir.mllp.server import serve
from icops_fhir.search.query import parse
from icops_fhir.store import engine
from icops_fhir.store.clock import utc
from icops_fhir.workers import deliver

EXAMPLES = Path(__file__).parents[2] / "examples" / "hl7v2"
A28 = "adt_a28_create_ins_vali_full"
CODES = tuple[str, ...]


AUTHORITY = "1.2.250.1.999.7"


class Hospital:
    """A receiver that remembers what it is told, and answers with the codes given, then AA."""

    def __init__(self, *codes: str) -> None:
        self.heard: list[er7.Message] = []
        self.raw: list[bytes] = []
        self._codes, self._bell = list(codes), asyncio.Event()

    async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
        self.raw.append(raw)
        self.heard.append(er7.parse(raw))
        self._bell.set()
        code = self._codes.pop(0) if self._codes else "AA"
        if code != "silence":
            yield acknowledge(raw, code, control_id="h", now=datetime.now(UTC))

    async def hears(self, count: int, seconds: float = 10) -> list[er7.Message]:
        async with asyncio.timeout(seconds):
            while len(self.heard) < count:
                self._bell.clear()
                await self._bell.wait()
        return self.heard


class House:
    """Store, inbound and deliver at work."""

    def __init__(self, store: Any, inbound: Inbound, hospital: Hospital) -> None:
        self.store, self.inbound, self.hospital = store, inbound, hospital

    async def message(self, name_or_raw: str | bytes) -> er7.Message:
        raw = (EXAMPLES / f"{name_or_raw}.hl7").read_bytes() if isinstance(name_or_raw, str) else name_or_raw
        answers = [answer async for answer in self.inbound.receive(raw, "test")]
        assert er7.parse(answers[-1]).get("MSA-1") == "AA", answers
        return er7.parse(raw)

    async def one(self, type_: str, wanted: Callable[[dict[str, Any]], bool] = lambda r: True) -> dict[str, Any]:
        page = await self.store.read(lambda r: r.search(parse(type_, [("_count", "500")], strict=True)))
        found = [loads(version.body) for version in page.versions]
        return next(resource for resource in found if wanted(resource))

    async def write(self, resource: dict[str, Any]) -> None:
        """As a FHIR client does: nothing marks it as a message's."""
        await self.store.write(lambda tx: tx.write(engine.prepare(resource)))

    async def settled(self) -> None:
        """Until everything that has to be said was said."""
        async with asyncio.timeout(10):
            while True:
                behind = await self.store.read(lambda r: r.changes(r.cursor("deliver hospital")))
                if not behind and not await self.store.read(lambda r: r.records(outbox.kind("hospital"))):
                    return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def house(tmp_path: Path, hospital: Hospital, sender: str = "GAM^CHU-LYS", **settings: Any) -> AsyncIterator[House]:
    store = engine.open(f"sqlite:///{tmp_path / 'x.db'}", utc)
    try:
        async with serve(hospital, Wire(port=0)) as port:
            route = Route(**{"name": "hospital", "host": "127.0.0.1", "port": port, "feeds": (sender,), "timeout": 2.0, "first_pause": 0.05, "authority": AUTHORITY, **settings})
            task = asyncio.create_task(deliver.run(store, utc, [route]))
            try:
                with patch.object(deliver, "LAZY", 1):  # so that a test sees where the follower is
                    yield House(store, Inbound(store, clock=utc), hospital)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    finally:
        await asyncio.to_thread(store.close)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def lines(message: er7.Message) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for segment in message.segments:
        out.setdefault(segment.name, []).append(segment.line)
    return out


def differing(one: er7.Message, other: er7.Message, name: str) -> set[int]:
    a, b = (m.first(name).line.split("|") for m in (one, other))
    return {i for i in range(max(len(a), len(b))) if (a[i : i + 1] or [""]) != (b[i : i + 1] or [""])}


def with_phone(patient: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """What a simple client sends: no Element.id, no extension, one number changed."""
    edited = {**content(patient), "id": patient["id"]}
    for point in edited["telecom"]:
        if point.get("value", "").replace(" ", "").endswith(old):
            point["value"] = new
    return edited


def test_a_phone_put_without_our_ids_and_extensions_is_one_a31_that_differs_in_pid_13_alone(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home:
            base = await home.message(A28)
            patient = await home.one("Patient")
            number = next(t["value"] for t in patient["telecom"] if t["system"] == "phone")
            await home.write(with_phone(patient, number.replace(" ", ""), "0400000001"))
            (told,) = await hospital.hears(1)
            await home.settled()

        assert len(hospital.heard) == 1
        assert differing(base, told, "PID") == {13}
        assert "0400000001" in told.first("PID").line.split("|")[13]
        kept, sent = lines(base), lines(told)
        assert {name: sent[name] for name in sent if name not in ("MSH", "PID")} == {name: kept[name] for name in kept if name not in ("MSH", "PID")}
        assert [told.get(f"MSH-{i}") for i in (3, 4, 5, 6, 15, 16)] == ["ICOPS-FHIR", "ICOPS", "GAM", "CHU-LYS", "", ""]
        assert [told.get("MSH-9.1"), told.get("MSH-9.2"), told.get("MSH-9.3")] == ["ADT", "A31", "ADT_A05"]
        assert [told.get("MSH-12.1"), told.get("MSH-12.2"), told.get("MSH-12.3")] == ["2.5", "FRA", "2.11"]
        assert told.control_id != base.control_id

    run(test)


def test_a_movement_message_lends_its_identity_but_none_of_its_movement(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home:
            base = await home.message("adt_a03_insert_discharge_home")
            await home.write(with_phone(await home.one("Patient"), "0478990114", "0400000001"))
            (told,) = await hospital.hears(1)

        assert differing(base, told, "PID") == {13}
        assert {s.name for s in told.segments} <= {"MSH", "EVN", "PID", "PD1", "ROL", "NK1", "PV1", "ZFA", "ZFD", "ZFS"}
        assert told.first("PV1").line == "PV1|1|N"
        assert [s.line for s in told.named("NK1")] == [s.line for s in base.named("NK1")]
        assert [s.line for s in told.named("ROL")] == [s.line for s in base.named("ROL")][:1]

    run(test)


def test_what_the_hospital_says_itself_never_comes_back_to_it(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home:
            base = await home.message(A28)
            raw = er7.render(base).replace(base.control_id.encode(), b"NEXT1").replace(b"ADT^A28", b"ADT^A31").replace(base.get("PID-13[2].12").encode() or b"#", b"0611111111")
            await home.message(raw)
            await home.settled()
        assert hospital.heard == []

    run(test)


def test_edits_add_up_and_leave_in_order_and_a_repeated_put_says_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home:
            base = await home.message("adt_a03_insert_discharge_home")
            first = with_phone(await home.one("Patient"), "0478990114", "0400000001")
            await home.write(first)
            await hospital.hears(1)
            second = {**first, "address": [{**a, "city": "BRON"} for a in first["address"]]}
            await home.write(second)
            await home.write(second)
            one, two = await hospital.hears(2)
            await home.settled()

        assert len(hospital.heard) == 2
        assert differing(base, one, "PID") == {13}
        assert differing(one, two, "PID") == {11}
        assert one.control_id != two.control_id

    run(test)


def test_an_edit_survives_a_message_that_left_before_the_hospital_took_it(tmp_path: Path) -> None:
    """The hospital repeats the old number because it had not processed our A31 yet: the next A31 must not undo ours."""

    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home:
            base = await home.message("adt_a03_insert_discharge_home")
            await home.write(with_phone(await home.one("Patient"), "0478990114", "0400000001"))
            await hospital.hears(1)
            crossing = er7.render(base).replace(base.control_id.encode(), b"CROSSING").replace(b"20260309113000", b"20260310113000").replace(b"20260309113012", b"20260310113012")
            await home.message(crossing)
            patient = await home.one("Patient")
            assert any("0400000001" in t["value"].replace(" ", "") for t in patient["telecom"])
            await home.write({**patient, "address": [{**a, "city": "BRON"} for a in patient["address"]]})
            _, told = await hospital.hears(2)

        assert differing(base, told, "PID") == {11, 13}

    run(test)


def test_a_receiver_that_fails_gets_the_same_bytes_again(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital("silence", "AE")
        async with house(tmp_path, hospital, timeout=0.2) as home:
            await home.message("adt_a03_insert_discharge_home")
            await home.write(with_phone(await home.one("Patient"), "0478990114", "0400000001"))
            await hospital.hears(3)
            await home.settled()
        assert len(set(hospital.raw)) == 1

    run(test)


def test_a_full_queue_leaves_what_follows_in_the_feed(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital("silence", "silence")
        async with house(tmp_path, hospital, timeout=0.2, queue=1) as home:
            await home.message("adt_a03_insert_discharge_home")
            for phone in ("0400000001", "0400000002", "0400000003"):
                patient = await home.one("Patient")
                old = next(t["value"] for t in patient["telecom"] if t["value"] in ("0478990114", "0400000001", "0400000002"))
                await home.write(with_phone(patient, old, phone))
            assert len(await home.store.read(lambda r: r.records(outbox.kind("hospital")))) <= 1
            await home.settled()
        assert b"0400000003" in hospital.raw[-1]

    run(test)


def test_a_refused_message_is_tried_again_before_the_next_of_its_patient_leaves(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital("AE", "AE")
        async with house(tmp_path, hospital, first_pause=0.2) as home:
            await home.message("adt_a03_insert_discharge_home")
            patient = await home.one("Patient")
            await home.write(with_phone(patient, "0478990114", "0400000001"))
            await hospital.hears(1)
            await home.write(with_phone(patient, "0478990114", "0400000002"))
            await home.settled()
        first, second = hospital.raw[0], hospital.raw[-1]
        assert hospital.raw == [first, first, first, second]
        assert b"0400000002" in second

    run(test)


@pytest.mark.parametrize(("codes", "settings"), [(("AR",), {}), (("AE", "AE"), {"refusals": 2}), (("silence",) * 3, {"patience": 0.0, "timeout": 0.1})])
def test_what_cannot_be_told_becomes_one_task_for_an_operator_and_the_next_edit_is_told(tmp_path: Path, codes: CODES, settings: dict[str, Any]) -> None:
    async def test() -> None:
        hospital = Hospital(*codes[: 1 if "patience" in settings else None])
        async with house(tmp_path, hospital, **settings) as home:
            await home.message("adt_a03_insert_discharge_home")
            patient = await home.one("Patient")
            await home.write(with_phone(patient, "0478990114", "0400000001"))
            await home.settled()
            task = await home.one("Task", lambda r: r["code"]["coding"][0]["code"] == "outbound-failed")
            await home.write(with_phone(patient, "0478990114", "0400000002"))
            await home.settled()

        assert (task["status"], task["intent"], task["for"]["reference"]) == ("requested", "order", f"Patient/{patient['id']}")
        assert task["focus"]["reference"].startswith(f"Patient/{patient['id']}/_history/")
        assert "was not delivered to hospital" in task["description"]
        assert "non remis à hospital" in task["description"]
        assert "0400000002" in hospital.heard[-1].first("PID").line

    run(test)


def test_bytes_that_would_cut_a_block_leave_as_escapes(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home:
            await home.message("adt_a03_insert_discharge_home")
            await home.write(with_phone(await home.one("Patient"), "0478990114", "04\x1c00\x0b1"))
            (told,) = await hospital.hears(1)
        assert "04\\X1C\\00\\X0B\\1" in told.first("PID").line

    run(test)


def test_a_message_not_acknowledged_before_a_stop_leaves_again_after_it_with_the_same_control_id(tmp_path: Path) -> None:
    async def test() -> None:
        deaf, hospital = Hospital(*["silence"] * 50), Hospital()
        async with house(tmp_path, deaf, timeout=5.0) as home:
            await home.message("adt_a03_insert_discharge_home")
            await home.write(with_phone(await home.one("Patient"), "0478990114", "0400000001"))
            await deaf.hears(1)
        async with house(tmp_path, hospital) as home:
            await hospital.hears(1)
            await home.settled()
        assert hospital.raw == deaf.raw[:1]

    run(test)


def test_a_withheld_ins_leaves_towards_the_sender_it_came_from_and_nowhere_else(tmp_path: Path) -> None:
    async def test() -> None:
        for to, expected in (("", True), ("OTHER", False)):
            hospital = Hospital()
            async with house(tmp_path / (to or "home"), hospital, to_application=to) as home:
                base = await home.message("adt_a28_create_prov_with_ins_withheld")
                patient = await home.one("Patient")
                assert not [i for i in patient["identifier"] if "INS" in str(i)]
                await home.write(with_phone(patient, "0699900227", "0400000001"))
                (told,) = await hospital.hears(1)
            assert ("155119934102721" in told.raw.decode()) is expected
            assert differing(base, told, "PID") == ({13} if expected else {3, 13})

    (tmp_path / "home").mkdir(), (tmp_path / "OTHER").mkdir()
    run(test)


def test_a_withdrawn_ins_never_leaves_not_even_in_a_message_that_was_waiting(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital(*["AE"] * 2)
        async with house(tmp_path, hospital, refusals=50, first_pause=0.5) as home:
            raw = (EXAMPLES / "adt_a28_create_prov_with_ins_withheld.hl7").read_bytes().replace(b"|PROV", b"|VALI")
            await home.message(raw)
            await home.write(with_phone(await home.one("Patient"), "0699900227", "0400000001"))
            await hospital.hears(1)
            await home.message("adt_a47_withdraw_ins")
            await hospital.hears(3)
            patient = await home.one("Patient")
            await home.write({**patient, "address": [{**a, "city": "BRON"} for a in patient["address"]]})
            await hospital.hears(4)
            await home.settled()
        held = ["155119934102721" in raw.decode() for raw in hospital.raw]
        assert held[0]
        assert not any(held[2:])
        assert all(m.get("PID-3.1") == "8800227" for m in hospital.heard)

    run(test)


def elsewhere(raw: bytes, phone: bytes) -> bytes:
    """The same qualified identity, in another hospital, with its own number and phone."""
    out = raw.replace(b"|GAM|CHU-LYS|", b"|DPI|CH-B|").replace(b"CHU-LYS&690990017&N", b"CH-B&123456789&N").replace(b"LYS26", b"B26")
    message = er7.parse(out)
    return out.replace(message.get("PID-3.1").encode(), b"B-77").replace(message.get("PID-13.12").encode(), phone)


@pytest.mark.parametrize("relays", [False, True])
def test_one_hospital_is_not_told_what_is_the_others(tmp_path: Path, relays: bool) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital, relays=relays) as home:
            base = await home.message(A28)
            await home.message(elsewhere(er7.render(base), b"0477777777"))
            patient = await home.one("Patient", lambda p: "B-77" in str(p))
            assert base.get("PID-3.1") in str(patient)
            await home.settled()
            relayed = len(hospital.heard)
            await home.write({**content(patient), "id": patient["id"], "address": [{**a, "city": "BRON"} for a in content(patient["address"])]})
            await hospital.hears(relayed + 1)
            told = hospital.heard[-1]

        assert ("B-77" in told.first("PID").line) is relays
        assert ("0477777777" in told.first("PID").line) is relays
        if not relays:
            assert differing(base, told, "PID") == {11}

    run(test)


def movement(resource: dict[str, Any]) -> bool:
    return "partOf" in resource


def venue(resource: dict[str, Any]) -> bool:
    return "partOf" not in resource


def test_movements_are_told_only_where_the_site_opened_them(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home:
            await home.message("adt_a03_insert_discharge_home")
            stay = await home.one("Encounter", venue)
            await home.write({**stay, "period": {**stay["period"], "end": "2026-03-09T17:30:00+01:00"}})
            await home.settled()
        assert hospital.heard == []

    run(test)


def test_correcting_a_movement_is_a_z99_of_the_same_movement(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital, movements=True) as home:
            base = await home.message("adt_a03_insert_discharge_home")
            moved = await home.one("Encounter", movement)
            await home.write({**moved, "period": {**moved["period"], "start": "2026-03-09T17:30:00+01:00"}})
            (told,) = await hospital.hears(1)

        assert (told.get("MSH-9.2"), told.get("MSH-9.3")) == ("Z99", "ADT_A01")
        assert [told.get(f"ZBE-{i}") for i in (1, 2, 4, 5, 6)] == ["MVT-2603-0006", "20260309173000", "UPDATE", "N", "A03"]
        assert told.first("ZBE").line.split("|")[1] == base.first("ZBE").line.split("|")[1]
        assert differing(base, told, "ZBE") == {2, 4, 6}
        assert differing(base, told, "PV1") == {45}  # the end of the stay is the movement's time
        assert told.first("PID").line == base.first("PID").line

    run(test)


def test_ending_a_stay_is_an_a03_under_our_own_authority_and_correcting_it_is_its_z99(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital, "PATIENTIS^CH-MONTVERT", movements=True) as home:
            base = await home.message("adt_a01_insert_ins_vali_latin9")
            stay = await home.one("Encounter", venue)
            ended = {**stay, "status": "finished", "period": {**stay["period"], "end": "2026-03-09T11:00:00+01:00"}}
            await home.write(ended)
            await hospital.hears(1)
            await home.write({**ended, "period": {**ended["period"], "end": "2026-03-09T12:00:00+01:00"}})
            end, corrected = await hospital.hears(2)

        assert (end.get("MSH-9.2"), end.get("MSH-9.3"), end.get("PV1-45")) == ("A03", "ADT_A03", "20260309110000")
        assert [end.get(f"ZBE-{i}") for i in (2, 3, 4, 5, 6)] == ["20260309110000", "", "INSERT", "N", ""]
        assert [end.get("ZBE-1.2"), end.get("ZBE-1.3"), end.get("ZBE-1.4")] == ["ICOPS-FHIR", AUTHORITY, "ISO"]
        assert end.get("ZBE-1.1") != base.get("ZBE-1.1")
        assert end.first("PID").line == base.first("PID").line
        assert [corrected.get(f"ZBE-{i}") for i in (1, 2, 4, 6)] == [end.get("ZBE-1"), "20260309120000", "UPDATE", "A03"]
        assert corrected.get("PV1-45") == "20260309120000"

    run(test)


def test_a_route_that_is_not_understood_is_refused_by_name() -> None:
    good = {"name": "a", "host": "h", "port": 1, "feeds": ["A^B"]}
    assert routes([good])[0].feeds == ("A^B",)
    assert routes(loads(b'[{"name": "a", "host": "h", "port": 1, "feeds": ["A^B"], "first_pause": 0.5}]'))[0].first_pause == 0.5
    for bad in ({**good, "prot": 1}, {**good, "port": "1"}, {**good, "movements": 1}, {k: v for k, v in good.items() if k != "feeds"}, {**good, "feeds": ["B"]},
                {**good, "port": 65536}, {**good, "zone": "Mars/Olympus"}):
        with pytest.raises(FhirError, match="route 'a'"):
            routes([bad])
    with pytest.raises(FhirError, match="authority is needed"):
        routes([{**good, "movements": True}])
    with pytest.raises(FhirError, match="two routes"):
        routes([good, good])


def test_the_task_of_a_failure_is_plain_json() -> None:
    made = outbox.task("r", "Patient/1/_history/2", "Patient/1", "A31", "ID", (), "2026-01-01T00:00:00.000Z")

    assert made == json.loads(json.dumps(made))
    assert made["id"] == outbox.task("r", "Patient/1/_history/2", "Patient/1", "A31", "ID", (), "2026-01-01T00:00:00.000Z")["id"]
