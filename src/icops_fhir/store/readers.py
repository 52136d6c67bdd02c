"""The pool of readers: threads with their own read-only connection, one consistent snapshot per job, a time limit.

https://www.sqlite.org/isolation.html
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from icops_fhir.store import errors
from icops_fhir.store.cache import HotCache
from icops_fhir.store.connection import Guard, Limit
from icops_fhir.store.protocol import Clock
from icops_fhir.store.queries import queries
from icops_fhir.store.queue import Answer, Job, JobQueue, Reply, answer_all
from icops_fhir.store.reader import SqliteReader


class Readers:
    """As many threads as connections; each job's time runs from the moment it was asked for."""

    def __init__(self, connections: Sequence[tuple[sqlite3.Connection, Limit]], guard: Guard, cache: HotCache, clock: Clock, *,
                 waiting: int, seconds: float) -> None:
        self._guard, self._cache, self._clock, self._seconds = guard, cache, clock, seconds
        self._queue = JobQueue(waiting)
        self.threads = [
            threading.Thread(target=self._run, args=each, name=f"icops-reader-{n}", daemon=True)
            for n, each in enumerate(connections, 1)
        ]

    def ask(self, call: Callable[[SqliteReader], Any], reply: Reply) -> None:
        self._queue.put(Job(call, reply, monotonic() + self._seconds))

    def close(self) -> None:
        """What waits is still answered."""
        self._queue.close()

    def _run(self, connection: sqlite3.Connection, limit: Limit) -> None:
        while jobs := self._queue.take(1):
            job = jobs.pop()
            if job.reply.wanted():
                answer_all([self._answer(connection, limit, job)])
            del job

    def _answer(self, connection: sqlite3.Connection, limit: Limit, job: Job) -> Answer:
        try:
            with self._guard:
                if monotonic() > job.deadline:
                    raise errors.too_costly(self._seconds)
                with limit.until(job.deadline, self._seconds):
                    return Answer(job.reply, self._snapshot(connection, job.call))
        except BaseException as error:
            return Answer(job.reply, error=errors.said(error))

    def _snapshot(self, connection: sqlite3.Connection, call: Callable[[SqliteReader], Any]) -> Any:
        connection.execute("BEGIN")
        try:
            last = connection.execute(queries()["last"]).fetchone()  # the first read opens the snapshot
            reader = SqliteReader(connection, self._clock, partial(self._cache.fill, seen=last[0] if last else 0))
            try:
                return call(reader)
            finally:
                reader.close()
        finally:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
