"""Brings a database to the state this release knows: sql/schema.sql when new, else sql/migrations/ one by one.

https://www.sqlite.org/pragma.html#pragma_user_version, #pragma_application_id
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from icops_fhir.store import errors
from icops_fhir.store.queries import text

APPLICATION = 0x49434F50  # "ICOP": tells our files from others


def migrations() -> list[str]:
    """File names in their order; the number in front is the version each leads to."""
    folder = files("icops_fhir.store").joinpath("sql", "migrations")
    return sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _run(connection: sqlite3.Connection, script: str, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements(script):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def check(connection: sqlite3.Connection, path: str) -> int:
    """The version of the database, 0 when it is empty; refused when it is not ours or comes from a later release."""
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise errors.foreign(path) from None
        raise
    if not empty and application != APPLICATION:
        raise errors.foreign(path)
    if version > len(migrations()):
        raise errors.newer(path, version, len(migrations()))
    return version


def migrate(connection: sqlite3.Connection, path: str = ":memory:", *, upto: int | None = None) -> None:
    """Each step is one transaction: after a crash the next start goes on from the last whole one."""
    version, names = check(connection, path), migrations()
    if version == 0 and upto is None:
        _run(connection, text("schema.sql"), len(names))
        return
    for number, name in enumerate(names[:upto], 1):
        if number > version:
            _run(connection, text(f"migrations/{name}"), number)
