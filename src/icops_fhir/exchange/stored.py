"""What the store gives, as values: bodies parsed once, and searches by key written without the detours of a request.

A value is shared by all who read the same bytes: nobody changes one in place (tests/exchange/conftest.py holds them to it).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from icops_fhir.fhir.json import loads
from icops_fhir.search.condition import split
from icops_fhir.search.parameters import parameters
from icops_fhir.search.query import Query
from icops_fhir.search.types import TYPES

BATCH = 500  # resources on a page
KEPT, SMALL = 4096, 4 * 1024  # bodies remembered, and the size up to which one is
parsed = lru_cache(maxsize=KEPT)(loads)


def value(body: bytes) -> Any:
    """The value of a stored body."""
    return parsed(body) if len(body) <= SMALL else loads(body)


def asking(type_: str, *conditions: tuple[str, str], count: int = BATCH) -> Query:
    """The search of a type by these parameters (no modifier), all of them known to exist."""
    known = parameters(type_)
    return Query(
        type_,
        tuple(TYPES[known[code].kind].where(known[code], "", [one for one in split(alternatives, ",") if one]) for code, alternatives in conditions),
        count=count,
    )
