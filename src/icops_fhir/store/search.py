"""Runs a search written by icops_fhir.search.query: the page, the cursor to the next one, the total when asked.

https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import TYPE_CHECKING

from icops_fhir.store.protocol import Page, Version
from icops_fhir.store.queries import queries

if TYPE_CHECKING:
    from icops_fhir.search.query import Query


def search(connection: sqlite3.Connection, query: Query, now: datetime) -> Page:
    """One row more than the page holds is asked for: it says whether there is a next page."""
    total = None
    if query.total or query.summary == "count":
        total = int(connection.execute(*query.count_sql(now)).fetchone()[0])
    if query.summary == "count":
        return Page([], total, None)
    hits = connection.execute(*query.sql(now)).fetchall()
    page, more = hits[: query.count], len(hits) > query.count
    read = queries()["read_pk"]
    versions = [Version._make(connection.execute(read, hit[:1]).fetchone()) for hit in page]
    return Page(versions, total, query.after(*page[-1]) if more else None)
