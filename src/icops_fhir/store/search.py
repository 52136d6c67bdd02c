"""Runs a search written by icops_fhir.search.query and joins the pages from stored bytes.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import TYPE_CHECKING

from icops_fhir.store.protocol import Page

if TYPE_CHECKING:
    from icops_fhir.search.query import Query


def search(connection: sqlite3.Connection, query: Query, now: datetime) -> Page:
    raise NotImplementedError
