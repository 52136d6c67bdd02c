"""Laws of any store, on random operations, clocks, failures and threads."""

import random
import threading
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from store_kit import BACKENDS, START, create, current, feed, open_store, prepared, replay

from icops_fhir.fhir.issue import FhirError
from icops_fhir.store.protocol import MISS, Original

BACKEND = st.sampled_from(sorted(BACKENDS))
IDS = st.sampled_from("abc")
NUMBERS = st.integers(0, 3)

# One operation of a job: (what, id, number)
OPERATION = st.tuples(
    st.sampled_from(["write", "write", "write", "expect", "absent", "delete", "put", "drop", "keep", "advance"]), IDS, NUMBERS,
)
JOB = st.tuples(st.lists(OPERATION, min_size=1, max_size=4), st.booleans())  # operations, does it fail at its end?


class Failure(Exception):
    pass


class Model:
    """The store as plain dicts."""

    def __init__(self):
        self.versions, self.feed, self.records, self.originals, self.cursors = {}, [], {}, {}, {}

    def copy(self):
        other = Model()
        other.versions = {key: list(value) for key, value in self.versions.items()}
        other.feed, other.records = list(self.feed), dict(self.records)
        other.originals, other.cursors = dict(self.originals), dict(self.cursors)
        return other

    def do(self, what, id, number):
        """False when the store has to refuse."""
        versions = self.versions.setdefault(id, [])
        alive = bool(versions) and versions[-1] is not None
        if what == "expect" and not (alive and len(versions) == number):
            return False
        if (what == "absent" and alive) or (what == "advance" and number < self.cursors.get("c", 0)):
            return False
        if what in ("write", "expect", "absent"):
            versions.append(number)
            self.feed.append((id, len(versions), "update" if alive else "create"))
        elif what == "delete" and alive:
            versions.append(None)
            self.feed.append((id, len(versions), "delete"))
        elif what == "put":
            self.records[id] = b"%d" % number
        elif what == "drop":
            self.records.pop(id, None)
        elif what == "keep":
            self.originals.setdefault(id, b"%d" % number)
        elif what == "advance":
            self.cursors["c"] = number
        return True


def apply(tx, what, id, number):
    if what == "write":
        tx.write(prepared(id, number))
    elif what == "expect":
        tx.write(prepared(id, number), expected=number)
    elif what == "absent":
        tx.write(prepared(id, number), absent=True)
    elif what == "delete":
        tx.delete("Basic", id)
    elif what == "put":
        tx.put("k", id, b"%d" % number)
    elif what == "drop":
        tx.drop("k", id)
    elif what == "keep":
        tx.keep(Original(id, "s", "c", "h", "m", "r", b"%d" % number))
    else:
        tx.advance("c", number)


def agree(store, model):
    assert [(n, "Basic", *change) for n, change in enumerate(model.feed, 1)] == [
        (c.sequence, c.type, c.id, c.version, c.method) for c in feed(store)]
    for id, numbers in model.versions.items():
        history = store.view(lambda r, id=id: r.history("Basic", id, count=1000))
        expected = [(n, "delete", b"") if x is None else (n, history[-n].method, b'"x":%d}' % x) for n, x in enumerate(numbers, 1)]
        assert expected == [(v.version, v.method, v.body[-6:]) for v in reversed(history)]
        now = store.view(lambda r, id=id: r.read("Basic", id))
        assert now == (history[0] if history else None)
        assert store.current("Basic", id) in (MISS, now)
    assert model.records == {r.key: r.body for r in store.view(lambda r: r.records("k"))}
    for id in "abc":
        kept = store.view(lambda r, id=id: r.original(id))
        assert model.originals.get(id) == (kept.body if kept else None)
    assert model.cursors.get("c", 0) == store.view(lambda r: r.cursor("c"))
    assert replay(store) == current(store)


@given(BACKEND, st.lists(JOB, max_size=12))
def test_any_sequence_of_jobs_does_what_plain_dicts_do(tmp_path_factory, backend, jobs):
    url = BACKENDS[backend](tmp_path_factory.mktemp("model"))
    store, model = open_store(url, cache_entries=2), Model()
    for operations, fails in jobs:
        trial = model.copy()
        allowed = all(trial.do(*operation) for operation in operations)

        def job(tx, operations=operations, fails=fails):
            for operation in operations:
                apply(tx, *operation)
            if fails:
                raise Failure

        error = store.submit(job).exception()
        assert (FhirError if not allowed else Failure if fails else type(None)) is type(error)
        if error is None:
            model = trial
    agree(store, model)
    store.close()
    if backend != "sqlite-memory":
        store = open_store(url)
        agree(store, model)
        store.close()


