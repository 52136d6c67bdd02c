"""The one writer: a thread that owns the only writing connection and commits in groups.

https://www.sqlite.org/lang_savepoint.html, https://www.sqlite.org/lang_transaction.html (automatic rollback)

  take group ─ BEGIN IMMEDIATE ─ [SAVEPOINT job RELEASE]… ─ COMMIT (sync) ─ cache ─ answers
       ▲                                     meanwhile the next group gathers in the queue │
       └───────────────────────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from time import monotonic

from icops_fhir.store import errors
from icops_fhir.store.cache import HotCache
from icops_fhir.store.clock import Stamps
from icops_fhir.store.connection import Guard, Limit
from icops_fhir.store.protocol import Version
from icops_fhir.store.queries import queries
from icops_fhir.store.queue import Answer, Job, JobQueue, Reply, answer_all
from icops_fhir.store.transaction import SqliteTransaction

Committed = Callable[[int], None]


class EngineError(Exception):
    """SQLite gave up the whole transaction during a job; the cause is chained."""


class Writer:
    """Runs until its queue is closed and drained."""

    def __init__(self, connection: sqlite3.Connection, limit: Limit, guard: Guard, queue: JobQueue, cache: HotCache,
                 stamps: Stamps, *, group: int, seconds: float, fingerprint: Callable[[str], str], committed: Committed,
                 between: Callable[[], None]) -> None:
        self._connection = connection
        self._limit = limit
        self._guard = guard
        self._queue = queue
        self._cache = cache
        self._stamps = stamps
        self._group = group
        self._seconds = seconds
        self._fingerprint = fingerprint
        self._committed = committed
        self._between = between
        self._types = {row[0] for row in connection.execute(queries()["fingerprints"])}
        self.thread = threading.Thread(target=self._run, name="icops-writer", daemon=True)

    def _run(self) -> None:
        while group := self._queue.take(self._group):
            jobs = deque(group)
            while jobs:
                with self._guard:
                    answers = self._commit(jobs)
                answer_all(answers)
                self._between()
            del group, answers  # nothing of a job outlives its answer

    def _commit(self, jobs: deque[Job]) -> list[Answer]:
        """One transaction; jobs that did not get their turn before the engine failed stay in the deque."""
        start, told, answers = self._stamps.mark(), list[Reply](), list[Answer]()
        written: dict[tuple[str, str], Version] = {}
        types: set[str] = set()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            while jobs:
                job = jobs.popleft()
                if job.reply.wanted():
                    told.append(job.reply)
                    answers.append(self._savepoint(job, written, types))
            self._cache.begin(written)
            self._connection.execute("COMMIT")
        except Exception as error:  # not a job's failure but the engine's: nothing of this group is kept
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            self._stamps.restore(start)
            self._cache.end(())
            if not told:  # it could not even begin
                told = [job.reply for job in jobs if job.reply.wanted()]
                jobs.clear()
            return [Answer(reply, error=errors.unavailable(error)) for reply in told]
        self._types |= types
        self._cache.end(written.values())
        self._committed(self._stamps.sequence)
        return answers

    def _savepoint(self, job: Job, written: dict[tuple[str, str], Version], types: set[str]) -> Answer:
        mark, execute = self._stamps.mark(), self._connection.execute
        transaction = SqliteTransaction(self._connection, self._stamps, self._first_of_type, self._limited)
        execute("SAVEPOINT job")
        try:
            value = job.call(transaction)
        except BaseException as error:
            if not self._connection.in_transaction:  # SQLite rolled everything back: disk full, I/O error
                raise EngineError from error
            execute("ROLLBACK TO job")
            execute("RELEASE job")
            self._stamps.restore(mark)
            return Answer(job.reply, error=errors.said(error))
        finally:
            transaction.close()
        execute("RELEASE job")
        written.update(transaction.written)
        types |= transaction.types
        return Answer(job.reply, value)

    def _first_of_type(self, type: str) -> str | None:
        """The fingerprint to note when the store never held that type."""
        return None if type in self._types else self._fingerprint(type)

    def _limited(self) -> AbstractContextManager[None]:
        return self._limit.until(monotonic() + self._seconds, self._seconds)
