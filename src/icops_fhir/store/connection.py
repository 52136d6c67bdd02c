"""SQLite connections as the store wants them, and the time limit of a statement.

https://www.sqlite.org/pragma.html, https://www.sqlite.org/c3ref/progress_handler.html
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from icops_fhir.fhir.issue import FhirError
from icops_fhir.store import errors

BUSY = 5.0  # seconds; nobody else writes, so only a checkpoint or a backup tool can be in the way
STEPS = 2000  # of SQLite's machine between two looks at the time


class Limit:
    """The time at which the running statement of one connection is interrupted."""

    __slots__ = ("deadline",)

    def __init__(self) -> None:
        self.deadline = inf

    def passed(self) -> bool:
        return monotonic() > self.deadline

    @contextmanager
    def until(self, deadline: float, seconds: float) -> Iterator[None]:
        """An interruption inside becomes the FhirError that says how long was allowed."""
        before, self.deadline = self.deadline, deadline
        try:
            yield
        except sqlite3.OperationalError as error:
            raise read_failed(error, seconds) from None
        finally:
            self.deadline = before


def read_failed(error: sqlite3.Error, seconds: float) -> FhirError | sqlite3.Error:
    """What the caller of a read is told."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_INTERRUPT:
        return errors.too_costly(seconds)
    return errors.unavailable(error) if errors.engine_failed(error) else error


def connect(path: Path | None, *, writes: bool) -> tuple[sqlite3.Connection, Limit]:
    """A connection to the file, or to a database in memory when there is no path."""
    mode = "rwc" if writes else "ro"
    name = f"file:{quote(str(path))}?mode={mode}" if path else "file::memory:"
    connection = sqlite3.connect(
        name, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY, cached_statements=256,
    )
    limit = Limit()
    connection.set_progress_handler(limit.passed, STEPS)
    connection.execute("PRAGMA temp_store = MEMORY")
    if not writes:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -8000")
    return connection, limit


def durable(connection: sqlite3.Connection, wal_limit: int) -> None:
    """WAL with full synchronisation at each commit; checkpoints are done by checkpoint.py."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {wal_limit}")
    connection.execute("PRAGMA cache_size = -32000")


class Guard:
    """Keeps readers and writer of one connection apart where they share it (in memory); does nothing on a file."""

    def __init__(self, shared: bool) -> None:
        self._lock = threading.Lock() if shared else None

    def __enter__(self) -> None:
        if self._lock:
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.release()
