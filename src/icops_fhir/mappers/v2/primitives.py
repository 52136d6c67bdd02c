"""Leaf codecs: one subcomponent as text ↔ one FHIR primitive.

HL7 v2.5.1 §2.A (data types); https://hl7.org/fhir/R4/datatypes.html#primitive
`""` (delete) and what FHIR cannot hold decode to nothing: carry keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icops_fhir.fhir.json import Number
from icops_fhir.mappers.codec import Codec, Context, plain
from icops_fhir.mappers.v2.er7 import NULL

# What a FHIR string may hold: no control character but tab, CR and LF, and something to see.
_UNHOLDABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def holdable(value: str) -> bool:
    """Whether a FHIR string may hold this text. https://hl7.org/fhir/R4/datatypes.html#string"""
    if value.isprintable():
        return value != NULL and not value.isspace()
    return not value.isspace() and _UNHOLDABLE.search(value) is None


def _text(value: str, _: Context | None = None) -> str | None:
    if value.isalnum():
        return value
    return value if value and holdable(value) else None


def _written(value: object, _: Context | None = None) -> str | None:
    return value if value and isinstance(value, str) else None


text = Codec(_text, _written, exact=True)

_CODE = re.compile(r"[^\s]+(?: [^\s]+)*\Z")


def _code(value: str, _: Context | None = None) -> str | None:
    if value.isalnum():
        return value
    return value if value != NULL and _CODE.match(value) and holdable(value) else None


code = Codec(_code, _written, exact=True)

# ---------------------------------------------------------------- times

_TS = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,9})?)?)?)?)?)?([+-]\d{4})?\Z")
_DATETIME = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?\Z")


@lru_cache(maxsize=32)
def _zone(name: str) -> ZoneInfo | timezone:
    found = re.fullmatch(r"([+-])(\d\d):?(\d\d)", name)
    if found:
        minutes = int(found[2]) * 60 + int(found[3])
        return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("Europe/Paris")


