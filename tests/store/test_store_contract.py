"""What any store does, by example. https://hl7.org/fhir/R4/http.html"""

import asyncio
import json
import threading

import pytest
from store_kit import Hands, create, current, feed, open_store, prepared, replay

from icops_fhir.fhir.issue import FhirError
from icops_fhir.store.protocol import MISS, Original


def status(action):
    with pytest.raises(FhirError) as caught:
        action()
    assert caught.value.issues[0].french
    return caught.value.status


def test_a_version_is_the_bytes_served_with_the_writers_stamps(store):
    version = store.submit(create("a", 7)).result()
    expected = b'{"resourceType":"Basic","id":"a","meta":{"versionId":"1","lastUpdated":"2026-03-01T08:00:00.000Z"},"x":7}'

    assert expected == version.body
    assert version == store.view(lambda r: r.read("Basic", "a"))
    assert (version.version, version.sequence, version.method) == (1, 1, "create")


def test_what_is_written_is_at_hand_and_what_was_never_there_is_not(store):
    version = store.submit(create("a")).result()

    assert version == store.current("Basic", "a")
    assert MISS is store.current("Basic", "b")
    assert store.view(lambda r: r.read("Basic", "b")) is None


def test_update_delete_and_return_count_on(store):
    for job in (create("a", 1), create("a", 2), lambda tx: tx.delete("Basic", "a"), create("a", 3)):
        store.submit(job).result()
    history = store.view(lambda r: r.history("Basic", "a"))

    assert [(v.version, v.method) for v in history] == [(4, "create"), (3, "delete"), (2, "update"), (1, "create")]
    assert history == store.view(lambda r: [r.vread("Basic", "a", n) for n in (4, 3, 2, 1)])
    assert history[1].deleted
    assert history[1].body == b""
    assert store.view(lambda r: r.vread("Basic", "a", 5)) is None
    assert store.view(lambda r: r.vread("Basic", "a", 10**30)) is None


def test_a_deleted_resource_answers_its_deletion_everywhere(store):
    store.submit(create("a")).result()
    gone = store.submit(lambda tx: tx.delete("Basic", "a")).result()

    assert gone.deleted
    assert gone == store.current("Basic", "a")
    assert gone == store.view(lambda r: r.read("Basic", "a"))
    assert store.submit(lambda tx: tx.delete("Basic", "a")).result() is None
    assert store.submit(lambda tx: tx.delete("Basic", "never")).result() is None
    assert store.sequence == 2


def test_if_match_and_if_absent_refuse_with_412_and_leave_nothing(store):
    store.submit(create("a")).result()
    refused = [
        lambda tx: tx.write(prepared("a"), expected=2),
        lambda tx: tx.write(prepared("a"), absent=True),
        lambda tx: tx.write(prepared("b"), expected=1),
        lambda tx: tx.delete("Basic", "a", expected=2),
        lambda tx: tx.delete("Basic", "b", expected=1),
    ]

    assert [status(store.submit(job).result) for job in refused] == [412] * 5
    assert store.sequence == 1
    assert store.submit(lambda tx: tx.write(prepared("a"), expected=1)).result().version == 2
    store.submit(lambda tx: tx.delete("Basic", "a", expected=2)).result()
    assert store.submit(lambda tx: tx.write(prepared("a"), absent=True)).result().version == 4
    assert status(store.submit(lambda tx: tx.write(prepared("a"), expected=3)).result) == 412


def test_a_job_sees_its_own_writes_and_others_only_after_commit(store):
    seen = []

    def job(tx):
        tx.write(prepared("a", 1))
        tx.put("queue", "k", b"{}", owner="o", due="2026")
        seen.append((tx.read("Basic", "a").version, tx.record("queue", "k").owner, store.current("Basic", "a"), store.sequence))
        return tx.instant

    instant = store.submit(job).result()

    assert seen == [(1, "o", MISS, 0)]
    assert instant == store.current("Basic", "a").updated


