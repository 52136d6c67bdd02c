"""The hot cache: current versions at hand, never older than what the database would answer.

  writer   begin(keys) ── COMMIT ── end(versions) ── callers answered
  reader           snapshot seen up to N ── fill(version, N): refused if that resource was written after N, or is being

Between begin and end a key is in nobody's cache: the database, old or new, is the only one to answer for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from icops_fhir.store.protocol import MISS, Miss, Version

Key = tuple[str, str]


class HotCache:
    """Bounded by number and by bytes; the least recently used goes first."""

    def __init__(self, entries: int, size: int) -> None:
        self._lock = threading.Lock()
        self._entries, self._size = entries, size
        self._hot: OrderedDict[Key, Version] = OrderedDict()
        self._bytes = 0
        self._busy: frozenset[Key] = frozenset()
        self._written: OrderedDict[Key, int] = OrderedDict()  # last sequence of recently written resources
        self._floor = 0  # and of those no longer remembered there

    def get(self, type: str, id: str) -> Version | Miss:
        with self._lock:
            version = self._hot.get((type, id))
            if version is None:
                return MISS
            self._hot.move_to_end((type, id))
            return version

    def begin(self, keys: Iterable[Key]) -> None:
        """Before COMMIT: these are about to change."""
        with self._lock:
            self._busy = frozenset(keys)
            for key in self._busy:
                self._forget(key)

    def end(self, versions: Iterable[Version]) -> None:
        """After COMMIT, with the new current versions; after a failed one, with nothing."""
        with self._lock:
            self._busy = frozenset()
            for version in versions:
                key = version.type, version.id
                self._written[key] = version.sequence
                self._written.move_to_end(key)
                self._remember(key, version)
            while len(self._written) > self._entries:
                self._floor = max(self._floor, self._written.popitem(last=False)[1])

    def fill(self, version: Version, seen: int) -> None:
        """What a reader found in its snapshot, which shows everything up to the sequence `seen`."""
        key = version.type, version.id
        with self._lock:
            if key not in self._busy and key not in self._hot and self._written.get(key, self._floor) <= seen:
                self._remember(key, version)

    def _forget(self, key: Key) -> None:
        if (old := self._hot.pop(key, None)) is not None:
            self._bytes -= len(old.body)

    def _remember(self, key: Key, version: Version) -> None:
        self._forget(key)
        if len(version.body) > self._size // 8:  # one giant must not empty the cache
            return
        self._hot[key] = version
        self._bytes += len(version.body)
        while len(self._hot) > self._entries or self._bytes > self._size:
            self._forget(next(iter(self._hot)))
