"""An in-memory SQLite with the index tables, filled by the extractor and asked by the query: what a store does, and no more."""

import sqlite3
from datetime import UTC, datetime

from icops_fhir.search.index import rows
from icops_fhir.search.query import Query, parse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS = {
    "string": "norm TEXT, exact TEXT", "token": "system TEXT, code TEXT", "reference": "type TEXT, id TEXT, url TEXT", "date": "low TEXT, high TEXT",
    "number": "low REAL, high REAL", "quantity": "system TEXT, code TEXT, low REAL, high REAL", "uri": "value TEXT",
}  # fmt: skip


class House:
    """Resources by id, as index rows."""

    def __init__(self, resources=()):
        self.db = sqlite3.connect(":memory:")
        self.db.execute("CREATE TABLE resource (pk INTEGER PRIMARY KEY, type TEXT, id TEXT, version INT, updated TEXT, sequence INT, deleted INT)")
        for table, columns in COLUMNS.items():
            self.db.execute(f"CREATE TABLE index_{table} (pk INTEGER, parameter INTEGER, rank INTEGER, {columns}, PRIMARY KEY (pk, parameter, rank)) WITHOUT ROWID")
        for resource in resources:
            self.add(resource)

    def add(self, resource, updated="2026-01-01T00:00:00.000Z", deleted=0):
        type, id = resource["resourceType"], resource["id"]
        pk = self.db.execute("INSERT INTO resource (type, id, version, updated, sequence, deleted) VALUES (?,?,1,?,0,?)", (type, id, updated, deleted)).lastrowid
        for rank, row in enumerate(() if deleted else rows(resource)):
            self.db.execute(f"INSERT INTO index_{row.table} VALUES (?,?,?{',?' * len(row.values)})", (pk, row.parameter, rank, *row.values))

    def page(self, query: Query):
        """The ids of one page, and the cursor of the next."""
        found = self.db.execute(*query.sql(NOW)).fetchall()
        ids = [self.db.execute("SELECT id FROM resource WHERE pk = ?", row[:1]).fetchone()[0] for row in found[: query.count]]
        return ids, query.after(*found[query.count - 1]) if len(found) > query.count else None

    def count(self, query: Query):
        return self.db.execute(*query.count_sql(NOW)).fetchone()[0]

    def search(self, type, *params, strict=True):
        """All matching ids, through pages; the exact count must agree."""
        query = parse(type, params, strict=strict)
        out, cursor = [], ""
        while cursor is not None:
            ids, after = self.page(query.at(cursor) if cursor else query)
            assert after is None or after != cursor
            cursor = after
            out += ids
        assert len(out) == len(set(out)) == self.count(query)
        return out
