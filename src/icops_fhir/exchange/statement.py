"""What a message says of its movement, read from ZBE, EVN and PV1 and from the translated Encounters.

IHE PAM-FR §5.3.2 (triggers), §6.13 (ZBE). Senders that are not French have no ZBE: the trigger and the visit stand for it.
"""

from __future__ import annotations

from typing import NamedTuple

from icops_fhir.exchange import feed, movement
from icops_fhir.exchange.movements import (
    ADMISSIONS,
    CANCEL,
    CANCELS,
    CROSSED,
    DOSSIER,
    INSERT,
    OURS,
    UPDATE,
    VENUE,
    Statement,
)
from icops_fhir.fhir.json import Resource
from icops_fhir.mappers.v2.er7 import Message
from icops_fhir.mappers.v2.site import DEFAULT

IDENTITY = ("A24", "A28", "A29", "A30", "A31", "A37", "A40", "A44", "A47")  # ITI-30: their PV1 says nobody moved
ACTIONS = {"INSERT": INSERT, "UPDATE": UPDATE, "CANCEL": CANCEL, "DELETE": CANCEL, "REFERENCE": UPDATE}
ANY = "*"  # in the key of a cancellation that does not name its movement


class Zbe(NamedTuple):
    """ZBE as meant. An official sample has it shifted by one field (ZBE-4 empty, ZBE-5 = INSERT): read, not lost."""

    named: bool
    action: str
    historic: bool
    original: str


def zbe(message: Message) -> Zbe:
    """The ZBE of the message; without ZBE-4, the trigger says the action."""
    segment = message.first("ZBE")
    if segment is None:
        return Zbe(False, _by_trigger(message.event), False, "")
    shift = 1 if segment.get("4") not in ACTIONS and segment.get("5") in ACTIONS else 0
    action = ACTIONS.get(segment.get(str(4 + shift))) or _by_trigger(message.event)
    return Zbe(bool(segment.get("1.1")), action, segment.get(str(5 + shift)) == "Y", segment.get(str(6 + shift)))


def _by_trigger(event: str) -> str:
    return CANCEL if event in CANCELS else UPDATE if event == "Z99" else INSERT


def moves(message: Message) -> bool:
    """Whether the message speaks of a stay: it has a ZBE, or a PV1 that is not the empty one of an identity message."""
    if message.first("ZBE") is not None:
        return True
    return message.first("PV1") is not None and message.event not in IDENTITY and message.get("PV1-2") != "N"


def key(message: Message) -> str:
    """The key of the movement; a cancellation that does not name it means any such movement of the visit."""
    found = zbe(message)
    made = movement.movement_key(message)
    if found.named or found.action != CANCEL or "/" not in made:
        return made
    inserted, visit, _ = made.split("/", 2)
    return f"{inserted}/{visit}/{ANY}^{message.sender}^"


def read(message: Message, stamp: str, at: str, venue: Resource, own: Resource | None, original: str) -> Statement:
    """The statement of this message, written at `stamp`, of a movement at `at`. `venue` and `own` are its Encounters, references already ours."""
    found = zbe(message)
    event = message.event
    inserted = found.original or (CANCELS.get(event) or CROSSED.get(event, event) if found.action == CANCEL else "" if found.action == UPDATE else event)
    scope = ""
    if found.action == CANCEL and (event == "A11" or (event not in CANCELS and inserted in ADMISSIONS[:2])):
        scope = VENUE if message.get("PV1-51") == VENUE else DOSSIER
    period = venue.get("period", {})
    return Statement(
        stamp=stamp,
        action=found.action,
        trigger=inserted,
        at=at,
        scope=scope,
        facts=_told(venue, "period"),
        own=_told(own or {}),
        start=str(period.get("start", "")),
        end=str(period.get("end", "")),
        original=original,
    )


def _told(encounter: Resource, *folded: str) -> feed.Units:
    return {unit: value for unit, value in feed.units(encounter).items() if unit.partition("@")[0] not in (*OURS, *folded)}


__all__ = ["ANY", "DEFAULT", "IDENTITY", "Zbe", "key", "moves", "read", "zbe"]
