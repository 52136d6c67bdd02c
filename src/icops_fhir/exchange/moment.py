"""When a message was written and when its movement happened, as texts that sort.

HL7 v2.5.1 §2.A.77 (TS), §3.4.1 (EVN), §2.15.9.7 (MSH-7). Times without zone take MSH-7's, else the site's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icops_fhir.mappers.v2.er7 import Message
from icops_fhir.mappers.v2.site import DEFAULT, Site

_TS = re.compile(r"(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)?(\d\d)?(?:\.(\d{1,6})\d*)?)?([+-]\d{4})?\Z")


def _zone(text: str, site: Site) -> timezone | ZoneInfo:
    found = re.search(r"([+-])(\d\d)(\d\d)\Z", text)
    if found:
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset < timedelta(hours=24):
            return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(site.zone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("Europe/Paris")


def instant(text: str, message: Message, site: Site = DEFAULT) -> str:
    """A v2 time as a UTC instant with milliseconds, "" where it is not one; a date alone is its first moment."""
    found = _TS.match(text.strip())
    if not found:
        return ""
    year, month, day, hour, minute, second, fraction, own = found.groups()
    zone = _zone(own or message.get("MSH-7"), site)
    try:
        local = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0),
            int(f"{fraction or '0':0<6}"), tzinfo=zone,
        )  # fmt: skip
        return f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03d}Z"
    except (ValueError, OverflowError):
        return ""


def stamp(message: Message, received: str, site: Site = DEFAULT) -> str:
    """The age of what a message says: EVN-2, then MSH-7, then the instant it was received where it has neither."""
    written = instant(message.get("MSH-7"), message, site)
    recorded = instant(message.get("EVN-2"), message, site) or written or received
    return f"{recorded}|{written or recorded}"


def happened(message: Message, received: str, site: Site = DEFAULT) -> str:
    """The start of the movement: ZBE-2, else EVN-6, else EVN-2, else MSH-7."""
    for path in ("ZBE-2", "EVN-6", "EVN-2", "MSH-7"):
        if found := instant(message.get(path), message, site):
            return found
    return received
