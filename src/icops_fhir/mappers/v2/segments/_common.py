"""What several segment tables say alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import BASE
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import moment, written_same

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

ENCOUNTER_STATUS = {  # what a PAM event says of the venue. https://hl7.org/fhir/R4/valueset-encounter-status.html
    "A01": "in-progress", "A02": "in-progress", "A03": "finished", "A04": "in-progress", "A05": "planned", "A06": "in-progress",
    "A07": "in-progress", "A08": "in-progress", "A09": "in-progress", "A10": "in-progress", "A11": "cancelled", "A12": "in-progress",
    "A13": "in-progress", "A14": "planned", "A15": "in-progress", "A16": "in-progress", "A21": "onleave", "A22": "in-progress",
    "A23": "cancelled", "A25": "in-progress", "A26": "in-progress", "A27": "cancelled", "A38": "cancelled", "A52": "in-progress",
    "A53": "onleave", "A54": "in-progress", "A55": "in-progress",
}  # fmt: skip
PATIENT_CLASS = {"I": "IMP", "O": "AMB", "E": "EMER", "P": "PRENC", "R": "AMB", "B": "IMP", "V": "VR", "N": "AMB"}  # HL70004


def encounter_class(code: str) -> Node:
    """PV1-2 as Encounter.class."""
    if code in PATIENT_CLASS:
        return {"system": ACT_CODE, "code": PATIENT_CLASS[code]}
    return {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}


def encounter(context: Context) -> Mapping[str, Any]:
    """What every Encounter made from a message holds."""
    status = ENCOUNTER_STATUS.get(context.event, "unknown")
    return {"status": status, "class": encounter_class(context.facts.get("class", "")), "subject": "@Patient"}


IMPLIED = f"{BASE}/StructureDefinition/v2-implied"


def recorded(context: Context) -> str:
    """When the sender recorded the event: EVN-2, else MSH-7."""
    for fact in ("recorded", "sent"):
        found = moment.decode(context.facts.get(fact, ""), context)
        if isinstance(found, str) and "T" in found:
            return found
    return "1970-01-01T00:00:00Z"


def provenance(*targets: str) -> Any:
    """A Provenance about the resources of some aliases; `recorded` is marked where the message does not say it."""

    def fixed(context: Context) -> Mapping[str, Any]:
        when = recorded(context)
        out: Node = {"target": [f"@{alias}{'!' if not n else ''}" for n, alias in enumerate(targets)], "recorded": when}
        if moment.decode(context.facts.get("recorded", ""), context) != when:
            out["_recorded"] = {"extension": [{"url": IMPLIED, "valueInstant": when}]}
        return {**out, "agent": [{"who": "@Sender!"}]}

    return fixed


def _recorded(value: str, context: Context) -> Node | None:
    found = moment.decode(value, context)
    return {"recorded": found} if found and "T" in found else None


def _recorded_written(node: Node, context: Context) -> str | None:
    when = node.get("recorded")
    marks = (node.get("_recorded") or {}).get("extension", ())
    if any(one.get("url") == IMPLIED and one.get("valueInstant") == when for one in marks):
        return None
    written: str | None = moment.encode(when, context)
    return written


def _recorded_same(value: str, _: Any, context: Context) -> bool:
    return value == context.facts.get("recorded") and len(value) != 8 and written_same(value, _, context)


RECORDED = only(Codec(_recorded, _recorded_written, exact=_recorded_same, members=frozenset({"recorded", "_recorded"})))  # EVN-2


def many_of(member: str, by: Codec) -> Codec:
    """A value as the only member of a list item: {"code": CodeableConcept}."""

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = by.decode(rep, context)
        return None if found is None else {member: found}

    def encode(one: Node, context: Context) -> Repetition | None:
        found: Repetition | None = by.encode(one[member], context) if one.get(member) is not None else None
        return found

    return Codec(decode, encode, by.reads)


def typed(by: Codec, kind: str, system: str) -> Codec:
    """An identifier whose field says its type: {"type": SS, …}."""

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = by.decode(rep, context)
        if found is None:
            return None
        node = found if isinstance(found, dict) else {"value": found}
        return {"type": {"coding": [{"system": system, "code": kind}]}, **node}

    def encode(one: Node, context: Context) -> Repetition | None:
        if by.reads == frozenset({(0, 0)}):
            found: Repetition | None = by.encode(one.get("value"), context)
            return found
        rest = {key: value for key, value in one.items() if key != "type"}
        found = by.encode(rest, context)
        return found

    return Codec(decode, encode, by.reads)


def never(_: Node) -> bool:
    """No new item goes to this row."""
    return False


def used(use: str) -> Any:
    """New items of a use go to this row."""
    return lambda one: one.get("use") == use
