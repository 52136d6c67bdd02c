"""The law of event numbers: whatever is written, crashes or restarts, each subscription hears what a naive reader of the feed expects."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from subscription_kit import care_plan, numbers, receiver, subscription, task

from icops_fhir.store import engine
from icops_fhir.store.clock import utc
from icops_fhir.store.protocol import Store, Transaction
from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions.state import State
from icops_fhir.workers import notify, outbox

FILTERS = {"all": (), "x": ("Task?patient=Patient/x",), "plan": ("careplan=CarePlan/p1",)}

happening = st.one_of(
    st.tuples(st.just("plan"), st.sampled_from(["p1", "p2"])),
    st.tuples(st.just("task"), st.sampled_from(["t1", "t2"]), st.sampled_from([None, "p1", "p2"]), st.sampled_from(["x", "y"])),
    st.tuples(st.just("delete"), st.sampled_from(["Task/t1", "Task/t2", "CarePlan/p1", "Subscription/s1", "Subscription/s2"])),
    st.tuples(st.just("subscribe"), st.sampled_from(["s1", "s2"]), st.sampled_from(sorted(FILTERS)), st.sampled_from(["requested", "active", "off"])),
    st.tuples(st.just("patient")),
    st.tuples(st.sampled_from(["follow", "crash before", "crash inside", "restart"])),
    st.tuples(st.just("answer"), st.sampled_from(["s1", "s2"]), st.booleans()),
)


class Crash(Exception):
    """The process would be gone."""


class Numbering(notify.Notifier):
    """The follower alone: what it sends is another test."""

    def _rouse(self, id_: str) -> None:
        pass


def expected(store: Store) -> dict[str, list[tuple[int, str]]]:
    """What each subscription should have heard of, read naively from the feed; one made again starts after its last number."""
    heard: dict[str, list[str]] = {"s1": [], "s2": []}
    forgotten: dict[str, int] = {"s1": 0, "s2": 0}
    alive: dict[str, dict[str, Any]] = {}

    def job(reader: Any) -> None:
        for change in reader.changes(0, 10_000):
            body = reader.vread(change.type, change.id, change.version).body
            now = json.loads(body) if body else None
            before = reader.vread(change.type, change.id, change.version - 1)
            was = json.loads(before.body) if before and before.body else None
            if change.type == "Subscription":
                alive.pop(change.id, None)
                if now and not was:
                    forgotten[change.id] = len(heard[change.id])
                if now and now["status"] != "off":
                    alive[change.id] = now
            elif change.type in ("CarePlan", "Task"):
                if change.type == "Task" and not any(one and "basedOn" in one for one in (was, now)):
                    continue
                for id_, one in alive.items():
                    text = one.get("_criteria", {}).get("extension", [{}])[0].get("valueString", "")
                    shown = now or was or {}
                    plans = ["CarePlan/" + change.id] if change.type == "CarePlan" else [based["reference"] for based in shown.get("basedOn", ())]
                    if (not text or (text.startswith("careplan") and "CarePlan/p1" in plans)
                            or (text.startswith("Task?") and change.type == "Task" and shown["for"]["reference"] == "Patient/x")):
                        heard[id_].append(f"{change.type}/{change.id}/_history/{change.version}")

    store.view(job)
    return {id_: list(enumerate(texts, start=1))[forgotten[id_]:] for id_, texts in heard.items()}


def kept(store: Store, id_: str) -> list[tuple[int, str]]:
    records = store.view(lambda reader: reader.records(states.EVENT, owner=id_, limit=10_000))
    return [(body["number"], body["focus"]) for body in (json.loads(record.body) for record in records)]


async def happen(what: tuple[Any, ...], world: dict[str, Any], path: str) -> None:
    store: Store = world["store"]
    notifier: Numbering = world["notifier"]

    def write(resource: dict[str, Any]) -> None:
        prepared = engine.prepare(resource)
        store.submit(lambda transaction: transaction.write(prepared)).result()

    match what:
        case ("plan", id_):
            write(care_plan(id_))
        case ("task", id_, plan, patient):
            write(task(id_, plan=plan, patient=patient))
        case ("patient",):
            write({"resourceType": "Patient", "id": "x"})
        case ("delete", place):
            store.submit(lambda transaction: transaction.delete(*place.split("/"))).result()
        case ("subscribe", id_, filter_, status):
            write(subscription("http://127.0.0.1:9/", *FILTERS[filter_], id_=id_, status=status))
        case ("follow",):
            await notifier.step()
        case ("crash before",):
            known = dict(notifier._live)
            store.view(lambda reader: outbox.look(reader, notifier._position, known))
            await restart(world, path)
        case ("crash inside",):
            known = dict(notifier._live)
            plan = store.view(lambda reader: outbox.look(reader, notifier._position, known))

            def torn(transaction: Transaction) -> None:
                outbox.keep(transaction, plan, notify.Limits(), "")
                raise Crash

            with pytest.raises(Crash):
                store.submit(torn).result()
            await restart(world, path)
        case ("restart",):
            await restart(world, path)
        case ("answer", id_, well):
            found = notifier._live.get(id_)
            if found and found.state.status in ("requested", "active") and not found.state.deleted:
                def told(state: State) -> State:
                    if state.status not in ("requested", "active"):
                        return state
                    upto = state.delivered + (state.status == "active" and state.waiting > 0)
                    return states.accept(state, upto, utc()) if well else states.fail(state, "no-response", "no answer", utc(), notify.Limits(), 0.5)
                await notifier._settle(id_, told)


async def restart(world: dict[str, Any], path: str) -> None:
    await asyncio.to_thread(world["store"].close)
    await start(world, path)


async def start(world: dict[str, Any], path: str) -> None:
    world["store"] = engine.open(f"sqlite:///{path}", utc, readers=1)
    world["notifier"] = Numbering(world["store"], utc, notify.Settings())
    await world["notifier"].resume()


@settings(max_examples=min(600, settings().max_examples))
@given(st.lists(happening, min_size=4, max_size=30), st.integers(1, 7), st.integers(1, 4))
def test_numbers_are_gap_free_and_are_what_the_feed_says_for_any_interleaving(whats: list[tuple[Any, ...]], batch: int, stride: int) -> None:
    async def story() -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(outbox, "BATCH", batch)
            patch.setattr(notify, "STRIDE", stride)
            world: dict[str, Any] = {}
            await start(world, f"{folder}/a.db")
            try:
                for what in (("subscribe", "s1", "all", "requested"), ("task", "t1", "p1", "x"), ("follow",), *whats):
                    await happen(what, world, f"{folder}/a.db")
                while await world["notifier"].step():
                    pass
                heard = expected(world["store"])
                for id_ in ("s1", "s2"):
                    record = world["store"].view(lambda reader, id_=id_: reader.record(states.STATE, id_))
                    found = kept(world["store"], id_)
                    assert found == heard[id_]
                    assert not found or states.loads(record.body).events == found[-1][0]
            finally:
                await asyncio.to_thread(world["store"].close)

    asyncio.run(story())


CHILD = """
import asyncio, sys
sys.path.insert(0, {kit!r})
from subscription_kit import task
from icops_fhir.store import engine
from icops_fhir.store.clock import utc
from icops_fhir.workers import notify

