"""uri: the very same text; :below, everything under it.

https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icops_fhir.search.condition import Condition, IndexRow, Predicate, any_of, unescape
from icops_fhir.search.parameters import Parameter

TABLE = "uri"
MODIFIERS = frozenset({"below"})


def rows(value: Any, parameter: int) -> Sequence[IndexRow]:
    """uri, url, canonical, oid."""
    return (IndexRow(TABLE, parameter, (value,)),) if isinstance(value, str) else ()


def _one(modifier: str, text: str) -> Predicate:
    if modifier == "below":
        under = text.rstrip("/") + "/"
        return Predicate("(x.value = ? OR (x.value >= ? AND x.value < ?))", (text, under, under + "\U0010ffff"))
    return Predicate("x.value = ?", (text,))


def where(parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition:
    """Any of the uris."""
    return Condition(TABLE, parameter.number, any_of(_one(modifier, unescape(value)) for value in values), weight=2)
