"""Reads of one snapshot of the SQLite database.

https://hl7.org/fhir/R4/http.html#read, #vread, #history
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from icops_fhir.store.protocol import Change, Clock, Original, Page, Record, Version
from icops_fhir.store.queries import queries
from icops_fhir.store.search import search

if TYPE_CHECKING:
    from icops_fhir.search.query import Query

FOREVER = 2**62


class SqliteReader:
    """The Reader of protocol.py on one connection that stands in a transaction."""

    __slots__ = ("_clock", "_connection", "_execute", "_found", "_sql")

    def __init__(self, connection: sqlite3.Connection, clock: Clock, found: Callable[[Version], None] | None = None) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._clock = clock
        self._found = found
        self._sql = queries()

    def _one(self, name: str, *args: Any) -> Any:
        return self._execute(self._sql[name], args).fetchone()

    def read(self, type: str, id: str) -> Version | None:
        row = self._one("read", type, id)
        if row is None:
            return None
        version = Version._make(row)
        if self._found:
            self._found(version)
        return version

    def vread(self, type: str, id: str, version: int) -> Version | None:
        row = self._one("vread", type, id, version) if -FOREVER < version < FOREVER else None
        return Version._make(row) if row else None

    def history(self, type: str | None = None, id: str | None = None, *, before: int | None = None,
                since: str | None = None, count: int = 50) -> list[Version]:
        window = FOREVER if before is None else min(before, FOREVER), self._first_since(since) if since else 0, count
        if type is None:
            rows = self._execute(self._sql["history"], window)
        elif id is None:
            rows = self._execute(self._sql["history_type"], (type, *window))
        else:
            rows = self._execute(self._sql["history_instance"], (type, id, *window))
        return [Version._make(row) for row in rows]

    def _first_since(self, since: str) -> int:
        """lastUpdated never goes back along the feed, and the feed has no holes: halve until found."""
        last = self._one("last")
        low, high = 1, (last[0] if last else 0) + 1
        while low < high:
            middle = (low + high) // 2
            if self._one("updated_at", middle)[0] < since:
                low = middle + 1
            else:
                high = middle
        return low

    def search(self, query: Query) -> Page:
        return search(self._connection, query, self._clock())

    def changes(self, after: int, limit: int = 500) -> list[Change]:
        return [Change._make(row) for row in self._execute(self._sql["changes"], (after, limit))]

    def original(self, key: str) -> Original | None:
        row = self._one("original", key)
        return Original._make(row) if row else None

    def record(self, kind: str, key: str) -> Record | None:
        row = self._one("record", kind, key)
        return Record._make(row) if row else None

    def records(self, kind: str, *, owner: str | None = None, due_before: str | None = None,
                after_key: str | None = None, limit: int = 500) -> list[Record]:
        if due_before is not None and after_key is not None:
            raise ValueError("records that are due come by due: there is no going on after a key")
        name = "records" if due_before is None else "records_due"
        args: list[Any] = [kind, after_key or "" if due_before is None else due_before]
        if owner is not None:
            name, args = f"{name}_owner" if owner or due_before is not None else f"{name}_unowned", [*args, owner]
        return [Record._make(row) for row in self._execute(self._sql[name], (*args, limit))]

    def cursor(self, name: str) -> int:
        row = self._one("cursor", name)
        return row[0] if row else 0

    def fingerprints(self) -> list[tuple[str, str, str, str]]:
        """What made the index rows of each type: (type, value, target, upto), see reindex.py."""
        return self._execute(self._sql["fingerprints"]).fetchall()

    def slice(self, type: str, after: str, limit: int) -> list[tuple[int, str, int, bytes]]:
        """Current resources of a type by id, for reindex.py: (pk, id, sequence, body)."""
        return self._execute(self._sql["reindex_slice"], (type, after, limit)).fetchall()

    def close(self) -> None:
        """The job is over: a reader that escaped from it fails instead of reading something else."""
        def over(*_: Any) -> Any:
            raise RuntimeError("a reader or transaction is only good inside the job it was given to")
        self._execute = over
