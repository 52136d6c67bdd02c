"""What only a SQLite file has: durability settings, index rows, the lock, the WAL, the time limit, the reindex."""

import asyncio
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_kit import create, current, feed, open_store, prepared

from icops_fhir.fhir.issue import FhirError
from icops_fhir.store import engine
from icops_fhir.store.queries import COLUMNS

FOREVER = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


def sql(store, statement, *args):
    return store.view(lambda r: r._execute(statement, args).fetchall())


def index(store):
    """Every index row: {(id, table): [(parameter, values…)]}."""
    found = {}
    for table, columns in COLUMNS.items():
        names = ", ".join(f"i.{column}" for column in columns)
        for id, *row in sql(store, f"SELECT r.id, i.parameter, {names} FROM index_{table} i JOIN resource r USING (pk) ORDER BY r.id, i.parameter, i.rank"):
            found.setdefault((id, table), []).append(tuple(row))
    return found


def test_it_is_wal_with_full_synchronisation_on_the_only_connection_that_writes(store):
    assert store.submit(lambda tx: tuple(
        tx._execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "wal_autocheckpoint"))).result() == ("wal", 2, 0)
    with pytest.raises(Exception, match="READONLY"):
        store.view(lambda r: r._execute("DELETE FROM version"))


def test_only_the_owner_may_read_the_files(store, tmp_path):
    store.submit(create("a")).result()

    assert {0o600} == {stat.S_IMODE(os.stat(path).st_mode) for path in tmp_path.iterdir()}


VALUES = {"string": ("a", "A"), "token": ("s", "c"), "reference": ("Patient", "p", None), "date": ("2020", "2021"),
          "number": (1.5, float("inf")), "quantity": (None, "mg", -1.0, 2.0), "uri": ("urn:x",)}
ROWS = st.lists(st.tuples(st.sampled_from(sorted(VALUES)), st.integers(1, 3)).map(lambda r: (*r, VALUES[r[0]])), max_size=8)
WRITES = st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), ROWS)), max_size=10)


@given(WRITES)
def test_index_rows_are_those_of_the_current_versions_and_no_others(tmp_path_factory, writes):
    store, expected = open_store(f"sqlite:///{tmp_path_factory.mktemp('rows')}/s.db"), {}
    for id, rows in writes:
        if rows is None:
            store.submit(lambda tx, id=id: tx.delete("Basic", id)).result()
            expected.pop(id, None)
        else:
            store.submit(lambda tx, id=id, rows=rows: tx.write(prepared(id)._replace(rows=tuple(rows)))).result()
            expected[id] = rows
    wanted = {}
    for id, rows in expected.items():
        for table, parameter, values in rows:
            wanted.setdefault((id, table), []).append((parameter, *values))

    assert {key: sorted(rows, key=str) for key, rows in wanted.items()} == {key: sorted(rows, key=str) for key, rows in index(store).items()}
    store.close()


def test_a_second_server_on_the_same_file_is_refused_until_the_first_lets_go(store, url, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    for other in (url, f"sqlite:///{tmp_path}/link.db"):
        with pytest.raises(FhirError) as caught:
            open_store(other)
        assert caught.value.issues[0].code == "lock-error"
        assert str(os.getpid()) in caught.value.issues[0].diagnostics
    script = "from icops_fhir.store import engine; import sys; engine.open(sys.argv[1])"
    second = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=False)
    assert "in use by another server" in second.stderr
    store.close()
    open_store(url).close()


def test_a_read_has_a_time_limit_and_its_reader_serves_again(url, opened):
    store = opened(url, seconds=0.2, readers=1)
    with pytest.raises(FhirError) as caught:
        sql(store, FOREVER)

    assert (caught.value.status, caught.value.issues[0].code) == (503, "too-costly")
    assert sql(store, "SELECT 1") == [(1,)]

    async def late():
        first = asyncio.create_task(store.read(lambda r: time.sleep(0.4)))
        return await asyncio.gather(first, *(store.read(lambda r: r.cursor("c")) for _ in range(2)), return_exceptions=True)

    assert [error.status for error in asyncio.run(late())[1:]] == [503, 503]  # too late to begin


def test_a_search_inside_a_job_has_the_limit_too_and_leaves_the_job_whole(url, opened):
    store = opened(url, seconds=0.2)

    def job(tx):
        tx.write(prepared("a"))
        with pytest.raises(FhirError) as caught, tx._limited():
            tx._execute(FOREVER).fetchall()
        return caught.value.status, tx.write(prepared("b")).sequence

    assert store.submit(job).result() == (503, 2)
    assert {"a", "b"} == {c.id for c in feed(store)}


def test_the_wal_stays_small_under_a_steady_load_and_the_file_holds_everything(url, opened, tmp_path):
    store, sizes = opened(url, wal=100_000), []
    for _ in range(60):
        futures = [store.submit(lambda tx, n=n: tx.write(prepared(f"a{n}")._replace(tail=b'},"t":"%s"}' % (b"x" * 5000)))) for n in range(20)]
        sizes += [os.stat(tmp_path / "store.db-wal").st_size for future in futures if future.result()]

    # 8 x 100 kB, where the writer does the work itself, and three groups of 0.5 MB before the WAL starts over; without
    # checkpoints it holds all that was written, more than 6 MB.
    assert max(sizes) < 2_300_000
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.db", "store.db.lock"]


