"""The statements of sql/queries.sql by name, and what is written per index table.

https://hl7.org/fhir/R4/search.html (one index table per search parameter type)
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

# What an IndexRow of each table carries, in its order.
COLUMNS = {
    "string": ("norm", "exact"),
    "token": ("system", "code"),
    "reference": ("type", "id", "url"),
    "date": ("low", "high"),
    "number": ("low", "high"),
    "quantity": ("system", "code", "low", "high"),
    "uri": ("value",),
}

INSERT_ROWS = {
    table: f"INSERT INTO index_{table} (pk, parameter, rank, {', '.join(columns)}) "  # noqa: S608
    f"VALUES (?, ?, ?{', ?' * len(columns)})"
    for table, columns in COLUMNS.items()
}
SELECT_ROWS = {
    table: f"SELECT pk, parameter, rank, {', '.join(columns)} FROM index_{table} WHERE pk = ? ORDER BY parameter, rank"  # noqa: S608
    for table, columns in COLUMNS.items()
}
DELETE_ROWS = {table: f"DELETE FROM index_{table} WHERE pk = ?" for table in COLUMNS}  # noqa: S608


def text(path: str) -> str:
    """A file of sql/, read from wherever the package is installed."""
    return files("icops_fhir.store").joinpath("sql", *path.split("/")).read_text(encoding="utf-8")


@cache
def queries() -> dict[str, str]:
    """Every named statement."""
    parts = re.split(r"^-- name: (\w+)\n", text("queries.sql"), flags=re.M)
    return {name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}
