"""One thing that happened to a patient and that a pathway may react to, whatever message said it.

The events of IHE PAM-FR §5.3.2, told without HL7 v2: what moved (`kind`), which movement it is (`movement`), and whether
the message inserts, corrects or cancels it (`action`). Made by exchange/movement.py, read by pathway.react.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

ADMISSION, PLANNED_ADMISSION = "admission", "planned-admission"
ANNOUNCED_DISCHARGE, DISCHARGE = "announced-discharge", "discharge"
ABSENCE, RETURN, TRANSFER, CLASS_CHANGE, DEATH = "absence", "return", "transfer", "class-change", "death"

INSERT, UPDATE, CANCEL = "INSERT", "UPDATE", "CANCEL"  # ZBE-4

SYSTEMS = "https://icops-fhir.org/fhir/NamingSystem/"
MOVEMENT = SYSTEMS + "movement"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, MOVEMENT)
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


@dataclass(frozen=True, slots=True)
class Event:
    """An insert, a correction or a cancellation of one movement. Dates are FHIR dateTimes, "" = not said."""

    kind: str  # of the movement itself, also when it is cancelled or corrected; "" = a correction that does not say
    movement: str  # its key: ZBE-1 "id^namespace^oid", else one made from the visit ("…*" = any date of that visit)
    action: str = INSERT
    trigger: str = ""  # MSH-9.2
    original: str = ""  # ZBE-6: the trigger that inserted it
    historic: bool = False  # ZBE-5 = Y
    at: str = ""  # ZBE-2: when it happened
    recorded: str = ""  # EVN-2, else MSH-7: when it was said
    encounter: str = ""  # "Encounter/x" of the venue
    patient: str = ""  # "Patient/x"
    patient_class: str = ""  # PV1-2, of the venue after the movement: I E O R N V
    planned: str = ""  # the announced discharge: EVN-3 of A16, or PV2-9; '""' = withdrawn
    discharge_mode: str = ""  # ZFM-2
    destination: str = ""  # ZFM-4
    dead: bool = False  # PV1-41, PID-29, PID-30, ZFM-2 = 9
    scope: str = "movement"  # what a cancellation takes with it: movement | venue | dossier (PV1-51)
    sender: str = ""  # MSH-3^MSH-4


def identifier(movement: str) -> dict[str, Any]:
    """A movement key as a FHIR Identifier; the OID of the authority is its system where there is one."""
    number, _, authority = movement.partition("^")
    oid = authority.partition("^")[2].partition("^")[0]
    if number and _OID.fullmatch(oid):
        return {"system": f"urn:oid:{oid}", "value": number}
    return {"system": MOVEMENT, "value": movement}


def made_id(*parts: str) -> str:
    """The id of a resource made by a movement: the same parts always give the same id, so that a replay makes nothing."""
    return str(uuid.uuid5(_SPACE, "\x1f".join(parts)))
