"""Which sender has which settings: a JSON file, found by MSH-3^MSH-4, then MSH-4, else "*".

    {"sites": {"GAM^CHU-LYS": {"zone": "Europe/Paris", "charset": "8859/15", "dead_letter": "AA"}, "*": {…}}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import loads
from icops_fhir.mappers.v2.charset import HL70211
from icops_fhir.mappers.v2.er7 import Message
from icops_fhir.mappers.v2.site import DEFAULT, Site

ANY = "*"
MEMBERS = frozenset(("sites", "routes"))
NAMES = frozenset(f.name for f in fields(Site))


def load(data: bytes | str) -> dict[str, Site]:
    """The sites of the file; FhirError says which setting of which site is wrong."""
    said = loads(data)
    rows = said.get("sites", {}) if isinstance(said, dict) else None
    if not isinstance(rows, dict):
        raise _wrong("the file", "an object with a member \"sites\" is expected")
    if unknown := sorted(set(said) - MEMBERS):
        raise _wrong("the file", f"{unknown[0]!r} is no member; its members are {' and '.join(sorted(MEMBERS))}")
    return {name: _site(name, row) for name, row in rows.items()}


def _site(name: str, row: Any) -> Site:
    if not isinstance(row, dict):
        raise _wrong(name, "an object is expected")
    for member, value in row.items():
        if member not in NAMES:
            raise _wrong(name, f"{member!r} is no setting; one of {', '.join(sorted(NAMES))}")
        expected = Mapping if member == "namespaces" else type(getattr(DEFAULT, member))
        if not isinstance(value, expected):
            raise _wrong(name, f"{member!r} has the wrong type")
    if row.get("dead_letter", "AE") not in ("AE", "AA"):
        raise _wrong(name, "'dead_letter' is AE or AA")
    if row.get("charset", DEFAULT.charset) not in HL70211:
        raise _wrong(name, f"'charset' is one of table 0211: {', '.join(HL70211)}")
    if not known_zone(row.get("zone", DEFAULT.zone)):
        raise _wrong(name, f"'zone' {row['zone']!r} is no time zone of the IANA database (Europe/Paris, Indian/Reunion …)")
    return Site(**{"name": "" if name == ANY else name, **row})


def known_zone(name: str) -> bool:
    """Whether it is a time zone: an unknown one must not become another in silence."""
    try:
        return bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def finder(sites: Mapping[str, Site]) -> Callable[[Message], Site]:
    """The site of a message: its application and facility, its facility alone, the file's "*", else the default."""
    def find(message: Message) -> Site:
        for name in (message.sender, message.get("MSH-4.1"), ANY):
            if name in sites:
                return sites[name]
        return DEFAULT

    return find


def _wrong(where: str, why: str) -> FhirError:
    return FhirError(Issue("fatal", "invalid", f"ICOPS_SITES, {where}: {why}.", rule="icops-sites",
                           french=f"ICOPS_SITES, {where} : réglage refusé ({why})."))  # fmt: skip
