"""The hot cache never answers anything older than the database would."""

import threading
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st
from store_kit import create, prepared

from icops_fhir.store.cache import HotCache
from icops_fhir.store.protocol import MISS, Version

KEYS = "abcd"
STEP = st.one_of(
    st.tuples(st.just("snapshot")),
    st.tuples(st.just("begin"), st.sets(st.sampled_from(KEYS), min_size=1)),
    st.tuples(st.just("commit")),
    st.tuples(st.just("publish")),
    st.tuples(st.just("abort")),
    st.tuples(st.just("fill"), st.sampled_from(KEYS), st.integers(0, 30)),
)


@given(st.lists(STEP, max_size=60), st.integers(1, 3))
def test_whatever_the_order_of_snapshots_fills_and_commits_nothing_stale_is_answered(steps, entries):
    cache, database, last, snapshots = HotCache(entries, 1000), {}, 0, []
    begun, committed = None, False  # the group the writer has in hand
    for step, *args in steps:
        if step == "snapshot":
            snapshots.append((last, dict(database)))
        elif step == "begin" and begun is None:
            begun, committed = [Version("T", key, 1, "", last + n, "update", b"x" * 10) for n, key in enumerate(sorted(args[0]), 1)], False
            cache.begin(("T", key) for key in args[0])
        elif step == "commit" and begun and not committed:
            database.update({version.id: version for version in begun})
            last, committed = begun[-1].sequence, True
        elif step == "publish" and begun and committed:
            cache.end(begun)
            begun = None
        elif step == "abort" and begun and not committed:
            cache.end(())
            begun = None
        elif step == "fill" and snapshots:
            seen, found = snapshots[args[1] % len(snapshots)]
            if args[0] in found:
                cache.fill(found[args[0]], seen)
        for key in KEYS:
            answer = cache.get("T", key)
            assert answer is MISS or answer == database[key]


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


def test_no_reader_ever_sees_a_version_older_than_one_it_knows_of(tmp_path, opened):
    """Stress: tiny cache, readers filling from snapshots, writers answered meanwhile."""
    store = opened(f"sqlite:///{tmp_path}/s.db", cache_entries=3, readers=3)
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
    stop.wait(1.5)
    stop.set()
    for thread in threads:
        thread.join()

    assert stale == []
    assert min(known.values()) > 5
