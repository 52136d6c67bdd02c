"""quantity: a number, perhaps with its unit: `5.4|http://unitsofmeasure.org|mg`, `5.4||mg`, `5.4`.

https://hl7.org/fhir/R4/search.html#quantity. Units are compared as written, never converted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from icops_fhir.search import number
from icops_fhir.search.condition import Argument, Condition, IndexRow, Predicate, any_of, split, unescape
from icops_fhir.search.parameters import Parameter

TABLE = "quantity"
MODIFIERS: frozenset[str] = frozenset()

CURRENCY = "urn:iso:std:iso:4217"


def _edges(value: dict[str, Any]) -> tuple[float, float] | None:
    found = number.real(value.get("value"))
    if found is None:
        return None
    comparator = str(value.get("comparator", ""))
    return (-math.inf if comparator.startswith("<") else found), (math.inf if comparator.startswith(">") else found)


def rows(value: Any, parameter: int) -> Sequence[IndexRow]:
    """Quantity and its kin, Money, Range. The written unit is a second row where it is not the code."""
    if not isinstance(value, dict):
        return ()
    if isinstance(value.get("low"), dict) or isinstance(value.get("high"), dict):
        low, high = (number.real(edge.get("value")) if isinstance(edge := value.get(name), dict) else None for name in ("low", "high"))
        edges = None if low is None and high is None else (-math.inf if low is None else low, math.inf if high is None else high)
        unit = value.get("low") or value.get("high") or {}
    else:
        edges, unit = _edges(value), value
    if edges is None:
        return ()
    if "currency" in unit:
        return (IndexRow(TABLE, parameter, (CURRENCY, str(unit["currency"]), *edges)),)
    system, code, written = str(unit.get("system") or ""), unit.get("code"), unit.get("unit")
    out = [IndexRow(TABLE, parameter, (system, str(code), *edges))] if code else []
    if (written and written != code) or not code:
        out.append(IndexRow(TABLE, parameter, ("", str(written or ""), *edges)))
    return out


def _one(parameter: Parameter, text: str) -> Predicate:
    value, *unit = split(text, "|")
    predicate = number.comparison(*number.asked(parameter, value))
    system, code = (unescape(unit[0]) if unit else ""), (unescape("|".join(unit[1:])) if len(unit) > 1 else "")
    parts, args = [predicate.sql], list[Argument](predicate.args)
    if code:
        parts.append("x.code = ?")
        args.append(code)
    if system:
        parts.append("x.system = ?")
        args.append(system)
    return Predicate("(" + " AND ".join(parts) + ")", tuple(args))


def where(parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition:
    """Any of the comparisons."""
    return Condition(TABLE, parameter.number, any_of(_one(parameter, value) for value in values), weight=7)
