"""64 concurrent creates through the store, fully durable, against bare sqlite3 inserting the same rows in groups of 100.

The rows are those of real resources (a Patient, an Observation, a Task in turn) with their real index rows; what is
compared is the queue, the savepoints, the stamps, the feed and the answers, not the schema: it is the same.
"""

import asyncio
import sqlite3
import tempfile
from itertools import count
from pathlib import Path

from figure import alternate, report

from icops_fhir.store import engine
from icops_fhir.store.connection import durable
from icops_fhir.store.migrations import migrate
from icops_fhir.store.protocol import Prepared
from icops_fhir.store.queries import INSERT_ROWS, queries

RESOURCES, AT_ONCE, GROUP = 3200, 64, 100
NUMBERS = count(1)


def resource(n: int) -> dict[str, object]:
    """Three kinds, as a pathway has them."""
    patient = {"reference": f"Patient/b{n // 3 * 3}"}
    return (
        {"resourceType": "Patient", "id": f"b{n}", "active": True, "identifier": [{"system": "urn:oid:1.2.250.1.1", "value": f"{n}"}, {"system": "urn:oid:1.2.250.1.2", "value": f"X{n}"}],
         "name": [{"family": f"MARTIN{n % 97}", "given": ["Odile", "Marie"]}], "gender": "female", "birthDate": "1948-02-17",
         "telecom": [{"system": "phone", "value": "0478000000"}], "address": [{"line": ["14 rue des Canuts"], "city": "LYON", "postalCode": "69001", "country": "FRA"}]},
        {"resourceType": "Observation", "id": f"b{n}", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}, "subject": patient,
         "effectiveDateTime": "2026-03-02T08:15:00+01:00", "valueQuantity": {"value": 61, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}},
        {"resourceType": "Task", "id": f"b{n}", "status": "requested", "intent": "order", "for": patient, "authoredOn": "2026-03-02T08:15:00+01:00",
         "code": {"coding": [{"system": "urn:icops", "code": "home-visit"}]}, "basedOn": [{"reference": f"CarePlan/c{n}"}], "owner": {"reference": "CareTeam/t1"}},
    )[n % 3]


def prepared() -> list[Prepared]:
    """New ones at each run: what comes before the queue is not measured here."""
    start = next(NUMBERS) * 1_000_000
    return [engine.prepare(resource(start + n)) for n in range(RESOURCES)]


def through(folder: str) -> tuple[object, object]:
    """The store: callers that each wait for their own answer."""
    store = engine.open(f"sqlite:///{folder}/store.db")
    batches: list[list[Prepared]] = []

    async def creates() -> None:
        todo = iter(batches.pop())

        async def caller() -> None:
            for made in todo:
                await store.write(lambda tx, made=made: tx.write(made))

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))

    def run() -> None:
        asyncio.run(creates())

    return lambda: batches.append(prepared()), run


def bare(folder: str) -> tuple[object, object]:
    """sqlite3 alone, one thread, the same tables and settings."""
    connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
    durable(connection, 4 * 2**20)
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    migrate(connection)
    numbers, sql, batches = count(1), queries(), []

    def run() -> None:
        made = batches.pop()
        for start in range(0, len(made), GROUP):
            connection.execute("BEGIN IMMEDIATE")
            for one in made[start : start + GROUP]:
                n, now = next(numbers), "2026-03-02T08:15:00.000Z"
                body = one.head + b'"versionId":"1","lastUpdated":"2026-03-02T08:15:00.000Z"' + one.tail
                connection.execute(sql["insert_version"], (n, n, 1, one.type, one.id, now, "create", body))
                connection.execute(sql["insert_resource"], (n, one.type, one.id, 1, now, n, 0))
                for rank, row in enumerate(one.rows):
                    connection.execute(INSERT_ROWS[row.table], (n, row.parameter, rank, *row.values))
            connection.execute("COMMIT")

    return lambda: batches.append(prepared()), run


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        ready, ours = through(folder)
        ready_bare, baseline = bare(folder)
        for _ in range(8):
            ready()
            ready_bare()
        mine, theirs = alternate(ours, baseline)
        rows = sum(len(one.rows) for one in prepared()) / RESOURCES
        print(f"{RESOURCES} resources with {rows:.1f} index rows each; bare sqlite3: {RESOURCES / theirs:,.0f} resources/s")
        report(f"{AT_ONCE} concurrent creates through the store, FULL", RESOURCES / mine, RESOURCES / theirs, unit="resources/s",
               against=f"bare sqlite3, groups of {GROUP}, FULL", least=0.4)


if __name__ == "__main__":
    main()
