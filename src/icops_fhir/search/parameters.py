"""The search parameters of a type: the definitions' own, ours, and those every resource has.

https://hl7.org/fhir/R4/searchparameter.html, https://hl7.org/fhir/R4/search.html#all
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from icops_fhir.fhir.elements import ancestors
from icops_fhir.fhir.packages import known

# The columns of `resource` answer these two; they have no index rows.
COLUMNS = {"_id": "id", "_lastUpdated": "updated"}


class Parameter(NamedTuple):
    """One search parameter on one type."""

    type: str  # the resource type searched
    code: str
    kind: str  # string token reference date number quantity uri composite special
    number: int  # names it in the index tables
    expression: str
    target: tuple[str, ...]
    definition: dict[str, Any]


def number(type: str, code: str) -> int:
    """The number of a parameter in the index tables."""
    return crc32(f"{type}:{code}".encode()) & 0x7FFFFFFF


@cache
def parameters(type: str) -> dict[str, Parameter]:
    """code -> Parameter, in alphabetical order; the nearest definition wins (the type's before Resource's)."""
    found: dict[str, Parameter] = {}
    for base in ancestors(type):
        for definition in known().search_parameters(base):
            code = definition["code"]
            if code not in found and (definition.get("expression") or code in COLUMNS):
                target = tuple(definition.get("target", ()))
                found[code] = Parameter(type, code, definition["type"], number(type, code), definition.get("expression", ""), target, definition)
    return dict(sorted(found.items()))