async def main():
    store = engine.open("sqlite:///{path}", utc)
    worker = asyncio.create_task(notify.run(store, utc, notify.Settings(timeout=2.0, limits=notify.Limits(first=0.01, longest=0.05))))
    print("up", flush=True)
    for number in range({count}):
        prepared = engine.prepare(task("t%d" % (number % 7)))
        await store.write(lambda transaction: transaction.write(prepared))
        await asyncio.sleep(0.001)
    await worker

asyncio.run(main())
"""


def test_kill_9_loses_no_event_and_doubles_no_number(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def story() -> None:
        async with receiver() as hook:
            store = engine.open(f"sqlite:///{path}", utc)
            first = engine.prepare(subscription(hook.url))
            store.submit(lambda transaction: transaction.write(first)).result()
            await asyncio.to_thread(store.close)
            for life, (pause, count) in enumerate(((0.15, 10_000), (0.3, 10_000), (0.05, 10_000), (0.0, 20))):
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", CHILD.format(kit=str(Path(__file__).parent), path=path, count=count), stdout=asyncio.subprocess.PIPE,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
                assert child.stdout is not None
                assert await child.stdout.readline() == b"up\n"
                seen = len(hook.taken)
                await hook.until(lambda seen=seen: len(hook.taken) > seen + 3)
                await asyncio.sleep(pause)
                if life == 3:
                    for quiet in range(100):
                        done = len(hook.events)
                        await asyncio.sleep(0.1)
                        if quiet > 3 and len(hook.events) == done:
                            break
                child.send_signal(signal.SIGKILL)
                await child.wait()
            store = engine.open(f"sqlite:///{path}", utc)
            changes = [change for change in store.view(lambda reader: reader.changes(0, 100_000)) if change.type == "Task"]
            await asyncio.to_thread(store.close)
            first_time = list(dict.fromkeys(hook.events))
            assert first_time == list(range(1, len(changes) + 1))
            assert len(hook.events) - len(first_time) <= 3      # at most the one that was on its way at each death
            bundles = {number: bundle["id"] for bundle in hook.taken for number in numbers(bundle)}
            assert all(bundles[number] == bundle["id"] for bundle in hook.taken for number in numbers(bundle))

    asyncio.run(asyncio.wait_for(story(), 60))
