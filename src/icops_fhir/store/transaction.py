"""Writes of one job, inside its savepoint: stamps, versions, index rows, originals, records, cursors.

https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from icops_fhir.store import errors
from icops_fhir.store.clock import Stamps, instant
from icops_fhir.store.protocol import Original, Page, Prepared, Version
from icops_fhir.store.queries import COLUMNS, DELETE_ROWS, INSERT_ROWS, SELECT_ROWS
from icops_fhir.store.reader import SqliteReader

if TYPE_CHECKING:
    from icops_fhir.search.index import IndexRow
    from icops_fhir.search.query import Query


class SqliteTransaction(SqliteReader):
    """The Transaction of protocol.py; `written` and `types` are what the writer must know after COMMIT."""

    __slots__ = ("_first_of_type", "_limited", "_stamps", "instant", "now", "types", "written")

    def __init__(self, connection: sqlite3.Connection, stamps: Stamps, first_of_type: Callable[[str], str | None],
                 limited: Callable[[], AbstractContextManager[None]]) -> None:
        self.now: datetime = stamps.tick()
        self.instant: str = instant(self.now)
        super().__init__(connection, lambda: self.now)
        self._stamps = stamps
        self._first_of_type = first_of_type
        self._limited = limited
        self.written: dict[tuple[str, str], Version] = {}
        self.types: set[str] = set()

    def search(self, query: Query) -> Page:
        with self._limited():
            return super().search(query)

    def write(self, prepared: Prepared, *, expected: int | None = None, absent: bool = False) -> Version:
        type, id = prepared.type, prepared.id
        place = self._one("place", type, id)
        exists = place is not None and not place[2]
        if absent and exists:
            raise errors.exists(type, id)
        if expected is not None and not (exists and place[1] == expected):
            raise errors.mismatch(type, id, expected, place[1] if exists else None)
        number = place[1] + 1 if place else 1
        stamped = f'"versionId":"{number}","lastUpdated":"{self.instant}"'.encode()
        body = prepared.head + stamped + prepared.tail
        if place:
            pk = place[0]
        else:
            self._stamps.pk = pk = self._stamps.pk + 1
            if (fingerprint := self._first_of_type(type)) is not None:
                self._execute(self._sql["first_of_type"], (type, fingerprint))
                self.types.add(type)
        version = self._append(pk, type, id, number, "update" if exists else "create", body, new=place is None)
        self.index(pk, prepared.rows, fresh=not exists)
        return version

    def delete(self, type: str, id: str, *, expected: int | None = None) -> Version | None:
        place = self._one("place", type, id)
        exists = place is not None and not place[2]
        if expected is not None and not (exists and place[1] == expected):
            raise errors.mismatch(type, id, expected, place[1] if exists else None)
        if not exists:
            return None
        version = self._append(place[0], type, id, place[1] + 1, "delete", b"", new=False)
        for statement in DELETE_ROWS.values():
            self._execute(statement, (place[0],))
        return version

    def _append(self, pk: int, type: str, id: str, number: int, method: str, body: bytes, *, new: bool) -> Version:
        self._stamps.sequence = sequence = self._stamps.sequence + 1
        self._execute(self._sql["insert_version"], (sequence, pk, number, type, id, self.instant, method, body))
        deleted = method == "delete"
        if new:
            self._execute(self._sql["insert_resource"], (pk, type, id, number, self.instant, sequence, deleted))
        else:
            self._execute(self._sql["update_resource"], (number, self.instant, sequence, deleted, pk))
        version = Version(type, id, number, self.instant, sequence, method, body)
        self.written[type, id] = version
        return version

    def index(self, pk: int, rows: Iterable[IndexRow], *, fresh: bool = False) -> None:
        """Makes `rows` the index rows of that resource; tables where nothing changes are not written."""
        wanted: dict[str, list[tuple[Any, ...]]] = {}
        for table, parameter, values in rows:
            found = wanted.setdefault(table, [])
            found.append((pk, parameter, len(found), *values))
        if not fresh:
            for table in COLUMNS:
                new = sorted(wanted.get(table, ()), key=_place)
                old = self._execute(SELECT_ROWS[table], (pk,)).fetchall()
                if old == new:
                    wanted.pop(table, None)
                elif old:
                    self._execute(DELETE_ROWS[table], (pk,))
        for table, new in wanted.items():
            self._connection.executemany(INSERT_ROWS[table], new)

    def keep(self, original: Original) -> bool:
        return self._execute(self._sql["keep"], original).rowcount == 1

    def put(self, kind: str, key: str, body: bytes, *, owner: str = "", due: str = "") -> None:
        self._execute(self._sql["put"], (kind, key, owner, due, body))

    def drop(self, kind: str, key: str) -> None:
        self._execute(self._sql["drop"], (kind, key))

    def advance(self, name: str, sequence: int) -> None:
        at = self.cursor(name)
        if sequence < at:
            raise errors.went_back(name, at, sequence)
        if sequence > at:
            self._execute(self._sql["advance"], (name, sequence))

    def remake(self, type: str, remade: Iterable[tuple[int, int, tuple[IndexRow, ...]]], value: str | None, target: str, upto: str) -> None:
        """One slice of a reindex: rows of resources that did not change meanwhile, and how far it is."""
        for pk, sequence, rows in remade:
            if self._one("still_current", pk, sequence):
                self.index(pk, rows)
        self._execute(self._sql["reindexed"], (value, target, upto, type))


def _place(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[1], row[2]
