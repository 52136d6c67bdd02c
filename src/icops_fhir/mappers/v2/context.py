"""What the codecs need to know of a message before its segments are read: zone, event, and the facts others lean on."""

from __future__ import annotations

import re

from icops_fhir.mappers.codec import Context
from icops_fhir.mappers.v2.er7 import Message
from icops_fhir.mappers.v2.primitives import offset
from icops_fhir.mappers.v2.site import DEFAULT, Site

_OFFSET = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)?(\d\d)?[\d.]*([+-]\d{4})")


def _zone(time: str, site: Site) -> str:
    """The zone of times without one: MSH-7's, else the site's. An offset that is the site's own at that time means the site."""
    found = _OFFSET.fullmatch(time) if time[-5:-4] in ("+", "-") else None
    if not found:
        return site.zone
    y, mo, d, h, mi = (int(part or 0) for part in found.groups()[:5])
    try:
        same = offset(site.zone, y, mo, d, h, mi).replace(":", "") == found[6]
    except ValueError:
        same = False
    return site.zone if same else found[6]


def context(message: Message, site: Site = DEFAULT) -> Context:
    """What the codecs need to know of this message."""
    header = message.first("MSH")
    get = header.get if header else (lambda _path, default="": default)
    return Context(
        zone=_zone(get("7.1"), site),
        event=message.event,
        french=get("17.1") == "FRA" or get("12.2.1") == "FRA" or get("12.2.2") == "FRA",
        namespaces=dict(site.namespaces),
        facts={
            "reliability": message.get("PID-32.1"),
            "class": message.get("PV1-2.1"),
            "recorded": message.get("EVN-2.1"),
            "sent": get("7.1"),
            "destination": get("5"),
            "facility": get("6"),
        },
    )
