"""What a movement message says to a pathway: which movement, what kind, inserted, corrected or cancelled.

IHE PAM-FR §5.3.2 (triggers), §6.13 (ZBE). A06 and A07 insert one another and cancel one another: ZBE-4 decides.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import NamedTuple
from zoneinfo import ZoneInfo

from icops_fhir.careplan import event as e
from icops_fhir.careplan.event import Event
from icops_fhir.mappers.v2.er7 import NULL, Message, Segment

PARIS = "Europe/Paris"


class Trigger(NamedTuple):
    """A row of PAM-FR §5.3.2: the trigger, the kind of movement it inserts, and for whom."""

    name: str
    kind: str
    when: Callable[[Message], bool]


def _always(message: Message) -> bool:
    return True


def _emergency(message: Message) -> bool:
    return message.get("PV1-2") == "E"


def _planned_date(message: Message) -> bool:
    return bool(_announced(message))


INSERTS = (
    Trigger("A01", e.ADMISSION, _always),
    Trigger("A02", e.TRANSFER, _always),
    Trigger("A03", e.DISCHARGE, _always),
    Trigger("A04", e.ADMISSION, _emergency),
    Trigger("A05", e.PLANNED_ADMISSION, _always),
    Trigger("A06", e.ADMISSION, _always),
    Trigger("A07", e.CLASS_CHANGE, _always),
    Trigger("A16", e.ANNOUNCED_DISCHARGE, _always),
    Trigger("A21", e.ABSENCE, _always),
    Trigger("A22", e.RETURN, _always),
)
# What each cancelling trigger cancels, where ZBE-6 does not say.
CANCELS = {"A11": "A01", "A12": "A02", "A13": "A03", "A25": "A16", "A38": "A05", "A52": "A21", "A53": "A22"}
# A06 cancels A07 and A07 cancels A06, when ZBE-4 says so.
CROSSED = {"A06": "A07", "A07": "A06"}
CORRECTION = "Z99"
ACTIONS = {"INSERT": e.INSERT, "UPDATE": e.UPDATE, "CANCEL": e.CANCEL, "DELETE": e.CANCEL}
# A cancelled admission takes its venue with it; with PV1-51 = A or empty the whole dossier (PAM-FR §5.4.1).
WHOLE_VENUE = {"A11", "A38"}


class Zbe(NamedTuple):
    """The ZBE as meant."""

    key: str = ""
    start: str = ""
    action: str = ""
    historic: bool = False
    original: str = ""


def _zbe(message: Message) -> Zbe:
    """Official samples hold a ZBE shifted by one field (ZBE-4 empty, ZBE-5 = INSERT): it is read, not lost."""
    segment: Segment | None = message.first("ZBE")
    if segment is None:
        return Zbe()
    shift = 1 if segment.get("4") not in ACTIONS and segment.get("5") in ACTIONS else 0
    action = ACTIONS.get(segment.get(str(4 + shift)), segment.get(str(4 + shift)))
    return Zbe(
        movement_id(segment, message),
        segment.get("2") or segment.get("3"),
        action,
        segment.get(str(5 + shift)) == "Y",
        segment.get(str(6 + shift)),
    )


def movement_id(zbe: Segment, message: Message) -> str:
    """ZBE-1 as a key, "id^namespace^oid"; without an OID the sender keeps two hospitals' numbers apart."""
    number, namespace, oid = zbe.get("1.1"), zbe.get("1.2"), zbe.get("1.3")
    if not number:
        return ""
    return f"{number}^{namespace}^{oid}" if oid else f"{number}^{namespace or message.sender}^"


def is_named(message: Message) -> bool:
    """Whether the message names its movement (ZBE-1); if not, `movement_key` is ours and never worth waiting for."""
    return bool(_zbe(message).key)


def movement_key(message: Message) -> str:
    """ZBE-1, else a key made from the visit: the inserting trigger, PV1-19 and the date of the movement.

    A cancellation without ZBE often leaves the date out: its key then ends with "*", any date of that visit.
    """
    key = _zbe(message).key
    if key:
        return key
    visit = message.get("PV1-19.1") or message.get("PID-18.1")
    if not visit:
        return ""
    trigger = message.event
    inserted = CANCELS.get(trigger, trigger)
    date = message.get("PV1-45" if inserted in ("A03", "A16") else "PV1-44")
    if trigger not in CANCELS:
        date = date or message.get("EVN-6") or message.get("EVN-2") or message.get("MSH-7")
    elif inserted not in ("A01", "A03", "A05"):
        date = ""
    return f"{inserted}/{visit}/{date or '*'}^{message.sender}^"


def _zone(message: Message, zone: str) -> datetime | None:
    return None


def event(message: Message, patient: str, encounter: str, zone: str = PARIS) -> Event | None:
    """The event for the pathway of `patient` ("Patient/x") in the venue `encounter` ("Encounter/y" or "").

    None when the message says nothing a pathway reacts to. `zone` is the site's, for times that carry none.
    """
    raise NotImplementedError


def _announced(message: Message) -> str:
    """The announced discharge: EVN-3 of A16, else PV2-9."""
    planned = message.get("EVN-3") if message.event == "A16" else ""
    return planned or message.get("PV2-9")


__all__ = ["NULL", "PARIS", "ZoneInfo", "event", "is_named", "movement_key", "timezone"]
