"""What a movement message says to a pathway: which movement, what kind, inserted, corrected or cancelled.

IHE PAM-FR §5.3.2 (triggers), §6.13 (ZBE). A06 and A07 insert one another and cancel one another: ZBE-4 decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from icops_fhir.careplan import event as e
from icops_fhir.careplan.event import Event
from icops_fhir.exchange.pathway import load
from icops_fhir.mappers.codec import Context
from icops_fhir.mappers.v2.er7 import NULL, Message, Segment
from icops_fhir.mappers.v2.primitives import timestamp
from icops_fhir.mappers.v2.site import DEFAULT, Site

__all__ = ["event", "is_named", "load", "movement_key"]


class Trigger(NamedTuple):
    """A row of PAM-FR §5.3.2: the trigger, the kind of movement it inserts, and of whom."""

    kind: str
    when: Callable[[Message], bool] = lambda message: True


def _emergency(message: Message) -> bool:
    return message.get("PV1-2") == "E"


INSERTS = {
    "A01": Trigger(e.ADMISSION),
    "A02": Trigger(e.TRANSFER),
    "A03": Trigger(e.DISCHARGE),
    "A04": Trigger(e.ADMISSION, _emergency),
    "A05": Trigger(e.PLANNED_ADMISSION),
    "A06": Trigger(e.ADMISSION),
    "A07": Trigger(e.CLASS_CHANGE),
    "A16": Trigger(e.ANNOUNCED_DISCHARGE),
    "A21": Trigger(e.ABSENCE),
    "A22": Trigger(e.RETURN),
}
# What each cancelling trigger cancels, where ZBE-6 does not say.
CANCELS = {"A11": "A01", "A12": "A02", "A13": "A03", "A25": "A16", "A38": "A05", "A52": "A21", "A53": "A22"}
# A06 cancels A07 and A07 cancels A06, when ZBE-4 says so.
CROSSED = {"A06": "A07", "A07": "A06"}
CORRECTION = "Z99"
ACTIONS = {"INSERT": e.INSERT, "UPDATE": e.UPDATE, "REFERENCE": e.UPDATE, "CANCEL": e.CANCEL, "DELETE": e.CANCEL}
VENUE_ONLY = "V"  # PV1-51 of an A11; A or empty takes the whole dossier (PAM-FR §5.4.1)
# Where the date of what is announced stands, by the trigger that announces; the others only announce a discharge.
ANNOUNCED = {"A16": ("EVN-3", "PV2-9"), "A05": ("EVN-3", "PV2-8")}
IDENTITY = ("A08", "A28", "A31")  # they say that a person died, or did not


class Zbe(NamedTuple):
    """The ZBE as meant."""

    key: str = ""
    start: str = ""
    action: str = ""
    historic: bool = False
    original: str = ""


def _zbe(message: Message) -> Zbe:
    """Official samples hold a ZBE shifted by one field (ZBE-4 empty, ZBE-5 = INSERT): it is read, not lost."""
    segment = message.first("ZBE")
    if segment is None:
        return Zbe()
    shift = 1 if segment.get("4") not in ACTIONS and segment.get("5") in ACTIONS else 0
    return Zbe(
        _number(segment, message),
        segment.get("2") or segment.get("3"),
        ACTIONS.get(segment.get(str(4 + shift)), ""),
        segment.get(str(5 + shift)) == "Y",
        segment.get(str(6 + shift)),
    )


def _number(zbe: Segment, message: Message) -> str:
    """ZBE-1 as a key, "id^namespace^oid"; without an OID or namespace the sender keeps two hospitals' numbers apart."""
    number, namespace, oid = zbe.get("1.1"), zbe.get("1.2"), zbe.get("1.3")
    if not number:
        return ""
    return f"{number}^{namespace}^{oid}" if oid else f"{number}^{namespace or message.sender}^"


def is_named(message: Message) -> bool:
    """Whether the message names its movement (ZBE-1); if not, `movement_key` is ours and never worth waiting for."""
    return bool(_zbe(message).key)