def test_history_is_newest_first_pages_by_sequence_and_starts_since_an_instant(url, opened):
    clock = Hands()
    store = opened(url, clock)
    for n in range(10):
        store.submit(create(f"p{n % 3}", n, "Patient" if n % 3 else "Basic")).result()
        clock.forward(seconds=1)
    whole = store.view(lambda r: r.history())
    types = store.view(lambda r: r.history("Patient"))

    assert list(range(10, 0, -1)) == [v.sequence for v in whole]
    assert [v for v in whole if v.type == "Patient"] == types
    assert whole[3:5] == store.view(lambda r: r.history(before=8, count=2))
    assert types[2:] == store.view(lambda r: r.history("Patient", before=types[1].sequence))
    assert [v.sequence for v in store.view(lambda r: r.history("Patient", "p2"))] == [9, 6, 3]
    assert [v.sequence for v in store.view(lambda r: r.history("Patient", "p2", before=9, count=1))] == [6]
    for since, first in (("2026-03-01T08:00:04.000Z", 5), ("2026-03-01T08:00:04.001Z", 6), ("2020", 1), ("2030", 11)):
        assert [v for v in whole if v.sequence >= first] == store.view(lambda r, since=since: r.history(since=since))


def test_an_original_is_kept_once_and_never_changed(store):
    first = Original("k", "HIS", "42", "00ff", "x-application/hl7-v2+er7", "2026-03-01T08:00:00.000Z", b"MSH|\xff")

    assert store.submit(lambda tx: tx.keep(first)).result()
    assert not store.submit(lambda tx: tx.keep(first._replace(body=b"other"))).result()
    assert first == store.view(lambda r: r.original("k"))
    assert store.view(lambda r: r.original("unknown")) is None


def test_records_come_by_key_by_owner_and_by_due(store):
    def job(tx):
        for key, owner, due in (("c", "x", "2026-02"), ("a", "y", "2026-03"), ("b", "x", ""), ("d", "x", "2026-01")):
            tx.put("queue", key, b"1", owner=owner, due=due)
        tx.put("other", "z", b"2")
        tx.put("queue", "a", b"3", owner="y", due="2026-03")

    store.submit(job).result()

    def keys(**options):
        return "".join(record.key for record in store.view(lambda r: r.records("queue", **options)))

    assert keys() == "abcd"
    assert (keys(after_key="a"), keys(limit=2), keys(owner="x")) == ("bcd", "ab", "bcd")
    assert (keys(owner="x", after_key="b", limit=1), keys(owner="nobody"), keys(owner="")) == ("c", "", "")
    assert (keys(due_before="2026-03"), keys(due_before="2026-02", owner="x"),
                                        keys(due_before="2026-01"), keys(due_before="9", limit=2)) == ("dca", "dc", "d", "dc")
    assert store.view(lambda r: r.record("queue", "a")).body == b"3"
    store.submit(lambda tx: tx.drop("queue", "a")).result()
    assert store.view(lambda r: r.record("queue", "a")) is None
    with pytest.raises(ValueError, match="due"):
        keys(due_before="9", after_key="a")


def test_a_cursor_goes_forward_only(store):
    store.submit(lambda tx: tx.advance("notify", 5)).result()
    store.submit(lambda tx: tx.advance("notify", 5)).result()

    assert status(store.submit(lambda tx: (tx.put("effect", "e", b"1"), tx.advance("notify", 4))).result) == 409
    assert store.view(lambda r: r.record("effect", "e")) is None
    assert store.view(lambda r: (r.cursor("notify"), r.cursor("other"))) == (5, 0)


def test_the_feed_pages_and_wakes_who_waits(store):
    for n in range(5):
        store.submit(create(f"a{n}")).result()

    assert [c.sequence for c in store.view(lambda r: r.changes(1, 2))] == [2, 3]

    async def waits():
        waiter = asyncio.create_task(store.changed(5))
        cancelled = asyncio.create_task(store.changed(50))
        await asyncio.sleep(0.05)
        assert not waiter.done()
        cancelled.cancel()
        await store.write(create("b"))
        return await asyncio.wait_for(waiter, 5), await store.changed(2)

    assert asyncio.run(waits()) == (6, 6)


def test_the_queue_is_bounded_and_says_429(url, opened):
    store = opened(url, queue=3)
    started, go = threading.Event(), threading.Event()
    blocker = store.submit(lambda tx: (started.set(), go.wait(10)))
    started.wait(10)
    waiting = [store.submit(create(f"w{n}")) for n in range(3)]

    async def one_more():
        await store.write(create("x"))

    assert status(lambda: store.submit(create("x"))) == 429
    assert status(lambda: asyncio.run(one_more())) == 429
    go.set()
    blocker.result(10)
    assert len({future.result(10).sequence for future in waiting}) == 3


