"""The primitive types: the JSON kind, the pattern of the specification, and the calendar.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from icops_fhir.validator.finding import Check, Findings, one

_DATE = r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_MONTH_DAY = r"-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1]))"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

# A string of R4 is not empty, and is made of characters that are neither controls nor only blanks.
PATTERNS: dict[str, str] = {
    "string": r"[ \r\n\t\S]*\S[ \r\n\t\S]*",
    "markdown": r"[ \r\n\t\S]*\S[ \r\n\t\S]*",
    "code": r"[^\s]+(\s[^\s]+)*",
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "uri": r"\S+",
    "url": r"\S+",
    "canonical": r"\S+",
    "oid": r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+",
    "uuid": r"urn:uuid:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "date": f"{_DATE}(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1]))?)?",
    "dateTime": f"{_DATE}(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])(T{_TIME}{_ZONE})?)?)?",
    "instant": f"{_DATE}{_MONTH_DAY}T{_TIME}{_ZONE}",
    "time": _TIME,
    "base64Binary": r"[A-Za-z0-9+/\s]+={0,2}\s*",
}
INTEGERS: dict[str, tuple[int, int]] = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
}
CALENDAR = frozenset({"date", "dateTime", "instant"})


def check(type_: str) -> Check:
    """The check of one primitive type."""
    if type_ == "boolean":
        return _boolean
    if type_ == "decimal":
        return _decimal
    if type_ in INTEGERS:
        return _integer(type_)
    if type_ == "xhtml":
        return _xhtml
    return _text(type_)


def _text(type_: str) -> Check:
    whole: Callable[[str], Any] = re.compile(PATTERNS[type_]).fullmatch
    further = {**dict.fromkeys(CALENDAR, _calendar), "base64Binary": _base64}.get(type_)
    if type_ in ("string", "markdown"):
        whole = _string

    def text(value: Any) -> Findings | None:
        if type(value) is not str:
            return one("value", "icops-primitive", f"{_shown(value)} is not a JSON string, as {type_} asks", f"{_shown(value)} n'est pas une chaîne JSON, comme le demande {type_}")
        if not whole(value):
            return one("value", "icops-primitive", f"{_shown(value)} is no {type_}", f"{_shown(value)} n'est pas un {type_}")
        return further(value, type_) if further is not None else None

    return text


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]").search


def _string(value: str) -> bool:
    """The pattern of the specification as two quick questions."""
    return not value.isspace() and value != "" and (value.isprintable() or not _CONTROL(value))


def _calendar(value: str, type_: str) -> Findings | None:
    if len(value) >= 10 and value[8:10] > "28" and int(value[8:10]) > monthrange(int(value[:4]), int(value[5:7]))[1]:
        return one("value", "icops-calendar", "this day is not in the calendar", "ce jour n'est pas dans le calendrier")
    return None


def _base64(value: str, type_: str) -> Findings | None:
    if len("".join(value.split())) % 4:
        return one("value", "icops-primitive", "the base64 text is not complete", "le texte base64 n'est pas complet")
    return None


def _boolean(value: Any) -> Findings | None:
    return None if value is True or value is False else one("value", "icops-primitive", f"{_shown(value)} is not true or false", f"{_shown(value)} n'est ni true ni false")


def _decimal(value: Any) -> Findings | None:
    if isinstance(value, (int, Decimal, float)) and value is not True and value is not False:
        return None
    return one("value", "icops-primitive", f"{_shown(value)} is not a JSON number", f"{_shown(value)} n'est pas un nombre JSON")


def _integer(type_: str) -> Check:
    low, high = INTEGERS[type_]

    def integer(value: Any) -> Findings | None:
        if type(value) is int and low <= value <= high:
            return None
        return one("value", "icops-primitive", f"{_shown(value)} is no {type_} ({low} to {high})", f"{_shown(value)} n'est pas un {type_} ({low} à {high})")

    return integer


def _xhtml(value: Any) -> Findings | None:
    if type(value) is str and value.lstrip().startswith("<div") and value.rstrip().endswith(">"):
        return None
    return one("value", "icops-narrative", "the narrative must be one <div> of XHTML", "le texte doit être un <div> XHTML")


def _shown(value: Any) -> str:
    """The kind of a wrong value, never the value: errors carry no health data."""
    if value == "":
        return "an empty text"
    kinds = {str: "a text", bool: "a boolean", int: "a number", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")
