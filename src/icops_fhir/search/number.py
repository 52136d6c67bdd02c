"""number: a value asked for means the range its digits leave open (`100` is 99.5 up to 100.5); other prefixes are exact.

https://hl7.org/fhir/R4/search.html#number
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from icops_fhir.search.condition import Condition, IndexRow, Predicate, any_of, bad_value, prefix, unescape
from icops_fhir.search.parameters import Parameter

TABLE = "number"
MODIFIERS: frozenset[str] = frozenset()

_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?")


def real(value: Any) -> float | None:
    """The number as the index holds it; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    try:
        out = float(value)
    except OverflowError:
        out = math.inf if value > 0 else -math.inf
    return None if math.isnan(out) else out


def rows(value: Any, parameter: int) -> Sequence[IndexRow]:
    """integer, decimal, Range."""
    if isinstance(value, dict):
        edges = value.get("low"), value.get("high")
        low, high = (real(edge.get("value")) if isinstance(edge, dict) else None for edge in edges)
        if low is None and high is None:
            return ()
        return (IndexRow(TABLE, parameter, (-math.inf if low is None else low, math.inf if high is None else high)),)
    found = real(value)
    return () if found is None else (IndexRow(TABLE, parameter, (found, found)),)


def comparison(how: str, value: Decimal) -> Predicate:
    """The prefix as a relation between the number asked for and the row's low and high."""
    exact = float(value)
    exponent = value.as_tuple().exponent
    half = Decimal((0, (5,), (exponent if isinstance(exponent, int) else 0) - 1))
    low, high = float(value - half), float(value + half)
    match how:
        case "ne":
            return Predicate("(x.low < ? OR x.high >= ?)", (low, high))
        case "lt":
            return Predicate("x.low < ?", (exact,))
        case "gt":
            return Predicate("x.high > ?", (exact,))
        case "le":
            return Predicate("x.low <= ?", (exact,))
        case "ge":
            return Predicate("x.high >= ?", (exact,))
        case "sa":
            return Predicate("x.low > ?", (exact,))
        case "eb":
            return Predicate("x.high < ?", (exact,))
        case "ap":
            return Predicate("(x.low <= ? AND x.high >= ?)", (exact + abs(exact) / 10, exact - abs(exact) / 10))
    return Predicate("(x.low >= ? AND x.high < ?)", (low, high))


def asked(parameter: Parameter, text: str) -> tuple[str, Decimal]:
    """prefix and number of one search value."""
    how, rest = prefix(unescape(text))
    if not _NUMBER.fullmatch(rest):
        raise bad_value(parameter, text, "a number such as 5.4, gt100 or 1e2", "un nombre comme 5.4, gt100 ou 1e2")
    return how, Decimal(rest)


def where(parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition:
    """Any of the comparisons."""
    return Condition(TABLE, parameter.number, any_of(comparison(*asked(parameter, value)) for value in values), weight=7)
