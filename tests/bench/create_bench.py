"""64 concurrent creates through HTTP with full durability, against bare SQLite inserting the same rows in groups of 100."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import statistics
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import Any

from figure import report
from http_load import load, ours

CREATES, CONNECTIONS, RUNS, GROUP = 3_000, 64, 5, 100
TABLES = ("version", "resource", *(f"index_{kind}" for kind in ("string", "token", "reference", "date", "number", "quantity", "uri")))
Group = dict[str, list[tuple[Any, ...]]]


def observation(number: int) -> dict[str, object]:
    """A small, ordinary resource."""
    return {
        "resourceType": "Observation", "status": "final", "identifier": [{"system": "urn:bench", "value": str(number)}],
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}], "text": "Poids"},
        "subject": {"reference": f"Patient/{number % 500}"}, "effectiveDateTime": "2026-03-01T08:00:00+01:00",
        "valueQuantity": {"value": 72.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}}


def requests(start: int) -> list[bytes]:
    """The creates of one run, ready to send."""
    head = b"POST /fhir/Observation HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/fhir+json\r\ncontent-length: %d\r\n\r\n"
    bodies = (json.dumps(observation(start + number)).encode() for number in range(CREATES))
    return [head % len(body) + body for body in bodies]


def made(path: Path, after: int) -> tuple[list[Group], int]:
    """The rows the server wrote since, as groups of 100 resources: table → rows."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as found:
        last = found.execute("SELECT coalesce(max(pk), 0) FROM resource").fetchone()[0]
        groups = []
        for at in range(after + 1, last + 1, GROUP):
            rows = {table: found.execute(f"SELECT * FROM {table} WHERE pk BETWEEN ? AND ?", (at, min(at + GROUP - 1, last))).fetchall() for table in TABLES}
            groups.append({table: items for table, items in rows.items() if items})
    return groups, last


def insert(connection: sqlite3.Connection, groups: list[Group]) -> float:
    """Seconds bare SQLite takes for them, one durable transaction per group."""
    begin = time.perf_counter()
    for group in groups:
        connection.execute("BEGIN IMMEDIATE")
        for table, rows in group.items():
            connection.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)
        connection.execute("COMMIT")
    return time.perf_counter() - begin


def bare(path: Path, schema: str) -> sqlite3.Connection:
    """The same tables and indexes, and the same durability."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(schema)
    return connection


def main() -> None:
    schema = resources.files("icops_fhir.store").joinpath("sql/schema.sql").read_text()
    with ours() as server, tempfile.TemporaryDirectory(dir=os.environ.get("ICOPS_BENCH_DIR")) as folder, contextlib.closing(
        bare(Path(folder, "bare.db"), schema)
    ) as connection:
        last, pairs = 0, []
        for run in range(RUNS + 1):
            through_http = load(server.port, iter(requests(run * CREATES)), CONNECTIONS)
            groups, last = made(server.database, last)
            pairs.append((through_http, insert(connection, groups)))
    mine, raw = (CREATES / statistics.median(seconds) for seconds in zip(*pairs[1:], strict=True))
    report("64 concurrent creates, FULL", mine, raw, unit="/s", against="bare SQLite, same rows, groups of 100", least=0.10)


if __name__ == "__main__":
    main()
