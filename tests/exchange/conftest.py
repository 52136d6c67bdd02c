"""A store in memory, a receiver on it, and short words for what tests look at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from icops_fhir.exchange import stored
from icops_fhir.exchange.inbound import Answer, Inbound
from icops_fhir.fhir.json import dumps, loads
from icops_fhir.mappers.v2.site import Site
from icops_fhir.search.query import parse
from icops_fhir.store.engine import open, prepare

START = datetime(2026, 6, 1, 8, tzinfo=UTC)


class House:
    """What a test does and sees: messages in, resources out."""

    def __init__(self, site: Site | None = None) -> None:
        self.now = START
        self.store = open("sqlite:///:memory:", self._clock)
        self.inbound = Inbound(self.store, (lambda message: site) if site else (lambda message: Site()), self._clock)

    def _clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def send(self, *messages: bytes) -> Answer:
        """Sends them in order; the last answer. None may fail unseen."""
        for message in messages:
            answer = asyncio.run(self.inbound.process(message))
        return answer

    def ok(self, *messages: bytes) -> None:
        for message in messages:
            answer = self.send(message)
            assert answer.code == "AA", answer.body.decode("utf-8", "replace").replace("\r", "\n")

    def acks(self, message: bytes) -> list[bytes]:
        async def all_of() -> list[bytes]:
            return [ack async for ack in self.inbound.receive(message)]

        return asyncio.run(all_of())

    def find(self, type_: str, **parameters: str) -> list[dict[str, Any]]:
        query = parse(type_, [*((k.replace("_", "-"), v) for k, v in parameters.items()), ("_count", "500")], strict=True)
        return [loads(v.body) for v in self.store.view(lambda reader: reader.search(query)).versions]

    def get(self, reference: str) -> dict[str, Any]:
        type_, _, id_ = reference.partition("/")
        version = self.store.view(lambda reader: reader.read(type_, id_))
        assert version is not None
        return loads(version.body)

    def put(self, resource: dict[str, Any]) -> dict[str, Any]:
        """What a FHIR client does."""
        version = self.store.submit(lambda tx: tx.write(prepare(resource))).result()
        return loads(version.body)

    def patient(self, number: str = "P1") -> dict[str, Any]:
        found = [p for p in self.find("Patient", identifier=f"urn:oid:1.2.250.1.999.5|{number}") if p.get("active")]
        assert len(found) == 1, [p["id"] for p in found]
        return found[0]

    def venue(self, number: str = "V1") -> dict[str, Any]:
        found = [e for e in self.find("Encounter", identifier=f"urn:oid:1.2.250.1.999.5|{number}") if "partOf" not in e]
        assert len(found) == 1
        return found[0]

    def movements(self) -> list[dict[str, Any]]:
        return [e for e in self.find("Encounter") if "partOf" in e]


@pytest.fixture(autouse=True)
def nobody_changes_a_shared_value_in_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was read from the store is shared by its readers: at the end of each test it still says what was read."""
    seen: dict[bytes, Any] = {}

    def remembered(body: bytes) -> Any:
        return seen[body] if body in seen else seen.setdefault(body, loads(body))

    monkeypatch.setattr(stored, "parsed", remembered)
    yield
    assert [body for body, value in seen.items() if dumps(value) != body] == []


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.store.close()
