"""Real store, real sockets: handshake, delivery, outage, slow and broken endpoints, restart."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from subscription_kit import Receiver, care_plan, extension, numbers, receiver, subscription, task, told

from icops_fhir.fhir import json
from icops_fhir.store import engine
from icops_fhir.store.clock import utc
from icops_fhir.store.protocol import Store
from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions.endpoint import Policy
from icops_fhir.subscriptions.state import Limits, State
from icops_fhir.workers import notify, outbox
from icops_fhir.workers.notify import Settings
from icops_fhir.workers.outbox import Live

BASE = "http://127.0.0.1:8080/fhir"
QUICK = Settings(base=BASE, timeout=2.0, limits=Limits(first=0.02, longest=0.05, kept=1000))


@contextlib.asynccontextmanager
async def world(where: Path | None = None, settings: Settings = QUICK) -> AsyncIterator[Store]:
    """A store and its notifier."""
    store = engine.open(f"sqlite:///{where}" if where else "sqlite:///:memory:", utc)
    worker = asyncio.create_task(notify.run(store, utc, settings))
    try:
        yield store
    finally:
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
        await asyncio.to_thread(store.close)


async def put(store: Store, *resources: dict[str, Any]) -> None:
    """One transaction."""
    prepared = [engine.prepare(resource) for resource in resources]
    await store.write(lambda transaction: [transaction.write(one) for one in prepared])


async def stored(store: Store, id_: str = "s1") -> dict[str, Any]:
    version = await store.read(lambda reader: reader.read("Subscription", id_))
    assert version is not None
    return json.loads(version.body)


async def state(store: Store, id_: str = "s1") -> State:
    record = await store.read(lambda reader: reader.record(states.STATE, id_))
    return states.loads(record.body) if record else State(0, "none")


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not await what():     # noqa: ASYNC110 - the condition is in the database
            await asyncio.sleep(0.005)


async def standing(store: Store, status: str, id_: str = "s1") -> None:
    await until(lambda: _is(store, status, id_))


async def _is(store: Store, status: str, id_: str) -> bool:
    return (await state(store, id_)).status == status


def runs(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """An asynchronous test, with a limit."""
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@runs
async def test_a_subscription_is_activated_by_its_handshake_and_hears_each_change_once() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        assert (await stored(store))["status"] == "active"
        await put(store, care_plan())
        await put(store, task())
        await put(store, task(status="completed"))
        await store.write(lambda transaction: transaction.delete("Task", "t1"))
        await put(store, {"resourceType": "Patient", "id": "x"}, task("alone", plan=None))
        await put(store, care_plan(status="completed"))
        await hook.until(lambda: len(hook.events) >= 5)

        assert [told(bundle, "type") for bundle in hook.taken] == ["handshake"] + ["event-notification"] * 5
        assert hook.events == [1, 2, 3, 4, 5]
        methods = [bundle["entry"][1]["request"]["method"] for bundle in hook.taken[1:]]
        assert methods == ["POST", "POST", "PUT", "DELETE", "PUT"]
        assert hook.headers[0]["content-type"] == "application/fhir+json"


@runs
async def test_the_handshake_says_requested_and_carries_the_headers_asked() -> None:
    async with receiver() as hook, world() as store:
        resource = subscription(hook.url)
        resource["channel"]["header"] = ["Authorization: Bearer abc", "X-Site: a: b"]
        await put(store, resource)
        await hook.until(lambda: hook.taken)

        assert (told(hook.taken[0], "status"), told(hook.taken[0], "events-since-subscription-start")) == ("requested", "0")
        assert (hook.headers[0]["authorization"], hook.headers[0]["x-site"]) == ("Bearer abc", "a: b")
        assert hook.headers[0]["host"] == f"127.0.0.1:{hook.port}"


@runs
async def test_a_transaction_gives_consecutive_numbers_batched_as_the_subscriber_asks() -> None:
    async with receiver() as hook, receiver() as other, world() as store:
        await put(store, subscription(hook.url, channel=(extension("backport-max-count", valuePositiveInt=3),)), subscription(other.url, id_="s2"))
        await standing(store, "active")
        await standing(store, "active", "s2")
        await put(store, care_plan(), task("t1"), task("t2"), task("t3"))
        await hook.until(lambda: len(hook.events) >= 4)
        await other.until(lambda: len(other.events) >= 4)

        assert [numbers(bundle) for bundle in hook.taken[1:]] == [[1, 2, 3], [4]]
        assert [numbers(bundle) for bundle in other.taken[1:]] == [[1], [2], [3], [4]]


@runs
async def test_numbers_have_no_gap_through_an_outage() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        await put(store, care_plan())
        await hook.until(lambda: hook.events == [1])
        await hook.down()
        for number in range(5):
            await put(store, task(f"t{number}"))
        await until(lambda: _tried(store, 3))
        assert (await state(store)).code == "no-response"
        await hook.up()
        await hook.until(lambda: len(hook.events) >= 6)

        assert hook.events == [1, 2, 3, 4, 5, 6]
        await until(lambda: _calm(store))


async def _tried(store: Store, times: int) -> bool:
    return (await state(store)).attempts >= times


async def _calm(store: Store) -> bool:
    found = await state(store)
    return not found.waiting and not found.attempts and not found.error


@runs
async def test_an_endpoint_that_answers_500_gets_the_same_notification_again() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        hook.status = 500
        await put(store, task())
        await hook.until(lambda: len(hook.tries) >= 4)
        hook.status = 204
        await hook.until(lambda: hook.events)

        assert hook.events == [1]
        assert len({bundle["id"] for bundle in hook.tries[1:]}) == 1


@runs
async def test_a_failed_handshake_is_an_error_with_its_reason_and_loses_no_event() -> None:
    async with receiver() as hook, world() as store:
        hook.status = 401
        await put(store, subscription(hook.url))
        await standing(store, "error")
        await put(store, task())
        shown = await stored(store)
        assert shown["status"] == "error"
        assert "HTTP 401" in shown["error"]
        hook.status = 200
        await put(store, shown | {"status": "requested"})
        await hook.until(lambda: hook.events)

        assert hook.events == [1]
        await until(lambda: _calm(store))
        assert "error" not in await stored(store)


@runs
async def test_a_subscription_that_is_given_up_keeps_its_events_for_its_return() -> None:
    settings = Settings(base=BASE, timeout=1.0, limits=Limits(first=0.01, longest=0.02, give_up=0.1))
    async with receiver() as hook, world(settings=settings) as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        await hook.down()
        await put(store, task("t1"))
        await standing(store, "error")
        await put(store, task("t2"))
        assert "given up" in (await stored(store))["error"]
        await hook.up()
        await put(store, await stored(store) | {"status": "active"})
        await hook.until(lambda: len(hook.events) >= 2)

        assert hook.events == [1, 2]
        assert [told(bundle, "type") for bundle in hook.taken] == ["handshake", "handshake", "event-notification", "event-notification"]


@runs
async def test_one_bad_endpoint_never_delays_the_others() -> None:
    settings = Settings(base=BASE, timeout=5.0, posts=2, limits=Limits(first=0.01, longest=0.02))
    async with receiver() as good, receiver() as slow, receiver() as broken, world(settings=settings) as store:
        await put(store, subscription(good.url, id_="good"), subscription(slow.url, id_="slow"), *(subscription(broken.url, id_=f"broken{n}") for n in range(3)))
        for id_ in ("good", "slow", "broken0", "broken1", "broken2"):
            await standing(store, "active", id_)
        slow.delay, broken.status = 4.0, 503
        await put(store, *(task(f"t{number}") for number in range(10)))
        await good.until(lambda: len(good.events) == 10, 3.0)

        assert good.events == list(range(1, 11))
        assert slow.events == []
        assert broken.events == []


@runs
async def test_endpoints_that_hang_have_their_own_places() -> None:
    settings = Settings(base=BASE, timeout=0.5, posts=2, limits=Limits(first=0.01, longest=0.01))
    async with receiver() as good, receiver() as hung, world(settings=settings) as store:
        await put(store, subscription(good.url, "careplan=CarePlan/p1", id_="good"), *(subscription(hung.url, id_=f"hung{n}") for n in range(6)))
        for id_ in ("good", *(f"hung{n}" for n in range(6))):
            await standing(store, "active", id_)
        hung.delay = 60.0
        await put(store, task("t0", plan="p2"))
        for n in range(6):
            await until(lambda n=n: _failing(store, f"hung{n}"))
        await put(store, task("t1"))
        await good.until(lambda: good.events == [1], 0.4)

        assert hung.events == []


async def _failing(store: Store, id_: str) -> bool:
    return (await state(store, id_)).attempts > 0


@runs
async def test_new_events_do_not_shorten_the_wait_but_the_subscriber_does() -> None:
    settings = Settings(base=BASE, timeout=2.0, limits=Limits(first=60, longest=60))
    async with receiver() as hook, world(settings=settings) as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        hook.status = 503
        await put(store, task("t1"))
        await until(lambda: _tried(store, 1))
        await put(store, task("t2"), task("t3"))
        await until(lambda: _numbered(store, 3))
        await asyncio.sleep(0.1)
        assert len(hook.tries) == 2
        hook.status = 200
        await put(store, await stored(store) | {"status": "requested"})
        await hook.until(lambda: len(hook.events) == 3)

        assert hook.events == [1, 2, 3]


async def _numbered(store: Store, events: int) -> bool:
    return (await state(store)).events == events


@runs
async def test_an_endpoint_that_never_answers_is_left_after_its_time() -> None:
    settings = Settings(base=BASE, timeout=30.0, limits=Limits(first=0.01, longest=0.02))
    async with receiver() as hook, world(settings=settings) as store:
        await put(store, subscription(hook.url, channel=(extension("backport-timeout", valueUnsignedInt=1),)))
        await standing(store, "active")
        hook.delay = 60.0
        await put(store, task())
        await until(lambda: _tried(store, 1), 3.0)

        assert "did not answer within 1 s" in (await state(store)).error


def test_a_restart_in_the_middle_of_an_outage_goes_on_where_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as hook:
            async with world(tmp_path / "a.db") as store:
                await put(store, subscription(hook.url))
                await standing(store, "active")
                await put(store, task("t1"))
                await hook.until(lambda: hook.events == [1])
                await hook.down()
                await put(store, task("t2"))
                await until(lambda: _tried(store, 1))
            store = engine.open(f"sqlite:///{tmp_path / 'a.db'}", utc)      # written while nobody was notifying
            await put(store, task("t3"))
            await asyncio.to_thread(store.close)
            await hook.up()
            async with world(tmp_path / "a.db") as store:
                await hook.until(lambda: len(hook.events) >= 3)
                await put(store, task("t4"))
                await hook.until(lambda: len(hook.events) >= 4)
            assert hook.events == [1, 2, 3, 4]
            assert [told(bundle, "type") for bundle in hook.taken].count("handshake") == 1

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_notification_on_its_way_when_stopping_is_noted_and_not_sent_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as hook:
            async with world(tmp_path / "a.db") as store:
                await put(store, subscription(hook.url))
                await standing(store, "active")
                hook.delay = 0.2
                await put(store, task("t1"), task("t2"))
                await until(lambda: _came(hook, 2))
            assert hook.events == [1]
            hook.delay = 0.0
            async with world(tmp_path / "a.db") as store:
                await hook.until(lambda: len(hook.events) >= 2)
                await until(lambda: _calm(store))
            assert hook.events == [1, 2]

    asyncio.run(asyncio.wait_for(story(), 30))


async def _came(hook: Receiver, posts: int) -> bool:
    return len(hook.tries) >= posts


def test_a_restart_before_the_handshake_makes_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as hook:
            store = engine.open(f"sqlite:///{tmp_path / 'a.db'}", utc)
            await put(store, subscription(hook.url), task())
            await asyncio.to_thread(store.close)
            async with world(tmp_path / "a.db") as store:
                await hook.until(lambda: hook.events == [1])
                await standing(store, "active")

    asyncio.run(asyncio.wait_for(story(), 30))


@runs
async def test_filters_leave_out_other_patients_and_types() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url, "Task?patient=Patient/x"))
        await standing(store, "active")
        await put(store, care_plan(), task("t1", patient="y"), task("t2", patient="x"), care_plan("p2", patient="y"))
        await hook.until(lambda: hook.events)

        assert hook.events == [1]
        assert hook.taken[-1]["entry"][1]["fullUrl"] == f"{BASE}/Task/t2"


@runs
async def test_full_resource_is_the_version_of_the_change_not_a_later_one() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url, content="full-resource"))
        await standing(store, "active")
        await store.write(lambda transaction: [transaction.write(engine.prepare(task(status=status))) for status in ("requested", "accepted", "completed")])
        await hook.until(lambda: len(hook.events) >= 3)

        assert [bundle["entry"][1]["resource"]["status"] for bundle in hook.taken[1:]] == ["requested", "accepted", "completed"]
        assert [bundle["entry"][1]["resource"]["meta"]["versionId"] for bundle in hook.taken[1:]] == ["1", "2", "3"]


@runs
async def test_off_stops_at_once_and_requested_starts_again_without_a_gap() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        await put(store, task("t1"))
        await hook.until(lambda: hook.events == [1])
        await put(store, await stored(store) | {"status": "off"})
        await standing(store, "off")
        await put(store, task("t2"))
        await put(store, await stored(store) | {"status": "requested"})
        await put(store, task("t3"))
        await hook.until(lambda: len(hook.events) >= 2)

        assert hook.events == [1, 2]
        assert hook.taken[-1]["entry"][1]["fullUrl"] == f"{BASE}/Task/t3"


@runs
async def test_a_new_endpoint_is_verified_before_anything_goes_there() -> None:
    async with receiver() as old, receiver() as new, world() as store:
        await put(store, subscription(old.url))
        await standing(store, "active")
        resource = await stored(store)
        resource["channel"]["endpoint"] = new.url
        await put(store, resource)
        await put(store, task())
        await new.until(lambda: new.events)

        assert [told(bundle, "type") for bundle in new.taken] == ["handshake", "event-notification"]
        assert old.events == []
        assert (await stored(store))["status"] == "active"


@runs
async def test_an_edit_while_a_notification_is_on_its_way_sends_nothing_twice() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        hook.delay = 0.2
        await put(store, task("t1"))
        await until(lambda: _came(hook, 2))
        await put(store, await stored(store) | {"reason": "edited"})
        await put(store, task("t2"))
        await hook.until(lambda: len(hook.events) >= 2)
        await until(lambda: _calm(store))

        assert hook.events == [1, 2]
        assert (await stored(store))["reason"] == "edited"


@runs
async def test_what_a_client_has_just_asked_is_not_overwritten_by_an_answer_to_the_version_before() -> None:
    store = engine.open("sqlite:///:memory:", utc)
    await put(store, subscription())
    followed = await store.read(lambda reader: outbox.look(reader, 0, {}))
    await store.write(lambda transaction: outbox.keep(transaction, followed, Limits(), BASE))
    await put(store, await stored(store) | {"status": "off"})
    late = await store.write(lambda transaction: outbox.settle(transaction, "s1", lambda found: states.accept(found, 0, utc()), Limits()))

    assert late is not None
    assert (await stored(store))["status"] == "off"
    rest = await store.read(lambda reader: outbox.look(reader, followed.upto, {}))
    await store.write(lambda transaction: outbox.keep(transaction, rest, Limits(), BASE))
    assert (await state(store)).status == "off"
    await asyncio.to_thread(store.close)


@runs
async def test_an_older_answer_never_hides_a_newer_state() -> None:
    store = engine.open("sqlite:///:memory:", utc)
    notifier = notify.Notifier(store, utc, QUICK)
    notifier._learn("s1", Live(None, State(1, events=2, revision=2)))
    notifier._learn("s1", Live(None, State(1, events=1, revision=1)))

    assert notifier._live["s1"].state.events == 2
    await asyncio.to_thread(store.close)


@runs
async def test_a_deleted_subscription_hears_nothing_more_and_keeps_nothing() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        await put(store, task("t1"))
        await hook.until(lambda: hook.events)
        await store.write(lambda transaction: transaction.delete("Subscription", "s1"))
        await put(store, task("t2"))
        await until(lambda: _nothing_kept(store))

        assert (await state(store)).deleted
        assert hook.events == [1]


async def _nothing_kept(store: Store) -> bool:
    return not await store.read(lambda reader: reader.records(states.EVENT, owner="s1"))


@runs
async def test_a_stored_subscription_that_cannot_be_served_says_why_and_stops_no_other() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription("ftp://x/", id_="bad"), {"resourceType": "Subscription", "id": "old", "status": "active", "criteria": "Task?status=x"}, subscription(hook.url))
        await standing(store, "error", "bad")
        await standing(store, "error", "old")
        await standing(store, "active")
        await put(store, task())
        await hook.until(lambda: hook.events)

        assert "not a topic of this server" in (await stored(store, "old"))["error"]


def test_the_cursor_moves_on_over_changes_that_concern_nobody_without_a_write_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "STRIDE", 5)

    async def story() -> None:
        store = engine.open("sqlite:///:memory:", utc)
        notifier = notify.Notifier(store, utc, QUICK)
        cursors = []
        for number in range(7):
            await put(store, {"resourceType": "Patient", "id": f"x{number}"})
            await notifier.step()
            cursors.append(await store.read(lambda reader: reader.cursor(states.CURSOR)))
        assert cursors == [0, 0, 0, 0, 5, 5, 5]
        await asyncio.to_thread(store.close)

    asyncio.run(asyncio.wait_for(story(), 30))


def test_the_number_of_subscriptions_has_a_limit_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SUBSCRIPTIONS", 2)

    async def story() -> None:
        async with receiver() as hook, world() as store:
            await put(store, *(subscription(hook.url, id_=f"s{number}") for number in (1, 2, 3)))
            await standing(store, "error", "s3")
            assert "2 subscriptions at most" in (await stored(store, "s3"))["error"]
            await store.write(lambda transaction: transaction.delete("Subscription", "s1"))
            await put(store, await stored(store, "s3") | {"status": "requested"})
            await standing(store, "active", "s3")

    asyncio.run(asyncio.wait_for(story(), 30))


@runs
async def test_an_endpoint_outside_the_policy_is_never_spoken_to() -> None:
    async with receiver() as hook, world(settings=Settings(base=BASE, policy=Policy(("public",)))) as store:
        await put(store, subscription(hook.url.replace("127.0.0.1", "localhost")))
        await standing(store, "error")

        assert hook.tries == []
        assert "does not notify" in (await stored(store))["error"]


@runs
async def test_a_name_that_does_not_exist_is_said() -> None:
    async with world() as store:
        await put(store, subscription("http://no-such-host.invalid/hook"))
        await standing(store, "error")

        assert (await state(store)).code == "dns-resolution-error"


@runs
async def test_an_end_date_turns_it_off() -> None:
    async with receiver() as hook, world() as store:
        end = states.instant(utc() + notify.timedelta(seconds=0.4))
        await put(store, subscription(hook.url, end=end))
        await standing(store, "active")
        await standing(store, "off")

        assert "ended on" in (await stored(store))["error"]


@runs
async def test_a_heartbeat_comes_when_nothing_else_does() -> None:
    async with receiver() as hook, world() as store:
        await put(store, subscription(hook.url, channel=(extension("backport-heartbeat-period", valueUnsignedInt=1),)))
        await hook.until(lambda: len(hook.taken) >= 2, 5.0)

        assert told(hook.taken[1], "type") == "heartbeat"
        assert told(hook.taken[1], "events-since-subscription-start") == "0"


@runs
async def test_the_backlog_of_a_dead_endpoint_has_an_end() -> None:
    settings = Settings(base=BASE, timeout=1.0, limits=Limits(first=0.01, longest=0.02, give_up=0.05, backlog=5))
    async with receiver() as hook, world(settings=settings) as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        await hook.down()
        await put(store, task("t0"))
        await standing(store, "error")
        await put(store, *(task(f"t{number}") for number in range(1, 8)))
        await standing(store, "off")

        assert (await state(store)).events == 5
        assert "5 events wait" in (await stored(store))["error"]
        await hook.up()
        await put(store, await stored(store) | {"status": "requested"})
        await hook.until(lambda: len(hook.events) >= 5)
        assert hook.events == [1, 2, 3, 4, 5]


@runs
async def test_delivered_events_are_kept_up_to_the_limit_and_undelivered_ones_always() -> None:
    settings = Settings(base=BASE, timeout=1.0, limits=Limits(first=0.01, longest=0.02, kept=2))
    async with receiver() as hook, world(settings=settings) as store:
        await put(store, subscription(hook.url))
        await standing(store, "active")
        await put(store, *(task(f"t{number}") for number in range(6)))
        await hook.until(lambda: len(hook.events) == 6)
        await until(lambda: _calm(store))
        await hook.down()
        await put(store, *(task(f"u{number}") for number in range(4)))
        await until(lambda: _tried(store, 1))
        kept = await store.read(lambda reader: reader.records(states.EVENT, owner="s1"))

        assert [json.loads(record.body)["number"] for record in kept] == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
def test_each_payload_reaches_the_endpoint(content: str) -> None:
    async def story() -> None:
        async with receiver() as hook, world() as store:
            await put(store, subscription(hook.url, content=content))
            await standing(store, "active")
            await put(store, care_plan())
            await put(store, task())
            await hook.until(lambda: len(hook.events) == 2)
            entries = hook.taken[-1]["entry"][1:]
            expected = {"empty": [], "id-only": [False, False], "full-resource": [True, True]}[content]
            assert expected == ["resource" in entry for entry in entries]

    asyncio.run(asyncio.wait_for(story(), 30))


def test_the_receiver_of_these_tests_is_a_real_one() -> None:
    assert Receiver().events == []
