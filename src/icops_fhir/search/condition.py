"""A condition of a search: a predicate over the index rows of one parameter, as SQL.

https://hl7.org/fhir/R4/search.html#escaping, #prefix
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.search.parameters import Parameter

Argument = str | int | float | None | Callable[[datetime], str]  # a function of `now` where the prefix asks for it


class IndexRow(NamedTuple):
    """One row of an index table; `values` in the order of the table's columns after pk and parameter."""

    table: str  # string token reference date number quantity uri
    parameter: int
    values: tuple[Any, ...]


class Predicate(NamedTuple):
    """SQL over the columns of one row, called `x`."""

    sql: str
    args: tuple[Argument, ...] = ()


class Condition(NamedTuple):
    """The resource has (or, when `absent`, has not) a row of `table` for `parameter` that satisfies the predicate."""

    table: str
    parameter: int
    predicate: Predicate | None = None  # None: any row
    absent: bool = False
    weight: int = 5  # the lower, the fewer rows it usually finds: the search starts from the lowest


class ParameterType(Protocol):
    """A search parameter type: how a value is indexed, how a search on it reads."""

    TABLE: str
    MODIFIERS: frozenset[str]

    def rows(self, value: Any, parameter: int) -> Sequence[IndexRow]: ...
    def where(self, parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition: ...


def refused(code: str, english: str, french: str, rule: str, parameter: str = "") -> FhirError:
    """A search that cannot be done, and why."""
    where = (parameter,) if parameter else ()
    return FhirError(Issue("error", code, english, expression=where, rule=rule, french=french), status=400, ack="AR")


def bad_value(parameter: Parameter, value: str, wanted: str, french: str) -> FhirError:
    """A value that its parameter type cannot read."""
    return refused(
        "value", f"The search parameter {parameter.code} takes {wanted}; {value!r} is not one.",
        f"Le paramètre de recherche {parameter.code} attend {french} ; {value!r} n'en est pas.", "icops-search-value", parameter.code,
    )  # fmt: skip


def any_of(predicates: Iterable[Predicate]) -> Predicate:
    """At least one of them (the comma of a search value)."""
    found = list(dict.fromkeys(predicates))
    if len(found) == 1:
        return found[0]
    return Predicate("(" + " OR ".join(p.sql for p in found) + ")", tuple(arg for p in found for arg in p.args))


def split(text: str, at: str) -> list[str]:
    r"""The parts between unescaped separators, still escaped: `a\,b,c` at `,` is `a\,b` and `c`."""
    if "\\" not in text:
        return text.split(at)
    parts, escaped = [""], False
    for character in text:
        if character == at and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def unescape(text: str) -> str:
    r"""`\,` `\|` `\$` `\\` as they are meant."""
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})


def prefix(text: str) -> tuple[str, str]:
    """The comparison a date, number or quantity value starts with, `eq` when it has none."""
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)
