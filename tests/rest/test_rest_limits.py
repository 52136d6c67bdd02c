"""Every limit reached: concurrency, the queue of the writer, the time a body has, the time a search has."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from rest_kit import Web, open_web, patient, rule

from icops_fhir.interactions import batch
from icops_fhir.rest import body


def test_more_requests_than_the_limit_are_told_to_come_back() -> None:
    with open_web(http_connections=2) as web:
        web.put("Patient/a", patient(id="a"))

        async def crowd() -> list[Any]:
            return await asyncio.gather(*(web.asking("GET", "Patient?_id=a") for _ in range(12)))

        answers = web.run(crowd())

        assert {answer.status_code for answer in answers} == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert rule(refused) == "icops-busy"
        assert refused.headers["retry-after"] == "1"
        assert web.get("Patient?_id=a").status_code == 200


def test_a_full_queue_of_writes_is_429_and_the_server_goes_on() -> None:
    with open_web(store={"queue": 4}) as web:
        go = threading.Event()
        held = web.store.submit(lambda tx: go.wait(30))

        async def crowd() -> list[Any]:
            waiting = [asyncio.create_task(web.asking("POST", "Patient", patient())) for _ in range(12)]
            await asyncio.sleep(0.3)
            go.set()
            return await asyncio.gather(*waiting)

        answers = web.run(crowd())
        held.result(30)

        assert {answer.status_code for answer in answers} == {201, 429}
        assert web.post("Patient", patient()).status_code == 201
        assert web.get("Patient?_summary=count").json()["total"] == 1 + sum(answer.status_code == 201 for answer in answers)


def test_a_body_that_does_not_come_is_408(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.05)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    response = web.run(web._client.request("POST", "Patient", content=slow(), headers={"Content-Type": "application/fhir+json"}))

    assert response.status_code == 408
    assert rule(response) == "icops-body-time"


def test_a_large_batch_keeps_a_bounded_number_of_entries_under_way(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    most, now = 0, 0
    alone = batch._alone

    async def watched(*args: Any) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            return await alone(*args)
        finally:
            now -= 1

    monkeypatch.setattr(batch, "_alone", watched)
    entries = [{"resource": patient(), "request": {"method": "POST", "url": "Patient"}}] * 100
    response = web.post("", {"resourceType": "Bundle", "type": "batch", "entry": entries})

    assert len(response.json()["entry"]) == 100
    assert 1 < most <= batch.AT_ONCE