@given(BACKEND, st.lists(st.integers(-10_000_000, 10_000_000), min_size=1, max_size=20), st.integers(0, 19))
def test_stamps_never_go_back_whatever_the_clock_does(tmp_path_factory, backend, leaps, reopen):
    url, moments = BACKENDS[backend](tmp_path_factory.mktemp("clock")), iter(leaps)

    def clock():
        return START + timedelta(milliseconds=next(moments, 0))

    store, versions = open_store(url, clock), []
    for n in range(len(leaps)):
        versions.append(store.submit(create(f"a{n % 2}", n)).result())
        if n == reopen and backend != "sqlite-memory":
            store.close()
            store = open_store(url, clock)
    store.close()

    assert list(range(1, len(leaps) + 1)) == [v.sequence for v in versions]
    assert sorted(v.updated for v in versions) == [v.updated for v in versions]
    assert [n // 2 + 1 for n in range(len(leaps))] == [v.version for v in versions]


@given(BACKEND, st.lists(st.booleans(), min_size=1, max_size=30))
def test_in_a_group_one_failure_never_undoes_its_neighbours(tmp_path_factory, backend, fates):
    store = open_store(BACKENDS[backend](tmp_path_factory.mktemp("group")))
    gathered, go = threading.Event(), threading.Event()
    store.submit(lambda tx: (gathered.set(), go.wait(10)))
    gathered.wait(10)

    def job(n, good):
        def run(tx):
            tx.write(prepared(f"j{n}"))
            tx.put("k", f"j{n}", b"1")
            if not good:
                raise Failure
            return n
        return run

    futures = [store.submit(job(n, good)) for n, good in enumerate(fates)]
    go.set()
    ends = [future.exception(10) is None for future in futures]
    kept = [f"j{n}" for n, good in enumerate(fates) if good]

    assert fates == ends
    assert [(n, id) for n, id in enumerate(kept, 1)] == [(c.sequence, c.id) for c in feed(store)]
    assert sorted(kept) == [r.key for r in store.view(lambda r: r.records("k"))]
    store.close()


def test_a_follower_of_the_feed_misses_nothing_while_many_write(store):
    """Each page goes on right where the last one ended: no smaller number ever appears later."""
    writers = [threading.Thread(target=lambda w=w: [store.submit(create(f"{w}-{n}")).result() for n in range(60)]) for w in range(4)]
    for writer in writers:
        writer.start()
    seen = []
    while len(seen) < 240:
        last = seen[-1] if seen else 0
        seen += [change.sequence for change in store.view(lambda r, last=last: r.changes(last, 7))]
    for writer in writers:
        writer.join()

    assert list(range(1, 241)) == seen


def test_effect_and_cursor_go_together_through_crashes_and_repeats(url, opened):
    """A consumer that dies before, during or after its job, and runs twice at once, does each effect exactly once."""
    store, dice = opened(url), random.Random(5)
    for n in range(50):
        store.submit(create(f"a{n}")).result()

    def effect(change, crash):
        def job(tx):
            tx.put("effect", f"{change.sequence:03}-{tx.cursor('c')}", b"1")
            tx.advance("c", change.sequence)
            if crash:
                raise Failure
        return job

    at, repeats = 0, 0
    while (at := store.view(lambda r: r.cursor("c"))) < 50:
        for change in store.view(lambda r, at=at: r.changes(at, dice.randint(1, 5))):
            if store.submit(effect(change, dice.random() < 0.3)).exception():
                break  # it died and starts again from its cursor
            if change.sequence > 1 and dice.random() < 0.3:  # a second instance, behind
                repeats += store.submit(effect(change._replace(sequence=change.sequence - 1), False)).exception().status == 409

    assert [f"{n:03}-{n - 1}" for n in range(1, 51)] == [r.key for r in store.view(lambda r: r.records("effect"))]
    assert repeats > 0