@lru_cache(maxsize=4096)
def offset(zone: str, year: int, month: int, day: int, hour: int, minute: int) -> str:
    """The offset of a local time in a zone: "+02:00"."""
    found = datetime(year, month, day, hour, minute, tzinfo=_zone(zone)).utcoffset() or timedelta()
    minutes = int(found.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _valid(y: str, mo: str | None, d: str | None, h: str | None, mi: str | None, s: str | None) -> bool:
    try:
        datetime(int(y), int(mo or 1), int(d or 1), int(h or 0), int(mi or 0), int(s or 0))  # noqa: DTZ001 - calendar only
    except ValueError:
        return False
    return int(y) > 0


@lru_cache(maxsize=1024)
def _read(value: str, zone: str) -> tuple[str | None, bool]:
    """A time of HL7 as dateTime, and whether it is written back the same."""
    found = _TS.match(value)
    if not found:
        return None, False
    y, mo, d, h, mi, s, f, z = found.groups()
    if not _valid(y, mo, d, h, mi, s):
        return None, False
    if h is None:
        return (None, False) if z else ("-".join(part for part in (y, mo, d) if part), True)
    if z and (int(z[1:3]) > 14 or int(z[3:]) > 59):
        return None, False
    local = offset(zone, int(y), int(mo), int(d), int(h), int(mi or 0))
    said = f"{z[:3]}:{z[3:]}" if z else local
    return f"{y}-{mo}-{d}T{h}:{mi or '00'}:{s or '00'}{f or ''}{said}", s is not None and (z is None or said != local)


_LONGEST = len("20260302103000.123456789+0100")


def _timestamp(value: str, context: Context) -> str | None:
    return _read(value, context.zone)[0] if len(value) <= _LONGEST else None


def written_same(value: str, _: object, context: Context) -> bool:
    """Whether a time that has been read is written back as it stands."""
    return _read(value, context.zone)[1]


def _timestamp_written(value: object, context: Context) -> str | None:
    found = _DATETIME.match(value) if isinstance(value, str) else None
    if not found:
        return None
    y, mo, d, h, mi, s, f, z = found.groups()
    day = y + (mo or "") + (d or "")
    if h is None:
        return day
    zone = "+00:00" if z == "Z" else z
    local = _valid(y, mo, d, h, mi, s) and offset(context.zone, int(y), int(mo), int(d), int(h), int(mi)) == zone
    return f"{day}{h}{mi}{s}{f or ''}{'' if local else zone.replace(':', '')}"


timestamp = Codec(_timestamp, _timestamp_written, exact=written_same)  # ↔ dateTime
# A day stands for its midnight where FHIR wants an instant; the day itself is carried.
moment = Codec(lambda t, c: _timestamp(t if len(t) != 8 else f"{t}0000", c), _timestamp_written, exact=lambda t, _, c: len(t) != 8 and written_same(t, _, c))
instant = Codec(lambda t, c: found if (found := _timestamp(t, c)) and "T" in found else None, _timestamp_written, exact=written_same)


def _date(value: str) -> str | None:
    found = _TS.match(value)
    if not found or found[4] or found[8] or not _valid(found[1], found[2], found[3], None, None, None):
        return None
    return "-".join(part for part in found.group(1, 2, 3) if part)


def _date_written(value: object) -> str | None:
    found = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", value) if isinstance(value, str) else None
    return "".join(part for part in found.groups() if part) if found else None


date = Codec(lambda x, _: _date(x), lambda y, _: _date_written(y), exact=True)

# ---------------------------------------------------------------- numbers and booleans

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?\Z")


def _number(value: str) -> int | Number | None:
    if not _NUMBER.match(value) or len(value) > 100:
        return None
    return int(value) if len(value) < 16 and value.lstrip("-").isdigit() and value != "-0" else Number(value)


def _number_written(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Number):
        return None
    return str(value)


number = Codec(lambda x, _: _number(x), lambda y, _: _number_written(y), exact=True)
positive = plain(
    lambda t: int(t) if t.isascii() and t.isdigit() and t == str(int(t)) and 0 < int(t) < 2**31 else None,
    lambda v: str(v) if isinstance(v, int) and not isinstance(v, bool) else None,
)


def _exact(decode: Callable[[str], object], encode: Callable[[object], str | None]) -> Codec:
    return Codec(lambda x, _: decode(x), lambda y, _: encode(y), exact=True)


yes_no = _exact({"Y": True, "N": False}.get, lambda v: {True: "Y", False: "N"}.get(v) if isinstance(v, bool) else None)  # HL70136

_OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+\Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+\Z")


def _universal(value: tuple[str, ...]) -> str | None:
    return _known(value) if len(value[0]) < 80 and len(value[1]) < 8 else _authority(value)


def _authority(value: tuple[str, ...]) -> str | None:
    identifier, kind = value
    if kind and _code(kind) is None:  # no code: carried, and read as if it were not there
        kind = ""
    if kind in ("ISO", "") and _OID.match(identifier):
        return f"urn:oid:{identifier}"
    if kind == "UUID" and _UUID.match(identifier):
        return f"urn:uuid:{identifier}"
    if kind in ("URI", "URL", "HL7") and _URI.match(identifier) and not identifier.startswith("urn:"):
        return identifier
    return None


_known = lru_cache(maxsize=1024)(_authority)  # a feed names few authorities, in every identifier


def _universal_written(value: object) -> tuple[str, str] | None:
    if not isinstance(value, str) or not value:
        return None
    for prefix, kind in (("urn:oid:", "ISO"), ("urn:uuid:", "UUID")):
        if value.startswith(prefix):
            return value.removeprefix(prefix), kind
    return (value, "URI") if _URI.match(value) else None


universal = Codec(  # HD.2 HD.3 ↔ uri
    lambda value, _: _universal(value), lambda uri, _: _universal_written(uri), exact=lambda value, _, __: value[1] in ("ISO", "UUID", "URI")
)
