"""The SQLite store: one file (or memory), one writer, a pool of readers.

https://www.sqlite.org/wal.html

  write/submit ─► JobQueue ─► Writer ──COMMIT──► file ◄── Readers ◄─ read/view
                                 │ after COMMIT            │ fill
                                 ├─► HotCache ◄────────────┘   Checkpoint and Reindex beside them
                                 └─► Feed ─► changed()
"""

from __future__ import annotations

import concurrent.futures
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from icops_fhir.store import errors
from icops_fhir.store.cache import HotCache
from icops_fhir.store.checkpoint import WAL_SIZE, Checkpoint
from icops_fhir.store.clock import Stamps
from icops_fhir.store.connection import Guard, Limit, connect, durable
from icops_fhir.store.feed import Feed
from icops_fhir.store.lock import FileLock
from icops_fhir.store.migrations import check, migrate
from icops_fhir.store.protocol import Clock, Miss, Reader, Transaction, Version
from icops_fhir.store.queries import queries
from icops_fhir.store.queue import Job, JobQueue, Loop, Thread
from icops_fhir.store.readers import Readers
from icops_fhir.store.reindex import Reindex
from icops_fhir.store.writer import Writer

T = TypeVar("T")


class SqliteStore:
    """The Store of protocol.py."""

    def __init__(self, path: Path | None, clock: Clock, *, rows: Callable[[dict[str, Any]], Any], fingerprint: Callable[[str], str],
                 queue: int = 1024, group: int = 256, readers: int = 4, waiting: int = 1024, seconds: float = 10.0,
                 cache_entries: int = 10_000, cache_bytes: int = 32 * 2**20, wal: int = WAL_SIZE) -> None:
        self._path = path.resolve() if path else None
        self._closing = threading.Lock()
        self._closed = False
        self._opened: list[sqlite3.Connection] = []
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # health data: the owner's alone
        self._lock = FileLock(self._path) if self._path else None
        try:
            self._connection, limit = self._connect(writes=True)
            check(self._connection, str(path or ":memory:"))  # before anything of the file is touched
            durable(self._connection, wal)
            migrate(self._connection, str(path or ":memory:"))
            last = self._connection.execute(queries()["last"]).fetchone() or (0, "")
            pk = self._connection.execute(queries()["last_pk"]).fetchone()[0]
            pool = [self._connect(writes=False) for _ in range(readers)] if self._path else [(self._connection, limit)]
            self._checkpoint = Checkpoint(self._path, self._connect(writes=True)[0], wal) if self._path else None
        except BaseException:
            self._let_go()
            raise
        guard = Guard(shared=self._path is None)
        self.cache = HotCache(cache_entries, cache_bytes)
        self._feed = Feed(last[0])
        self._queue = JobQueue(queue)
        self._writer = Writer(
            self._connection, limit, guard, self._queue, self.cache, Stamps(clock, pk, *last),
            group=group, seconds=seconds, fingerprint=fingerprint, committed=self._feed.publish, between=self._between,
        )
        self._readers = Readers(pool, guard, self.cache, clock, waiting=waiting, seconds=seconds)
        self._reindex = Reindex(self, rows, fingerprint)
        for thread in self._threads():
            thread.start()

    def _connect(self, *, writes: bool) -> tuple[sqlite3.Connection, Limit]:
        connection, limit = connect(self._path, writes=writes)
        self._opened.append(connection)
        return connection, limit

    def _threads(self) -> list[threading.Thread]:
        side = [self._checkpoint.thread] if self._checkpoint else []
        return [self._writer.thread, *self._readers.threads, *side, self._reindex.thread]

    def _between(self) -> None:
        if self._checkpoint:
            self._checkpoint.after_commit(self._connection)

    @property
    def sequence(self) -> int:
        return self._feed.sequence

    @property
    def stale(self) -> frozenset[str]:
        """Types whose index rows are being remade: their searches may still miss something."""
        return self._reindex.stale

    @property
    def waiting(self) -> int:
        """How many writes wait, for the metrics."""
        return len(self._queue)

    async def write(self, job: Callable[[Transaction], T]) -> T:
        reply = Loop()
        self._queue.put(Job(job, reply))
        return await reply.future  # type: ignore[no-any-return]

    def submit(self, job: Callable[[Transaction], T]) -> concurrent.futures.Future[T]:
        reply = Thread()
        self._queue.put(Job(job, reply))
        return reply.future

    async def read(self, job: Callable[[Reader], T]) -> T:
        reply = Loop()
        self._readers.ask(job, reply)
        return await reply.future  # type: ignore[no-any-return]

    def view(self, job: Callable[[Reader], T]) -> T:
        reply = Thread()
        self._readers.ask(job, reply)
        return reply.future.result()  # type: ignore[no-any-return]

    def current(self, type: str, id: str) -> Version | Literal[Miss.MISS] | None:
        return self.cache.get(type, id)

    async def changed(self, after: int) -> int:
        return await self._feed.passed(after)

    def close(self) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._reindex.stop()
            self._queue.close()
            self._writer.thread.join()
            self._readers.close()
            for thread in [*self._readers.threads, self._reindex.thread]:
                thread.join()
            if self._checkpoint:
                self._checkpoint.stop()
                self._checkpoint.thread.join()
            self._feed.close(errors.closed())
            self._let_go()

    def _let_go(self) -> None:
        """Readers first: the last connection to close, a writing one, moves the whole WAL into the file."""
        for connection in reversed(self._opened):
            connection.close()
        if self._lock:
            self._lock.release()
