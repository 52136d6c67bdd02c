"""The example pathway on the real store: loaded over REST, moved by its own messages through inbound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from icops_fhir.app import build
from icops_fhir.careplan import communication as c
from icops_fhir.careplan.current import Pathway
from icops_fhir.exchange import movement, pathway
from icops_fhir.exchange.inbound import Inbound
from icops_fhir.fhir.issue import FhirError
from icops_fhir.mappers.v2.site import DEFAULT
from icops_fhir.search.query import parse
from icops_fhir.settings import Settings
from icops_fhir.store import engine
from icops_fhir.store.engine import prepare

from .test_pathway_scenarios import RETURN
from .world import EXAMPLE, homes, made, opened, recipients

PATIENT = "identifier=https://icops-fhir.org/fhir/NamingSystem/example|carpentier/patient"


class House:
    """A server in process: its REST face to load the example, its inbound face for the messages."""

    def __init__(self) -> None:
        self.now = datetime(2026, 9, 2, 6, tzinfo=UTC)
        self.store = engine.open("sqlite:///:memory:", self._clock)
        self.inbound = Inbound(self.store, lambda message: DEFAULT, self._clock)
        self.patient = ""

    def _clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def load(self) -> list[str]:
        """pathway.json as a transaction; the status of each entry."""
        async def post() -> httpx.Response:
            web = httpx.AsyncClient(transport=httpx.ASGITransport(app=build(Settings(), store=self.store)), base_url="http://test/fhir/")
            async with web:
                answer = await web.post("", json=json.loads((EXAMPLE / "pathway.json").read_text("utf-8")))
                found = (await web.get(f"Patient?{PATIENT}")).json()
                self.patient = f"Patient/{found['entry'][0]['resource']['id']}"
                return answer

        answer = asyncio.run(post())
        assert answer.status_code == 200, answer.text
        return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]

    def send(self, *names: str, edit: tuple[bytes, bytes] = (b"", b"")) -> Pathway:
        async def all_of(raw: bytes) -> list[bytes]:
            return [ack async for ack in self.inbound.receive(raw)]

        for name in names:
            (file,) = EXAMPLE.glob(f"{name}*.hl7")
            raw = file.read_bytes()
            for ack in asyncio.run(all_of(raw.replace(*edit) if edit[0] else raw)):
                assert b"MSA|AA|" in ack, ack.replace(b"\r", b"\n").decode()
        return self.pathway()

    def tell(self, trigger: str, number: str, at: str, action: str = "INSERT", original: str = "", **edits: str) -> Pathway:
        """A message of the stay in cardiology that the example does not have, made from its A03."""
        text = (EXAMPLE / "s2-2-a03-sortie.hl7").read_text("utf-8").replace("\n", "\r")
        text = text.replace("ADT^A03^ADT_A03", f"ADT^{trigger}").replace("LYS26090900104", f"{trigger}{number}{at}{action}"[:20])
        text = text.replace("MVT-2609-0004", number).replace("||INSERT|N||", f"||{action}|N|{original}|").replace("20260909111500", at)
        text = text.replace("20260909110000||INS", f"{at}||INS").replace(f"|20260909110000||{action}|", f"|{at}||{action}|")
        for old, new in {"ZFM||8||9\r": "", "|20260902081500|20260909110000|": "|20260902081500||", **edits}.items():
            text = text.replace(old, new)

        async def all_of() -> list[bytes]:
            return [ack async for ack in self.inbound.receive(text.encode())]

        for ack in asyncio.run(all_of()):
            assert b"MSA|AA|" in ack, ack.replace(b"\r", b"\n").decode()
        return self.pathway()

    def count(self, type: str) -> int:
        return len(self.store.view(lambda reader: reader.search(parse(type, [], strict=True))).versions)

    def pathway(self) -> Pathway:
        return self.store.view(lambda reader: movement.load(reader, self.patient))


@pytest.fixture
def house() -> Iterator[House]:
    found = House()
    yield found
    found.store.close()


def test_loading_the_example_again_creates_nothing(house):
    assert set(house.load()) == {"201"}
    sequence = house.store.sequence
    again = house.load()

    assert set(again) == {"200"}
    assert house.store.sequence == sequence


def test_s1_an_unexpected_admission(house):
    house.load()
    before = house.pathway()
    now = house.send("s1-1", "s1-2")
    venues = [x for x in now.encounters if not x.get("partOf")]

    assert len(venues) == 1
    assert len(now.encounters) == 3
    assert [n["recipient"][0]["display"] for n in now.communications] == ["Dr Lucie BERNARD", "Nadia MARCHAND", "Claire OLIVIER"]
    assert [t["status"] for t in homes(now)] == ["on-hold"] * len(homes(before))
    assert {t["reasonReference"]["reference"] for t in homes(now)} == {f"Encounter/{venues[0]['id']}"}


def test_s2_an_announced_discharge_then_the_discharge(house):
    house.load()
    before = house.pathway()
    announced = house.send("s1-1", "s1-2", "s2-1")

    assert "Préparer le retour" in opened(announced)
    now = house.send("s2-2")
    assert opened(now) >= RETURN
    assert [t["status"] for t in homes(now)] == [t["status"] for t in homes(before)]
    plan = now.care_plans[0]
    assert {a["reference"]["reference"] for a in plan["activity"]} == {f"Task/{t['id']}" for t in now.tasks}


def test_s3_a_discharge_that_never_happened_then_the_true_one_and_its_correction(house):
    house.load()
    was = house.send("s1-1", "s1-2", "s2-1", "s2-2")
    now = house.send("s3-1")
    counters = [n for n in now.communications if c.COUNTER in c.codes(n)]

    assert {made(now)[title] for title in RETURN} == {"cancelled"}
    assert recipients(counters) == recipients([n for n in was.communications if "discharge" in c.codes(n)])
    assert {t["status"] for t in homes(now)} == {"on-hold"}
    second = house.send("s3-2")
    assert opened(second) >= RETURN
    assert "on-hold" not in {t["status"] for t in homes(second)}
    corrected = house.send("s3-3")
    visit = next(t for t in corrected.tasks if t["description"].startswith("Consultation du médecin") and t["status"] == "requested")
    assert visit["restriction"]["period"] == {"start": "2026-09-11T16:00:00+02:00", "end": "2026-09-18T16:00:00+02:00"}
    assert len(corrected.tasks) == len(second.tasks)


def test_replaying_every_message_changes_nothing(house):
    story = ("s1-1", "s1-2", "s2-1", "s2-2", "s3-1", "s3-2", "s3-3")
    house.load()
    house.send(*story)
    sequence = house.store.sequence
    house.send(*story)

    assert house.store.sequence == sequence


def test_replaying_every_message_under_new_control_ids_leaves_tasks_and_notices_alone(house):
    story = ("s1-1", "s1-2", "s2-1", "s2-2", "s3-1", "s3-2", "s3-3")
    house.load()
    was = house.send(*story)
    now = house.send(*story, edit=(b"|LYS2609", b"|AGAIN09"))

    assert [t for t in now.tasks if t not in was.tasks] == []
    assert now.communications == was.communications


def test_a_patient_without_a_plan_gets_an_encounter_and_nothing_else(house):
    house.patient = "Patient/none"
    house.send("s1-1", "s1-2", "s2-2")

    assert [house.count(type) for type in ("Task", "Communication", "Encounter")] == [0, 0, 4]


def test_a_definition_in_the_store_comes_before_the_one_shipped(house):
    house.load()
    found = house.pathway().definitions["https://icops-fhir.org/fhir/PlanDefinition/heart-failure"]
    changed = {**found, "action": []}
    house.store.submit(lambda tx: tx.write(prepare(changed))).result()
    now = house.send("s1-1", "s1-2", "s2-2")

    assert "Consultation du cardiologue" not in made(now)
    assert "Conciliation des traitements de sortie" in made(now)


def test_a_pathway_too_large_to_read_is_an_error_that_says_so(house, monkeypatch):
    house.load()
    monkeypatch.setattr(pathway, "PAGE", 2)
    assert len(house.pathway().tasks) == 5
    monkeypatch.setattr(pathway, "MOST", 4)

    with pytest.raises(FhirError, match="more than 4 resources: Task"):
        house.pathway()


def test_a_leave_and_the_return_from_it_hold_and_give_back(house):
    house.load()
    before = house.pathway()
    away = house.tell("A21", "MVT-1", "20260905100000")
    late = house.tell("A22", "MVT-2", "20260906190000")

    assert {t["status"] for t in homes(away)} == {"on-hold"}
    assert [t["status"] for t in homes(late)] == [t["status"] for t in homes(before)]


def test_a_cancelled_admission_is_undone_through_the_store(house):
    house.load()
    before = house.pathway()
    house.send("s1-1", "s1-2", "s2-1")
    now = house.tell("A11", "MVT-2609-0001", "20260902081500", "CANCEL", "A04")

    assert opened(now) == set()
    assert [t["status"] for t in homes(now)] == [t["status"] for t in homes(before)]


def test_a_death_through_the_store_stops_everything(house):
    house.load()
    house.send("s1-1", "s1-2", "s2-1")
    now = house.tell("A03", "MVT-9", "20260908030000", **{"||||||VALI": "|||20260908030000|Y||VALI"})
    told = [n for n in now.communications if "death" in c.codes(n)]

    assert now.dead
    assert {t["status"] for t in now.tasks} == {"cancelled"}
    assert [n["recipient"][0]["display"] for n in told] == ["Claire OLIVIER"]
    assert house.send("s2-2").tasks == now.tasks


def test_a_cancellation_that_comes_first_waits_and_then_nothing_is_made(house):
    house.load()
    house.send("s1-1", "s1-2")
    waiting = house.send("s3-1")
    now = house.send("s2-2")

    assert opened(waiting) & RETURN == set()
    assert opened(now) & RETURN == set()
    assert {t["status"] for t in homes(now)} == {"on-hold"}
