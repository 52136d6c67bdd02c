"""$status, $events and $why: they answer from what is stored, as it was notified."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from subscription_kit import Receiver, care_plan, numbers, receiver, subscription, task, told

from icops_fhir.fhir.issue import FhirError
from icops_fhir.interactions.request import Request, Service
from icops_fhir.operations import events as events_operation
from icops_fhir.operations.invoke import invoke
from icops_fhir.operations.status import standing
from icops_fhir.store import engine
from icops_fhir.store.clock import utc
from icops_fhir.store.protocol import Store
from icops_fhir.subscriptions.state import Limits, State
from icops_fhir.workers import notify

BASE = "http://127.0.0.1:8080/fhir"


@contextlib.asynccontextmanager
async def world(**limits: Any) -> AsyncIterator[tuple[Store, Receiver]]:
    store = engine.open("sqlite:///:memory:", utc)
    async with receiver() as hook:
        worker = asyncio.create_task(notify.run(store, utc, notify.Settings(base=BASE, timeout=2.0, limits=Limits(first=0.01, longest=0.02, **limits))))
        try:
            yield store, hook
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            await asyncio.to_thread(store.close)


async def put(store: Store, *resources: dict[str, Any]) -> None:
    prepared = [engine.prepare(resource) for resource in resources]
    await store.write(lambda transaction: [transaction.write(one) for one in prepared])


async def ask(store: Store, name: str, id_: str = "s1", **params: str) -> dict[str, Any]:
    request = Request("GET", "Subscription", id_, operation=name, params=tuple(params.items()), base=BASE)
    return json.loads((await invoke(Service(store, utc), request)).body)


def story(test: Any) -> Any:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))
    run.__name__ = test.__name__
    return run


def statuses(bundle: dict[str, Any]) -> dict[str, tuple[str, str]]:
    def of(entry: dict[str, Any], name: str) -> str:
        return str(told({"entry": [entry]}, name))
    return {entry["fullUrl"].split("/")[-2]: (of(entry, "status"), of(entry, "events-since-subscription-start")) for entry in bundle.get("entry", ())}


@story
async def test_status_is_the_stored_one_for_one_or_for_all() -> None:
    async with world() as (store, hook):
        await put(store, subscription(hook.url), subscription("ftp://x/", id_="s2"), subscription(hook.url, id_="s3", status="off"))
        await put(store, task())
        await hook.until(lambda: hook.events == [1])
        one = await ask(store, "status")

        assert (one["type"], one["total"]) == ("searchset", 1)
        assert one["entry"][0]["resource"]["meta"]["profile"][0].endswith("backport-subscription-status-r4")
        assert statuses(one) == {"s1": ("active", "1")}
        assert statuses(await ask(store, "status", "")) == {"s1": ("active", "1"), "s2": ("error", "0"), "s3": ("off", "0")}
        assert list(statuses(await ask(store, "status", "", id="s1,s3"))) == ["s1", "s3"]
        assert list(statuses(await ask(store, "status", "", status="error,off"))) == ["s2", "s3"]
        with pytest.raises(FhirError) as caught:
            await ask(store, "status", "none")
        assert caught.value.status == 404


@story
async def test_a_subscription_nobody_has_looked_at_yet_is_requested_not_active() -> None:
    store = engine.open("sqlite:///:memory:", utc)
    await put(store, subscription(status="active"))

    assert statuses(await ask(store, "status")) == {"s1": ("requested", "0")}
    await asyncio.to_thread(store.close)


def test_a_newer_version_than_the_state_has_seen_is_what_its_writer_asked() -> None:
    state = State(2, "active", 5, 4)

    assert standing({"status": "active"}, 2, state) == state
    assert (standing({"status": "off"}, 3, state).status, standing({"status": "off"}, 3, state).events) == ("off", 5)
    assert standing({"status": "active"}, 3, state).status == "requested"


@story
async def test_events_are_those_notified_even_after_the_resource_changed() -> None:
    async with world() as (store, hook):
        await put(store, subscription(hook.url, content="full-resource"))
        await put(store, task(status="requested"))
        await put(store, task(status="completed"))
        await put(store, care_plan("another"))
        await hook.until(lambda: len(hook.events) == 3)
        all_ = await ask(store, "events")

        assert (all_["type"], told(all_, "type"), told(all_, "events-since-subscription-start")) == ("history", "query-event", "3")
        assert numbers(all_) == [1, 2, 3]
        assert all_["entry"][1:] == [entry for bundle in hook.taken[1:] for entry in bundle["entry"][1:]]
        assert numbers(await ask(store, "events", eventsSinceNumber="2")) == [2, 3]
        assert numbers(await ask(store, "events", eventsSinceNumber="2", eventsUntilNumber="2")) == [2]
        assert numbers(await ask(store, "events", eventsSinceNumber="9")) == []
        less = await ask(store, "events", content="id-only")
        assert not any("resource" in entry for entry in less["entry"][1:])
        for wrong in ({"content": "all"}, {"eventsSinceNumber": "x"}, {"eventsUntilNumber": "-1"}):
            with pytest.raises(FhirError) as caught:
                await ask(store, "events", **wrong)
            assert caught.value.issues[0].french


@story
async def test_events_no_longer_kept_are_said_to_be_missing() -> None:
    async with world(kept=2) as (store, hook):
        await put(store, subscription(hook.url))
        await put(store, *(task(f"t{n}") for n in range(5)))
        await hook.until(lambda: len(hook.events) == 5)
        await asyncio.sleep(0.05)
        answer = await ask(store, "events")

        assert numbers(answer) == [4, 5]
        assert told(answer, "error")["text"].startswith("events 1 to 3 are no longer kept")


@story
async def test_an_answer_has_a_limit_and_says_what_to_ask() -> None:
    async with world() as (store, hook):
        await put(store, subscription(hook.url))
        await put(store, *(task(f"t{n}") for n in range(5)))
        await hook.until(lambda: len(hook.events) == 5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events_operation, "LIMIT", 2)
            with pytest.raises(FhirError) as caught:
                await ask(store, "events")
        assert "eventsSinceNumber=1 to eventsUntilNumber=2" in caught.value.issues[0].diagnostics
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events_operation, "BYTES", 2000)
            with pytest.raises(FhirError):
                await ask(store, "events")


async def why(store: Store, change: str) -> tuple[str, str | None]:
    found = {one["name"]: one for one in (await ask(store, "why", change=change))["parameter"]}
    assert found["fired"]["valueBoolean"] == (found["reason"]["valueCode"] == "fired")
    assert found["text"]["valueString"]
    return found["reason"]["valueCode"], found.get("event-number", {}).get("valueString")


@story
async def test_every_change_has_its_reason() -> None:
    async with world() as (store, hook):
        await put(store, task("early"))
        await put(store, subscription(hook.url, "Task?patient=Patient/x"))
        await put(store, task("t1"))
        await put(store, task("other", patient="y"))
        await put(store, task("alone", plan=None))
        await put(store, care_plan())
        await put(store, {"resourceType": "Patient", "id": "x"})
        await put(store, task("t1", status="completed"))
        await hook.until(lambda: len(hook.events) == 2)

        assert await why(store, "Task/early") == ("before", None)
        assert await why(store, "Task/t1/_history/1") == ("fired", "1")
        assert await why(store, "Task/t1") == ("fired", "2")
        assert await why(store, "Task/other") == ("filtered", None)
        assert await why(store, "Task/alone") == ("criteria", None)
        assert await why(store, "CarePlan/p1") == ("filtered-type", None)
        assert await why(store, "Patient/x") == ("other-type", None)

        current = json.loads((await store.read(lambda reader: reader.read("Subscription", "s1"))).body)
        await put(store, current | {"status": "off"})
        await put(store, task("t2"))
        assert await why(store, "Task/t2") == ("off", None)
        await put(store, current | {"status": "active", "criteria": "nothing"})
        await put(store, task("t3"))
        assert await why(store, "Task/t3") == ("refused", None)
        await store.write(lambda transaction: transaction.delete("Subscription", "s1"))
        await put(store, task("t4"))
        assert await why(store, "Task/t4") == ("deleted", None)
        for wrong, status in (("x", 400), ("Task/none", 404), ("Task/t1/_history/9", 404)):
            with pytest.raises(FhirError) as caught:
                await why(store, wrong)
            assert caught.value.status == status


@story
async def test_a_change_nobody_has_looked_at_yet_is_pending() -> None:
    store = engine.open("sqlite:///:memory:", utc)
    await put(store, subscription())
    await put(store, task())

    assert await why(store, "Task/t1") == ("pending", None)
    await asyncio.to_thread(store.close)
