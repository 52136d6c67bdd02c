"""token: a code, perhaps with its system; :not.

https://hl7.org/fhir/R4/search.html#token

    row (system, code)       system "" = none given, NULL = implied by the element (code, boolean): any system asked fits
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from icops_fhir.fhir.path import Compiler
from icops_fhir.fhir.path_parser import parse
from icops_fhir.search.condition import Condition, IndexRow, Predicate, any_of, split, unescape
from icops_fhir.search.parameters import Parameter

TABLE = "token"
MODIFIERS = frozenset({"not"})

CONTACT_POINT_SYSTEMS = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})


def rows(value: Any, parameter: int) -> Sequence[IndexRow]:
    """code, boolean, string, uri, Coding, CodeableConcept, Identifier, ContactPoint."""
    if isinstance(value, str):
        return (IndexRow(TABLE, parameter, (None, value)),)
    if isinstance(value, dict):
        if "coding" in value:
            codings = value["coding"] if isinstance(value["coding"], list) else ()
            return [row for coding in codings if isinstance(coding, dict) for row in rows(coding, parameter)]
        system, code = value.get("system"), value.get("code")
        if code is None and "value" in value:
            code = value["value"]
            if system in CONTACT_POINT_SYSTEMS or (system is None and "use" in value and "type" not in value):
                system = value.get("use")
        if code is None and system is None:
            return ()
        return (IndexRow(TABLE, parameter, ("" if system is None else str(system), code if code is None else str(code))),)
    if isinstance(value, bool):
        return (IndexRow(TABLE, parameter, (None, "true" if value else "false")),)
    return (IndexRow(TABLE, parameter, (None, str(value))),)


def one(value: str) -> Predicate:
    """`code`, `system|code`, `|code` (no system), `system|` (any code of it)."""
    system, *rest = split(value, "|")
    system, code = unescape(system), unescape("|".join(rest))
    if not rest:
        return Predicate("x.code = ?", (system,))
    if not code:
        return Predicate("x.system = ?", (system,))
    if not system:
        return Predicate("(x.code = ? AND (x.system = '' OR x.system IS NULL))", (code,))
    return Predicate("(x.code = ? AND (x.system = ? OR x.system IS NULL))", (code, system))


def where(parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition:
    """Any of the values; with :not, none of them (a resource without the element is found too)."""
    return Condition(TABLE, parameter.number, any_of(map(one, values)), absent=modifier == "not", weight=_weight(parameter.expression, parameter.type))


@lru_cache(maxsize=4096)
def _weight(expression: str, type: str) -> int:
    """Identifiers find few, statuses and flags find many."""
    types = Compiler(expression, type).compile(parse(expression), None).types or ("boolean",)
    return 1 if "Identifier" in types else 2 if "ContactPoint" in types else 6 if {"code", "boolean"}.issuperset(types) else 4
