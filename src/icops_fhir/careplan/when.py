"""FHIR dateTimes of any precision, as times: read, shifted, told in French.

https://hl7.org/fhir/R4/datatypes.html#dateTime. A date without time stays one; nothing here reads a clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

MONTHS = ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "wk": timedelta(weeks=1), "min": timedelta(minutes=1)}


def moment(text: str) -> datetime | None:
    """An aware time to compare with; a partial date counts from its beginning, a time without zone as UTC."""
    if not text:
        return None
    try:
        if "T" not in text:
            year, month, day = (*map(int, text.split("-")), 1, 1)[:3]
            return datetime(year, month, day, tzinfo=UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def before(one: str, other: str) -> bool:
    """Whether `one` is known to be earlier than `other`."""
    a, b = moment(one), moment(other)
    return a is not None and b is not None and a < b


def shifted(text: str, by: timedelta) -> str:
    """The dateTime `by` later, as precise as it was where that makes sense; "" when it cannot be read."""
    found = moment(text)
    if found is None:
        return ""
    try:
        if "T" not in text and by % timedelta(days=1) == timedelta(0):
            return (found.date() + by).isoformat()
        return (found + by).isoformat(timespec="seconds")
    except OverflowError:
        return ""


def instant(now: datetime) -> str:
    """`now` as a FHIR instant."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def french(text: str) -> str:
    """"le 3 mars 2026 à 08:15"; what is not a full date is given as it is."""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return f"le {text}" if text else "à une date non précisée"
    written = f"le {'1er' if day.day == 1 else day.day} {MONTHS[day.month - 1]} {day.year}"
    return f"{written} à {text[11:16]}" if "T" in text else written
