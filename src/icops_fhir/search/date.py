"""date: every value is a range, from its first instant to the first after it; prefixes compare ranges.

https://hl7.org/fhir/R4/search.html#date, https://hl7.org/fhir/R4/search.html#prefix

    row (low, high)          UTC with milliseconds, half-open; an open end is FIRST or LAST
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from icops_fhir.search.condition import Condition, IndexRow, Predicate, any_of, bad_value, prefix, unescape
from icops_fhir.search.parameters import Parameter

TABLE = "date"
MODIFIERS: frozenset[str] = frozenset()

FIRST, LAST = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"
# A day is a day where the house stands: a value without a zone is read there.
ZONE = ZoneInfo("Europe/Paris")

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)  # fmt: skip


def instant(moment: datetime) -> str:
    """A moment as the index writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _next_month(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


@lru_cache(maxsize=16384)
def bounds(text: str) -> tuple[str, str] | None:
    """The range of a date, dateTime or instant of any precision; None when it is none."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        if hour is None:
            start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=ZONE)
            if day:
                end = start + timedelta(days=1)  # of the calendar: 23 or 25 hours where the clocks change
            else:
                y, m = _next_month(start.year, start.month) if month else (start.year + 1, 1)
                end = start.replace(year=y, month=m)
            return _clamped(start), _clamped(end)
        leap = second == "60"
        start = datetime(
            int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second or 0), int(((fraction or "") + "000000")[:3]) * 1000,
            tzinfo=ZONE if zone is None else UTC if zone == "Z" else datetime.fromisoformat(f"2000-01-01T00:00:00{zone}").tzinfo,
        )  # fmt: skip
    except (ValueError, OverflowError):
        return _edge(text)
    step = timedelta(minutes=1) if second is None else timedelta(seconds=1 + leap) if fraction is None else timedelta(milliseconds=max(1, 10 ** (3 - len(fraction))))
    return _clamped(start), _clamped(start, step)


def _clamped(moment: datetime, step: timedelta = timedelta()) -> str:
    """The instant, held between FIRST and LAST where a zone or a step would go past them."""
    try:
        return instant(moment.astimezone(UTC) + step)
    except OverflowError:
        return FIRST if moment.year < 5000 else LAST


def _edge(text: str) -> tuple[str, str] | None:
    """The last day, month and year there are have no first instant after them."""
    if text in ("9999", "9999-12", "9999-12-31"):
        start = bounds({"9999": "9999-01-01", "9999-12": "9999-12-01"}.get(text, "9999-12-30"))
        return start and ((start[1] if text == "9999-12-31" else start[0]), LAST)
    return None


def _period(value: dict[str, Any]) -> tuple[str, str]:
    start, end = value.get("start"), value.get("end")
    low = bounds(start) if isinstance(start, str) else None
    high = bounds(end) if isinstance(end, str) else None
    return (low[0] if low else FIRST), (high[1] if high else LAST)


def _timing(value: dict[str, Any]) -> tuple[str, str] | None:
    events = [found for event in value.get("event", ()) if isinstance(event, str) and (found := bounds(event))]
    repeat = value.get("repeat")
    if isinstance(repeat, dict) and isinstance(repeat.get("boundsPeriod"), dict):
        events.append(_period(repeat["boundsPeriod"]))
    return (min(low for low, _ in events), max(high for _, high in events)) if events else None


def rows(value: Any, parameter: int) -> Sequence[IndexRow]:
    """date, dateTime, instant, Period, Timing."""
    if isinstance(value, str):
        found = bounds(value)
    elif isinstance(value, dict):
        found = _period(value) if "start" in value or "end" in value else _timing(value)
    else:
        found = None
    return (IndexRow(TABLE, parameter, found),) if found else ()


def _near(low: str, high: str) -> Predicate:
    """ap: the ranges overlap once the asked one is widened by a tenth of its distance from now."""

    def widened(edge: str, sign: int) -> Callable[[datetime], str]:
        at = datetime.fromisoformat(edge)
        return lambda now: _clamped(at, sign * abs(now - at) / 10)

    return Predicate("(x.low < ? AND x.high > ?)", (widened(high, 1), widened(low, -1)))


def comparison(how: str, low: str, high: str) -> Predicate:
    """The prefix as a relation between the range asked for and the row's."""
    match how:
        case "ne":
            return Predicate("(x.low < ? OR x.high > ?)", (low, high))
        case "lt":
            return Predicate("x.low < ?", (low,))
        case "gt":
            return Predicate("x.high > ?", (high,))
        case "le":
            return Predicate("(x.low < ? AND (x.low < ? OR x.high <= ?))", (high, low, high))
        case "ge":
            return Predicate("(x.high > ? AND (x.high > ? OR x.low >= ?))", (low, high, low))
        case "sa":
            return Predicate("x.low >= ?", (high,))
        case "eb":
            return Predicate("x.high <= ?", (low,))
        case "ap":
            return _near(low, high)
    return Predicate("(x.low >= ? AND x.low < ? AND x.high <= ?)", (low, high, high))


def asked(parameter: Parameter, text: str) -> tuple[str, str, str]:
    """prefix, low, high of one search value."""
    how, rest = prefix(unescape(text).replace(" ", "+"))
    found = bounds(rest)
    if found is None:
        raise bad_value(parameter, text, "a date such as 2026-03, ge2026-03-01 or 2026-03-01T08:00:00+01:00", "une date comme 2026-03, ge2026-03-01 ou 2026-03-01T08:00:00+01:00")
    return how, *found


def where(parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition:
    """Any of the comparisons."""
    found = [asked(parameter, value) for value in values]
    weight = 3 if all(how == "eq" for how, _, _ in found) else 6
    return Condition(TABLE, parameter.number, any_of(comparison(*one) for one in found), weight=weight)