def test_a_reader_that_holds_its_snapshot_stalls_no_writer(url, opened):
    store = opened(url, wal=100_000, seconds=60)
    held, go = threading.Event(), threading.Event()

    async def run():
        reading = asyncio.create_task(store.read(lambda r: (r.changes(0), held.set(), go.wait(60), len(r.changes(0)))[3]))
        await asyncio.to_thread(held.wait, 30)
        for n in range(100):
            await asyncio.wait_for(store.write(lambda tx, n=n: tx.write(prepared(f"a{n}")._replace(tail=b'},"t":"%s"}' % (b"x" * 9000)))), 30)
        go.set()
        return await reading

    assert asyncio.run(run()) == 0
    assert store.sequence == 100


def numbered(store):
    return {id: row[0][2] for (id, table), row in index(store).items() if table == "token"}


def versioned(mark):
    """An extractor whose rows say which one made them."""
    return {"rows": lambda resource: (("token", 9, ("urn:x", f"{mark}{resource['x']}")),), "fingerprint": lambda type: f"f{mark}"}


def until(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_other_parameters_mean_other_rows_made_in_the_background(url, opened):
    store = opened(url, **versioned("old"))
    for n in range(250):
        store.submit(create(f"a{n:03}", n)).result()
    store.submit(lambda tx: tx.delete("Basic", "a007")).result()
    before = current(store)
    store.close()
    store = opened(url, **versioned("new"))
    until(lambda: sql(store, "SELECT value, target, upto FROM fingerprint") == [("fnew", "", "")])

    assert {f"a{n:03}": f"new{n}" for n in range(250) if n != 7} == numbered(store)
    assert before == current(store)
    assert store.sequence == 251
    assert frozenset() == store.stale
    store.close()
    store = opened(url, **{**versioned("never"), "fingerprint": lambda type: "fnew"})
    time.sleep(0.1)
    assert {"new0"} == {code for code in numbered(store).values() if code.endswith("w0")}


def test_a_reindex_goes_on_where_it_was_and_never_touches_a_newer_version(url, opened):
    store = opened(url, **versioned("old"))
    for n in range(250):
        store.submit(create(f"a{n:03}", n)).result()
    store.close()
    seen, reached, go = [], threading.Event(), threading.Event()

    def slow(resource):
        seen.append(resource["x"])
        if len(seen) == 150:  # in the second slice
            reached.set()
            go.wait(10)
        return versioned("new")["rows"](resource)

    store = opened(url, rows=slow, fingerprint=lambda type: "fnew")
    reached.wait(10)
    assert frozenset({"Basic"}) == store.stale
    store.submit(lambda tx: tx.write(prepared("a149")._replace(rows=(("token", 9, ("urn:x", "edited")),)))).result()
    closing = threading.Thread(target=store.close)
    closing.start()
    time.sleep(0.05)
    go.set()
    closing.join(10)
    store = opened(url, rows=slow, fingerprint=lambda type: "fnew")
    until(lambda: sql(store, "SELECT value FROM fingerprint") == [("fnew",)])

    assert {f"a{n:03}": f"new{n}" for n in range(250) if n != 149} == {id: code for id, code in numbered(store).items() if id != "a149"}
    assert numbered(store)["a149"] in ("edited", "new0")
    assert min(x for x in seen[200:] if x) == 100  # the first slice was not made again


def test_a_resource_edited_while_its_slice_is_made_keeps_the_rows_of_the_edit(url, opened):
    store = opened(url, **versioned("old"))
    for n in range(3):
        store.submit(create(f"a{n}", n)).result()
    store.close()
    reached, go = threading.Event(), threading.Event()

    def slow(resource):
        reached.set()
        go.wait(10)
        return versioned("new")["rows"](resource)

    store = opened(url, rows=slow, fingerprint=lambda type: "fnew")
    reached.wait(10)
    store.submit(lambda tx: tx.write(prepared("a1")._replace(rows=(("token", 9, ("urn:x", "edited")),)))).result()
    store.submit(lambda tx: tx.delete("Basic", "a2")).result()
    go.set()
    until(lambda: sql(store, "SELECT value FROM fingerprint") == [("fnew",)])

    assert numbered(store) == {"a0": "new0", "a1": "edited"}


def test_a_resource_the_extractor_stumbles_on_keeps_its_rows_and_stops_no_other(url, opened):
    store = opened(url, **versioned("old"))
    for n in range(3):
        store.submit(create(f"a{n}", n)).result()
    store.close()

    def stumbles(resource):
        return 1 / 0 if resource["x"] == 1 else versioned("new")["rows"](resource)

    store = opened(url, rows=stumbles, fingerprint=lambda type: "fnew")
    until(lambda: sql(store, "SELECT value FROM fingerprint") == [("fnew",)])
    assert numbered(store) == {"a0": "new0", "a1": "1", "a2": "new2"}


def test_an_address_names_its_backend(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = engine.open("sqlite:///deep/er/store.db")
    store.close()

    assert (tmp_path / "deep/er/store.db").exists()
    for address in ("oracle://x", "store.db", ""):
        with pytest.raises(FhirError, match="sqlite://"):
            engine.open(address)