def test_the_readers_queue_is_bounded_too(url, opened):
    store = opened(url, waiting=2, readers=1)
    started, go = threading.Event(), threading.Event()

    async def many():
        first = asyncio.create_task(store.read(lambda r: (started.set(), go.wait(10))))
        await asyncio.to_thread(started.wait, 10)
        later = [asyncio.create_task(store.read(lambda r: r.cursor("c"))) for _ in range(3)]
        await asyncio.sleep(0.05)
        go.set()
        return await asyncio.gather(first, *later, return_exceptions=True)

    _, *answers = asyncio.run(many())
    assert answers[:2] == [0, 0]
    assert answers[2].status == 429


def test_a_caller_that_gives_up_before_its_turn_is_not_served(store):
    started, go = threading.Event(), threading.Event()

    async def gives_up():
        store.submit(lambda tx: (started.set(), go.wait(10)))
        await asyncio.to_thread(started.wait, 10)
        task = asyncio.create_task(store.write(create("given-up")))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        thread = store.submit(create("given-up-too"))
        assert thread.cancel()
        go.set()
        return await store.write(create("next"))

    assert asyncio.run(gives_up()).sequence == 1
    assert {"next"} == {c.id for c in feed(store)}


def test_the_exception_of_a_job_reaches_its_caller_as_it_is(store):
    class Own(Exception):
        pass

    def fails(tx):
        tx.write(prepared("a"))
        raise Own("mine")

    async def awaited():
        await store.write(fails)

    with pytest.raises(Own, match="mine"):
        store.submit(fails).result()
    with pytest.raises(Own, match="mine"):
        asyncio.run(awaited())
    with pytest.raises(SystemExit):
        store.submit(lambda tx: exit(3)).result()
    with pytest.raises(RuntimeError, match="StopIteration"):
        store.submit(lambda tx: next(iter(()))).result()
    with pytest.raises(Own):
        store.view(lambda r: (_ for _ in ()).throw(Own))
    assert store.submit(create("b")).result().sequence == 1


def test_a_reader_that_escapes_its_job_is_of_no_use(store):
    for escaped in (store.view(lambda r: r), store.submit(lambda tx: tx).result()):
        with pytest.raises(RuntimeError, match="inside the job"):
            escaped.read("Basic", "a")


def test_a_reading_job_is_one_snapshot(tmp_path, opened):
    store = opened(f"sqlite:///{tmp_path}/s.db")
    store.submit(create("a", 1)).result()

    def job(reader):
        before = reader.read("Basic", "a").version
        store.submit(create("a", 2)).result()
        return before, reader.read("Basic", "a").version, len(reader.changes(0)), reader.history("Basic", "a")[0].version

    assert store.view(job) == (1, 1, 1, 1)
    assert store.current("Basic", "a").version == 2


def test_closing_finishes_what_is_queued_and_refuses_the_rest(url):
    store = open_store(url)
    started, go = threading.Event(), threading.Event()
    store.submit(lambda tx: (started.set(), go.wait(10)))
    started.wait(10)
    queued = [store.submit(create(f"q{n}")) for n in range(20)]
    closing = threading.Thread(target=store.close)
    closing.start()
    refusal = None
    while refusal is None:
        try:
            queued.append(store.submit(create("late")))
        except FhirError as error:
            refusal = error.status
    go.set()
    closing.join(10)

    assert not closing.is_alive()
    assert refusal == 503
    assert all(future.result(0).sequence for future in queued)
    assert status(lambda: store.view(lambda r: r.cursor("c"))) == 503
    store.close()


def test_who_waits_for_the_feed_is_told_when_the_store_closes(url):
    store = open_store(url)

    async def waits():
        task = asyncio.create_task(store.changed(0))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(store.close)
        await asyncio.wait_for(task, 5)

    with pytest.raises(FhirError) as caught:
        asyncio.run(waits())
    assert caught.value.status == 503


def test_the_history_leads_to_what_is_read(store):
    for n in range(30):
        store.submit(create(f"a{n % 7}", n)).result()
    store.submit(lambda tx: tx.delete("Basic", "a3")).result()

    assert replay(store) == current(store)
    assert {json.loads(body)["x"] for body in current(store).values()} == {23, 25, 26, 27, 28, 29}


def test_bytes_are_kept_whatever_they_are(store):
    tail = '},"text":"é\\u0000\U0001f600","y":1.50}'.encode()
    version = store.submit(lambda tx: tx.write(prepared("a")._replace(tail=tail))).result()

    assert version.body.endswith(tail)
    assert version.body == store.view(lambda r: r.read("Basic", "a")).body
