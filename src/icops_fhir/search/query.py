"""A search as it was asked, and as SQL over the index tables.

https://hl7.org/fhir/R4/search.html

    conditions ── lowest weight first ──►  FROM its index table, in the order of pk
                  the others            ──►  AND [NOT] EXISTS (row of the same resource)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.search import date
from icops_fhir.search.condition import Argument, Condition, Predicate, any_of, refused, split, unescape
from icops_fhir.search.parameters import COLUMNS, Parameter, parameters
from icops_fhir.search.types import NOT_YET, TYPES

COUNT, MOST = 50, 1000  # resources on a page: when nothing is asked, and at most
VALUES = 500  # alternatives in one parameter
CONDITIONS = 50  # parameters in one search
CURSOR = "_cursor"  # what the next link carries
BY_EQUALITY = frozenset({"token", "reference"})  # their index leads straight to one resource


class Statement(NamedTuple):
    """SQL with `?` places, and what goes there."""

    text: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Query:
    """A parsed search of one type."""

    type: str
    conditions: tuple[Condition, ...] = ()
    columns: tuple[Predicate, ...] = ()  # _id, _lastUpdated: on `resource` itself, called `r`
    count: int = COUNT
    sort: str = ""  # "" (order of creation), "_lastUpdated", "-_lastUpdated"
    summary: str = ""  # "count": no entries
    total: bool = False  # an exact total was asked for
    cursor: str = ""
    understood: tuple[tuple[str, str], ...] = ()  # for the self link
    issues: tuple[Issue, ...] = field(default=(), compare=False)  # what was ignored, and why

    def sql(self, now: datetime, limit: int | None = None) -> Statement:
        """SELECT pk, updated: the page after the cursor; one row more than `count` says that there is a next page."""
        source, wheres, args = self._from(now)
        down = self.sort.startswith("-")
        if self.cursor:
            updated, pk = _position(self.cursor)
            if self.sort:
                sign = "<" if down else ">"
                wheres.append(f"(r.updated {sign} ? OR (r.updated = ? AND {self._pk} {sign} ?))")
                args += [updated, updated, pk]
            else:
                wheres.append(f"{self._pk} > ?")
                args.append(pk)
        way = " DESC" if down else ""
        order = f"r.updated{way}, {self._pk}{way}" if self.sort else self._pk
        text = f"SELECT DISTINCT {self._pk} AS pk, r.updated AS updated {source} WHERE {' AND '.join(wheres)} ORDER BY {order} LIMIT ?"
        return Statement(text, (*args, self.count + 1 if limit is None else limit))

    def count_sql(self, now: datetime) -> Statement:
        """SELECT the exact number of matches, whatever the page."""
        source, wheres, args = self._from(now)
        return Statement(f"SELECT COUNT(DISTINCT {self._pk}) {source} WHERE {' AND '.join(wheres)}", tuple(args))

    def after(self, pk: int, updated: str) -> str:
        """The cursor of the page that follows this row."""
        return f"{updated}~{pk}" if self.sort else str(pk)

    def at(self, cursor: str) -> Query:
        """The same search from a cursor on."""
        return replace(self, cursor=cursor)

    @property
    def _first(self) -> Condition | None:
        present = [condition for condition in self.conditions if not condition.absent]
        if not present or (self.sort and not any(condition.weight <= 2 for condition in present)):
            return None  # sorted by update: walk the index of `resource` unless a condition finds few
        return min(present, key=lambda condition: condition.weight)

    @property
    def _pk(self) -> str:
        return "r.pk" if self._first is None else "x.pk"

    def _from(self, now: datetime) -> tuple[str, list[str], list[Any]]:
        first = self._first
        source, wheres, args = "FROM resource r", [], list[Any]()
        if first is not None:
            source = f"FROM index_{first.table} x JOIN resource r ON r.pk = x.pk"
            wheres.append("x.parameter = ?")
            args.append(first.parameter)
            if first.predicate is not None:
                wheres.append(first.predicate.sql)
                args += _values(first.predicate.args, now)
        wheres.append("r.type = ? AND r.deleted = 0")
        args.append(self.type)
        for predicate in self.columns:
            wheres.append(predicate.sql)
            args += _values(predicate.args, now)
        for condition in self.conditions:
            if condition is first:
                continue
            row = f"SELECT 1 FROM index_{condition.table} x WHERE x.pk = r.pk AND x.parameter = ?"  # noqa: S608
            args.append(condition.parameter)
            if condition.predicate is not None:
                # IS TRUE keeps a range from being read once per resource: the rows of one resource are few
                row += f" AND {condition.predicate.sql}" if condition.table in BY_EQUALITY else f" AND ({condition.predicate.sql}) IS TRUE"
                args += _values(condition.predicate.args, now)
            wheres.append(f"{'NOT ' if condition.absent else ''}EXISTS ({row})")
        return source, wheres, args


def _values(args: Sequence[Argument], now: datetime) -> list[Any]:
    return [arg(now) if callable(arg) else arg for arg in args]


_CURSOR = re.compile(r"(?:(\d{4}-\d\d-\d\dT[0-9:.]{1,16}Z)~)?(\d{1,18})")


def _position(cursor: str) -> tuple[str, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise _bad(CURSOR, cursor, "the value of a next link", "la valeur d'un lien next")
    return found[1] or "", int(found[2])


def _bad(name: str, value: str, wanted: str, french: str) -> FhirError:
    return refused(
        "value", f"{name} takes {wanted}; {value!r} is not one.", f"{name} attend {french} ; {value!r} n'en est pas.", "icops-search-value", name
    )


def _ignored(name: str, why: str, pourquoi: str, code: str = "not-supported") -> Issue:
    return Issue(
        "warning", code, f"The search parameter {name} was ignored: {why}.", expression=(name,), rule="icops-search-ignored",
        french=f"Le paramètre de recherche {name} a été ignoré : {pourquoi}.",
    )  # fmt: skip


# ------------------------------------------------------------------ parameters about the answer


def _count(query: Query, value: str) -> Query:
    if not re.fullmatch(r"\d{1,9}", value):
        raise _bad("_count", value, "a number", "un nombre")
    return replace(query, count=min(int(value), MOST), summary=query.summary if int(value) else "count")


def _sort(query: Query, value: str) -> Query:
    if value not in ("_lastUpdated", "-_lastUpdated"):
        raise NotImplementedError("_sort")
    return replace(query, sort=value)


def _summary(query: Query, value: str) -> Query:
    if value not in ("count", "false"):
        raise NotImplementedError("_summary")
    return replace(query, summary="count") if value == "count" else query


def _total(query: Query, value: str) -> Query:
    if value not in ("none", "estimate", "accurate"):
        raise _bad("_total", value, "none, estimate or accurate", "none, estimate ou accurate")
    return replace(query, total=value == "accurate")


def _cursor(query: Query, value: str) -> Query:
    _position(value)
    return replace(query, cursor=value)


RESULT: dict[str, Callable[[Query, str], Query]] = {"_count": _count, "_sort": _sort, "_summary": _summary, "_total": _total, CURSOR: _cursor}
ELSEWHERE = frozenset({"_format", "_pretty"})  # read where the answer is written
KNOWN_NOT_YET = frozenset({"_include", "_revinclude", "_has", "_elements", "_contained", "_containedType", "_filter", "_text", "_content", "_query", "_list", "_score"})


# ------------------------------------------------------------------ parameters about the content

_INSTANT = {"eq": "(r.updated >= ? AND r.updated < ?)", "ne": "(r.updated < ? OR r.updated >= ?)", "lt": "r.updated < ?1", "eb": "r.updated < ?1",
            "ge": "r.updated >= ?1", "gt": "r.updated >= ?2", "sa": "r.updated >= ?2", "le": "r.updated < ?2"}  # fmt: skip


def _updated(parameter: Parameter, value: str) -> Predicate:
    """_lastUpdated: an instant is a range of one millisecond, so the comparisons are plain."""
    how, low, high = date.asked(parameter, value)
    if how == "ap":
        near = date.comparison("ap", low, high)
        return Predicate(near.sql.replace("x.low", "r.updated").replace("x.high", "r.updated"), near.args)
    sql = _INSTANT[how]
    args = (low,) if "?1" in sql else (high,) if "?2" in sql else (low, high)
    return Predicate(re.sub(r"\?\d", "?", sql), args)


def _column(parameter: Parameter, modifier: str, values: Sequence[str]) -> Predicate:
    if modifier:
        raise _modifier(f"{parameter.code}:{modifier}")
    if parameter.code == "_id":
        return Predicate(f"r.id IN ({', '.join('?' * len(values))})", tuple(unescape(value) for value in values))
    return any_of(_updated(parameter, value) for value in values)


def _modifier(name: str) -> FhirError:
    said = f"The modifier of {name} is not supported here."
    return refused("not-supported", said, f"Le modificateur de {name} n'est pas pris en charge ici.", "icops-search-modifier", name)


def _missing(parameter: Parameter, value: str) -> Condition:
    if value not in ("true", "false"):
        raise _bad(f"{parameter.code}:missing", value, "true or false", "true ou false")
    return Condition(TYPES[parameter.kind].TABLE, parameter.number, absent=value == "true", weight=8)


def _content(query: Query, parameter: Parameter, modifier: str, value: str) -> Query:
    if parameter.kind in NOT_YET:
        raise NotImplementedError(parameter.kind)
    values = [part for part in split(value, ",") if part]
    if len(values) > VALUES or len(query.conditions) + len(query.columns) >= CONDITIONS:
        raise refused(
            "too-costly", f"A search takes at most {CONDITIONS} parameters of {VALUES} values each.",
            f"Une recherche accepte au plus {CONDITIONS} paramètres de {VALUES} valeurs chacun.", "icops-search-limit", parameter.code,
        )  # fmt: skip
    if not values:
        return query
    if parameter.code in COLUMNS:
        return replace(query, columns=(*query.columns, _column(parameter, modifier, values)))
    kind = TYPES[parameter.kind]
    if modifier == "missing":
        return replace(query, conditions=(*query.conditions, _missing(parameter, value)))
    if modifier and modifier not in kind.MODIFIERS and not (parameter.kind == "reference" and modifier in parameter.target):
        raise _modifier(f"{parameter.code}:{modifier}")
    return replace(query, conditions=(*query.conditions, kind.where(parameter, modifier, values)))


# ------------------------------------------------------------------ the whole


def _one(query: Query, name: str, value: str) -> Query | Issue:
    """The query with this parameter, or why it is ignored."""
    code, _, modifier = name.partition(":")
    try:
        if name in RESULT:
            return RESULT[name](query, value)
        if "." in name:
            return _ignored(name, "chained parameters are not supported yet", "les paramètres chaînés ne sont pas encore pris en charge")
        if code in KNOWN_NOT_YET:
            return _ignored(name, f"{code} is not supported yet", f"{code} n'est pas encore pris en charge")
        parameter = parameters(query.type).get(code)
        if parameter is None:
            return _ignored(name, f"{query.type} has no such parameter", f"{query.type} n'a pas ce paramètre")
        return _content(query, parameter, modifier, value)
    except NotImplementedError as error:
        what = NOT_YET.get(str(error), f"{name}={value}")
        return _ignored(name, f"not supported yet ({what})", f"pas encore pris en charge ({what})")


def parse(type: str, params: Sequence[tuple[str, str]], *, strict: bool) -> Query:
    """The search that these parameters ask for; what is not understood is refused when `strict`, else ignored and said.

    A wrong value or modifier of a known parameter is refused in any case; all issues are gathered first.
    """
    query, wrong = Query(type), list[Issue]()
    for name, value in params:
        if name in ELSEWHERE or not value:
            continue
        try:
            answer = _one(query, name, value)
        except FhirError as error:
            wrong += error.issues
            continue
        if isinstance(answer, Query):
            said = str(answer.count) if name == "_count" and answer.count else value
            query = replace(answer, understood=query.understood if name == CURSOR else (*query.understood, (name, said)))
        else:
            query = replace(query, issues=(*query.issues, answer))
    if strict:
        wrong += [replace(issue, severity="error", rule="icops-search-unknown", **_refusal(issue)) for issue in query.issues]
    if wrong:
        raise FhirError(wrong, status=400, ack="AR")
    return query


def _refusal(issue: Issue) -> dict[str, Any]:
    return {
        "diagnostics": issue.diagnostics.replace(" was ignored: ", " is refused (Prefer: handling=strict): "),
        "french": issue.french.replace(" a été ignoré : ", " est refusé (Prefer: handling=strict) : "),
    }
