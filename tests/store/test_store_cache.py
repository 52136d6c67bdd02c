"""The hot cache never answers anything older than the database would."""

import threading
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_kit import create, prepared

from icops_fhir.store.cache import HotCache
from icops_fhir.store.protocol import MISS, Version

KEYS = "abc"
FILL = st.tuples(st.sampled_from(KEYS), st.integers(0, 5))  # which resource, from which of the last snapshots
FILLS = st.lists(FILL, max_size=2)
GROUP = st.tuples(st.sets(st.sampled_from(KEYS), min_size=1, max_size=2), FILLS, FILLS, st.booleans(), FILLS)


@settings(max_examples=4 * settings().max_examples)
@given(st.lists(GROUP, max_size=8), st.integers(1, 3))
def test_whatever_the_order_of_snapshots_fills_and_commits_nothing_stale_is_answered(groups, entries):
    """Groups of writes, each with readers that come before COMMIT, between it and the cache, and after."""
    cache, database, last, snapshots = HotCache(entries, 1000), {}, 0, []

    def readers(fills):
        snapshots.append((last, dict(database)))
        for key, back in fills:
            seen, found = snapshots[-1 - back % len(snapshots)]
            if key in found:
                cache.fill(found[key], seen)
        for key in KEYS:
            answer = cache.get("T", key)
            assert answer is MISS or answer == database[key]

    for keys, before, between, fails, after in groups:
        written = [Version("T", key, 1, "", last + n, "update", b"x" * 10) for n, key in enumerate(sorted(keys), 1)]
        cache.begin(("T", key) for key in keys)
        readers(before)
        if fails:
            written = []
        elif written:
            database.update({version.id: version for version in written})
            last = written[-1].sequence
        readers(between)
        cache.end(written)
        readers(after)


def test_the_cache_is_bounded_by_number_and_by_bytes():
    cache = HotCache(entries=5, size=1000)
    for n in range(50):
        cache.end([Version("T", f"{n}", 1, "", n + 1, "create", b"x" * 100)])
    assert sum(cache.get("T", f"{n}") is not MISS for n in range(50)) == 5
    for n in range(50, 100):
        cache.end([Version("T", f"{n}", 1, "", n + 1, "create", b"x" * 125)])
    cache.end([Version("T", "giant", 1, "", 1000, "create", b"x" * 126)])
    assert MISS is cache.get("T", "giant")
    big = HotCache(entries=50, size=1000)
    for n in range(50):
        big.end([Version("T", f"{n}", 1, "", n + 1, "create", b"x" * 100)])
    assert sum(big.get("T", f"{n}") is not MISS for n in range(50)) == 10


def test_the_most_recently_read_stays():
    cache = HotCache(entries=2, size=1000)
    for n, id in enumerate("abac"):
        if id == "a" and n:
            cache.get("T", "a")
        else:
            cache.end([Version("T", id, 1, "", n + 1, "create", b"")])
    assert [id for id in "abc" if cache.get("T", id) is not MISS] == ["a", "c"]


def stress(store, seconds):
    """Readers that fill a tiny cache from their snapshots while writers are answered."""
    ids, stop, stale = [f"a{n}" for n in range(6)], threading.Event(), []
    known = defaultdict(int)  # answered to some caller: nobody may see less from then on
    for id in ids:
        known[id] = store.submit(create(id)).result().version

    def write(mine):
        while not stop.is_set():
            for id in mine:
                known[id] = store.submit(lambda tx, id=id: tx.write(prepared(id, tx.read("Basic", id).version))).result().version

    def read():
        while not stop.is_set():
            for id in ids:
                least = known[id]
                found = store.current("Basic", id)
                if found is MISS:
                    found = store.view(lambda r, id=id: r.read("Basic", id))
                if found.version < least:
                    stale.append((id, found.version, least))

    threads = [threading.Thread(target=write, args=(ids[n::2],)) for n in range(2)] + [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()

    assert stale == []
    assert min(known.values()) > 1


def test_no_reader_ever_sees_a_version_older_than_one_it_knows_of(tmp_path, opened):
    stress(opened(f"sqlite:///{tmp_path}/s.db", cache_entries=3, readers=3), 1.5)


@pytest.mark.faults
@pytest.mark.parametrize("entries", [1, 3, 100])
def test_no_reader_ever_sees_a_version_older_for_a_long_time(tmp_path, opened, entries):
    stress(opened(f"sqlite:///{tmp_path}/s.db", cache_entries=entries, readers=3), 30)