def movement_key(message: Message) -> str:
    """ZBE-1, else a key made from the visit: "A03/<PV1-19>/<date>^<sender>^" (PID-18 or PID-3 where it has no number).

    A cancellation without ZBE-1 does not tell its date: "A03/<PV1-19>/*^<sender>^", any such movement of that visit.
    """
    key = _zbe(message).key
    visit = message.get("PV1-19.1") or message.get("PID-18.1") or message.get("PID-3.1")
    if key or not visit:
        return key
    trigger = message.event
    if trigger in CANCELS:
        return f"{CANCELS[trigger]}/{visit}/*^{message.sender}^"
    told = {"A03": "PV1-45", "A01": "PV1-44", "A04": "PV1-44"}.get(trigger, "")
    date = (told and message.get(told)) or message.get("EVN-6") or message.get("EVN-2") or message.get("MSH-7")
    return f"{trigger}/{visit}/{date}^{message.sender}^"


def event(message: Message, patient: str, encounter: str, site: Site = DEFAULT) -> Event | None:
    """The event for the pathway of `patient` ("Patient/x") in the venue `encounter` ("Encounter/y", or "").

    None when the message says nothing a pathway reacts to.
    """
    zbe = _zbe(message)
    action = zbe.action or (e.CANCEL if message.event in CANCELS else e.UPDATE if message.event == CORRECTION else e.INSERT)
    original = _original(message.event, action, zbe.original)
    row = INSERTS.get(original)
    kind = row.kind if row and (action != e.INSERT or row.when(message)) else ""
    key = movement_key(message)
    dead = action != e.CANCEL and _dead(message)
    if not kind and not (action == e.UPDATE and key and not original):
        if not dead and not (message.event in IDENTITY and _alive(message)):
            return None
        kind, action = e.DEATH, e.INSERT if dead else e.CANCEL
        key = key if dead and zbe.key else f"death/{patient}^^"
    if not key:
        return None

    def at(*paths: str) -> str:
        return next((found for path in paths if (found := _time(message.get(path), message, site))), "")

    planned = ANNOUNCED.get(original, ("PV2-9",))
    return Event(
        kind=kind,
        movement=key,
        action=action,
        trigger=message.event,
        original=original,
        historic=zbe.historic,
        at=_time(zbe.start, message, site) or at("PID-29" if kind == e.DEATH else "EVN-6", "EVN-6", "EVN-2", "MSH-7"),
        recorded=at("EVN-2", "MSH-7"),
        encounter=encounter,
        patient=patient,
        patient_class=message.get("PV1-2").replace(NULL, ""),
        planned=at(*planned) or (NULL if any(message.get(path) == NULL for path in planned) else ""),
        discharge_mode=message.get("ZFM-2").replace(NULL, ""),
        destination=message.get("ZFM-4").replace(NULL, ""),
        dead=dead,
        scope=_scope(message, action, original),
        sender=message.sender,
    )


def _original(trigger: str, action: str, said: str) -> str:
    """The trigger that inserted the movement; a correction may not say it."""
    if action == e.INSERT:
        return trigger
    return said or (CANCELS.get(trigger) or CROSSED.get(trigger, trigger) if action == e.CANCEL else "")


def _scope(message: Message, action: str, original: str) -> str:
    if action != e.CANCEL or original not in ("A01", "A04") or message.event not in ("A11", "A01", "A04"):
        return "movement"
    return "venue" if message.get("PV1-51") == VENUE_ONLY else "dossier"


def _dead(message: Message) -> bool:
    """PV1-41 = D, PID-29, PID-30 = Y or ZFM-2 = 9; PID-30 = N takes a date of death back."""
    if message.get("PV1-41") == "D" or message.get("ZFM-2") == "9" or message.get("PID-30") == "Y":
        return True
    return message.get("PID-29") not in ("", NULL) and message.get("PID-30") not in ("N", NULL)


def _alive(message: Message) -> bool:
    return message.get("PID-30") in ("N", NULL) or message.get("PID-29") == NULL


def _time(text: str, message: Message, site: Site) -> str:
    """A v2 time as a FHIR dateTime; without a zone it takes MSH-7's, else the site's."""
    own = re.search(r"[+-]\d{4}\Z", message.get("MSH-7"))
    return timestamp.decode(text, Context(zone=own[0] if own else site.zone)) or "" if text else ""
