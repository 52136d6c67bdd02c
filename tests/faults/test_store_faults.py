"""The store when things go wrong for good: kill -9, a full disk, a COMMIT that fails, an engine that gives up."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from icops_fhir.fhir.issue import FhirError
from icops_fhir.store import engine
from icops_fhir.store.protocol import MISS, Prepared

CHILD = Path(__file__).with_name("store_child.py")


def opened(path, **options):
    return engine.open(f"sqlite:///{path}", rows=lambda r: (), fingerprint=lambda type: "1", **options)


def prepared(id, size=100):
    return Prepared("Basic", id, f'{{"resourceType":"Basic","id":"{id}","meta":{{'.encode(), b'},"t":"%s"}' % (b"x" * size), ())


def killed(path, start, seconds):
    """What the child was answered before it died: {n: sequence}."""
    child = subprocess.Popen([sys.executable, CHILD, path, "kill", str(start)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"open\n"
    timer = threading.Timer(seconds, child.send_signal, [signal.SIGKILL])
    timer.start()
    lines = child.stdout.read().split(b"\n")[:-1]  # the last one may be torn
    assert child.wait() == -signal.SIGKILL
    return {int(n): int(sequence) for n, sequence in map(bytes.split, lines)}


def check(path, answered):
    """Every answered job is there whole, every other is there whole or not at all, the feed has no hole."""
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = opened(path)
    feed = store.view(lambda r: r.changes(0, 10**9))
    assert list(range(1, len(feed) + 1)) == [change.sequence for change in feed]
    assert {1} == set(Counter((c.id, c.version) for c in feed).values())
    jobs = {int(c.id[1:]) for c in feed if c.id[0] in "ab"}
    at = {c.id: c.sequence for c in feed}
    assert set(answered) <= jobs
    assert all(at[f"b{n}"] == sequence for n, sequence in answered.items())
    assert jobs == {int(r.key) for r in store.view(lambda r: r.records("pair", limit=10**9))}
    for n in jobs:
        assert sum(f"{kind}{n}" in at for kind in "ab") == 2
        assert store.view(lambda r, n=n: r.original(f"o{n}")) is not None
    assert len(jobs) == store.view(lambda r: r.read("Basic", "shared")).version
    cursor = store.view(lambda r: r.cursor("follower"))
    effects = [r.key for r in store.view(lambda r: r.records("effect", limit=10**9))]
    assert [f"{n:08}-{n - 1}" for n in range(1, cursor + 1)] == effects
    latest = {version.id: version for version in reversed(store.view(lambda r: r.history(count=10**9)))}
    assert all(store.view(lambda r, v=v: r.read("Basic", v.id)) == v for v in random.Random(1).sample(sorted(latest.values()), 30))
    store.close()
    return len(jobs)


def rounds(path, number, seed):
    dice, answered, jobs = random.Random(seed), {}, 0
    for turn in range(number):
        answered |= killed(path, (turn + 1) * 1_000_000, dice.uniform(0.05, 0.6))
        jobs = check(path, answered)
    assert jobs >= len(answered) > 50 * number


def test_after_kill_9_every_answered_job_is_there_and_no_half_one(tmp_path):
    rounds(tmp_path / "store.db", 3, 7)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_after_fifty_kill_9_every_answered_job_is_there_and_no_half_one(tmp_path):
    rounds(tmp_path / "store.db", 50, time.time_ns())


def test_files_that_cannot_grow_lose_nothing_that_was_answered(tmp_path):
    """EFBIG from the operating system, in the middle of whatever the engine does."""
    path = tmp_path / "store.db"
    done = subprocess.run([sys.executable, CHILD, path, "small", "400000"], capture_output=True, text=True, check=True)
    told = {int(n): status for n, status in json.loads(done.stdout.splitlines()[-1]).items()}

    assert {0, 503} >= set(told.values())
    answered = [n for n, status in told.items() if status == 0]
    assert len(answered) > 8
    store = opened(path)
    feed = store.view(lambda r: r.changes(0, 10**9))
    assert list(range(1, len(feed) + 1)) == [change.sequence for change in feed]
    assert set(answered) <= {int(c.id[1:]) for c in feed if c.id[0] == "a"}
    store.close()
    assert check(path, {}) == len(answered)


def test_a_full_disk_is_said_to_each_caller_and_service_goes_on_once_there_is_room(tmp_path):
    store = opened(tmp_path / "store.db")
    pages = store.submit(lambda tx: tx._execute("PRAGMA page_count").fetchone()[0]).result()
    store.submit(lambda tx: tx._execute(f"PRAGMA max_page_count = {pages + 40}").fetchone()).result()
    futures = [store.submit(lambda tx, n=n: tx.write(prepared(f"a{n}", 3000))) for n in range(200)]
    errors = {n: future.exception() for n, future in enumerate(futures)}
    there = {c.id for c in store.view(lambda r: r.changes(0, 1000))}

    assert {507} == {error.status for error in errors.values() if error}
    assert {f"a{n}" for n, error in errors.items() if not error} == there
    assert all(store.current("Basic", f"a{n}") is MISS for n, error in errors.items() if error)
    store.submit(lambda tx: tx._execute("PRAGMA max_page_count = 1000000").fetchone()).result()
    assert len(there) + 1 == store.submit(lambda tx: tx.write(prepared("after"))).result().sequence
    store.close()
    store = opened(tmp_path / "store.db")
    assert there | {"after"} == {c.id for c in store.view(lambda r: r.changes(0, 1000))}
    store.close()


def held(store):
    """A job that keeps the writer until it is let go, so that what follows is one group."""
    started, go = threading.Event(), threading.Event()
    store.submit(lambda tx: (started.set(), go.wait(10)))
    assert started.wait(10)
    return go


@pytest.mark.parametrize("url", ["{}/store.db", ":memory:"])
def test_when_commit_itself_fails_the_whole_group_is_told_and_nothing_is_kept(tmp_path, url):
    """A deferred foreign key is only looked at by COMMIT."""
    store = opened(url.format(tmp_path))
    for _ in range(500):  # without effect while the writer, just opened, is inside a transaction
        store._connection.execute("PRAGMA foreign_keys = ON")
        if store._connection.execute("PRAGMA foreign_keys").fetchone()[0]:
            break
        time.sleep(0.01)
    store._connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    store._connection.execute("CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
    first = store.submit(lambda tx: tx.write(prepared("a"))).result()
    go = held(store)
    good = [store.submit(lambda tx, n=n: tx.write(prepared(f"{'ab'[n % 2]}{n}"))) for n in range(5)]
    again = store.submit(lambda tx: tx.write(prepared("a")))
    bad = store.submit(lambda tx: tx._execute("INSERT INTO child VALUES (5)").rowcount)
    refused = store.submit(lambda tx: 1 / 0)
    go.set()

    assert [future.exception().status for future in (*good, again, bad)] == [503] * 7
    assert refused.exception().status == 503  # what it saw was never there
    assert [c.sequence for c in store.view(lambda r: r.changes(0))] == [1]
    assert first == store.view(lambda r: r.read("Basic", "a"))
    assert store.current("Basic", "a") in (first, MISS)
    assert (store.submit(lambda tx: tx.write(prepared("a"))).result().version, store.sequence) == (2, 2)
    store.close()


def test_when_the_engine_gives_up_in_the_middle_those_before_are_told_and_those_after_are_served(tmp_path):
    store = opened(tmp_path / "store.db")
    go = held(store)
    before = [store.submit(lambda tx, n=n: tx.write(prepared(f"b{n}"))) for n in range(3)]

    def gives_up(tx):
        tx._execute("ROLLBACK")  # as SQLite does by itself on an I/O error
        raise sqlite3.OperationalError("disk I/O error")

    ill = store.submit(gives_up)
    after = [store.submit(lambda tx, n=n: tx.write(prepared(f"c{n}"))) for n in range(3)]
    go.set()

    assert [future.exception().status for future in (*before, ill)] == [503] * 4
    assert [future.result().sequence for future in after] == [1, 2, 3]
    assert [c.id for c in store.view(lambda r: r.changes(0))] == ["c0", "c1", "c2"]
    store.close()


def test_a_database_somebody_else_holds_is_an_error_to_each_and_not_the_end(tmp_path):
    store = opened(tmp_path / "store.db")
    store.submit(lambda tx: tx.write(prepared("a"))).result()
    store._connection.execute("PRAGMA busy_timeout = 50")
    tool = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    tool.execute("BEGIN IMMEDIATE")
    futures = [store.submit(lambda tx, n=n: tx.write(prepared(f"b{n}"))) for n in range(5)]

    assert {503} == {future.exception().status for future in futures}
    with pytest.raises(FhirError, match="SQLITE_BUSY"):
        futures[0].result()
    tool.execute("ROLLBACK")
    assert store.submit(lambda tx: tx.write(prepared("c"))).result().sequence == 2
    store.close()


def test_a_killed_holder_leaves_no_lock_behind(tmp_path):
    path = tmp_path / "store.db"
    child = subprocess.Popen([sys.executable, CHILD, path, "kill", "0"], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"open\n"
    with pytest.raises(FhirError) as caught:
        opened(path)
    assert str(child.pid) in caught.value.issues[0].diagnostics
    child.kill()
    child.wait()
    child.stdout.close()
    opened(path).close()
