"""What a message should look like: segments of its structure, names of its fields. Warnings only, never a refusal.

HL7 v2.5.1 §2.14 and table 0354; the dictionaries are hl7apy's, one version at a time and only when asked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from icops_fhir.fhir.issue import Issue
from icops_fhir.mappers.v2.er7 import Message

VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
USUAL = "2.5"
STRUCTURES = {  # table 0354: the events that share a structure
    "ADT_A01": ("A01", "A04", "A08", "A13"), "ADT_A02": ("A02",), "ADT_A03": ("A03",), "ADT_A05": ("A05", "A14", "A28", "A31"),
    "ADT_A06": ("A06", "A07"), "ADT_A09": ("A09", "A10", "A11", "A12"), "ADT_A15": ("A15",), "ADT_A16": ("A16",), "ADT_A17": ("A17",),
    "ADT_A18": ("A18",), "ADT_A20": ("A20",), "ADT_A21": ("A21", "A22", "A23", "A25", "A26", "A27", "A29", "A32", "A33"),
    "ADT_A24": ("A24",), "ADT_A30": ("A30", "A34", "A35", "A36", "A46", "A47", "A48", "A49"), "ADT_A37": ("A37",), "ADT_A38": ("A38",),
    "ADT_A39": ("A39", "A40", "A41", "A42"), "ADT_A43": ("A43", "A44"), "ADT_A45": ("A45",), "ADT_A50": ("A50", "A51"),
    "ADT_A52": ("A52", "A53"), "ADT_A54": ("A54", "A55"), "ADT_A60": ("A60",), "ADT_A61": ("A61", "A62"),
}  # fmt: skip
_OF = {event: structure for structure, events in STRUCTURES.items() for event in events}
FRENCH = frozenset({"ROL", "NK1", "PD1", "PV1", "PV2", "OBX"})  # segments that PAM-FR adds to structures. IHE PAM FR §5.2


def version(message: Message) -> str:
    """The version whose dictionary serves: MSH-12 where hl7apy knows it, else 2.5."""
    said = message.get("MSH-12.1")
    return said if said in VERSIONS else USUAL


def structure(message: Message) -> str:
    """The structure that the event has by table 0354, else what MSH-9.3 says."""
    said = message.get("MSH-9.3")
    return _OF.get(message.event, said) if message.type == "ADT" else said


@lru_cache(maxsize=256)
def segments(name: str, of: str) -> dict[str, bool]:
    """The segments of a structure in a version, each with whether it is required; empty when it is not known."""
    from hl7apy import load_reference
    from hl7apy.exceptions import ChildNotFound

    out: dict[str, bool] = {}

    def walk(node: Any, needed: bool) -> None:
        for child, definition, (least, _), kind in node[1]:
            if kind == "SEG":
                out[child] = out.get(child, False) or (needed and least > 0)
            elif kind == "GRP":
                walk(definition, needed and least > 0)

    try:
        walk(load_reference(name, "Message", of), True)
    except (ChildNotFound, KeyError, TypeError, ValueError):
        return {}
    return out


@lru_cache(maxsize=1024)
def field_name(segment: str, number: int, of: str = USUAL) -> str:
    """The standard's name of a field, "" when the dictionary has none: field_name("PID", 5) -> "Patient Name"."""
    from hl7apy import load_reference
    from hl7apy.exceptions import ChildNotFound

    try:
        fields = load_reference(segment, "Segment", of)[1]
    except (ChildNotFound, KeyError, TypeError, ValueError):
        return ""
    found = next((definition for name, definition, *_ in fields if name == f"{segment}_{number}"), None)
    return str(found[3]).replace("_", " ").capitalize() if found is not None and len(found) > 3 and found[3] else ""


def check(message: Message) -> list[Issue]:
    """What is not as the structure says; Z segments are always welcome."""
    name, of = structure(message), version(message)
    known = segments(name, of)
    if not known:
        return [_warning("v2-structure-unknown", f"no dictionary knows {name or 'this structure'} in {of}", f"aucun dictionnaire ne connaît {name or 'cette structure'} en {of}", "MSH-9.3")]
    present = [segment.name for segment in message.segments if segment.name]
    allowed = known.keys() | (FRENCH if message.get("MSH-17") == "FRA" else set())
    out = [
        _warning("v2-segment-unexpected", f"{one} is not in {name} ({of})", f"{one} n'est pas dans {name} ({of})", one)
        for one in dict.fromkeys(present) if one not in allowed and not one.startswith("Z") and one not in ("FHS", "BHS", "BTS", "FTS")
    ]  # fmt: skip
    out += [
        _warning("v2-segment-missing", f"{one} is required in {name} ({of})", f"{one} est obligatoire dans {name} ({of})", one)
        for one, required in known.items() if required and one not in present
    ]  # fmt: skip
    said = message.get("MSH-9.3")
    if said and said != name:
        out.append(_warning("v2-structure-wrong", f"MSH-9.3 says {said}; {message.event} has the structure {name}", f"MSH-9.3 dit {said} ; {message.event} a la structure {name}", "MSH-9.3"))
    return out


def _warning(rule: str, english: str, french: str, path: str) -> Issue:
    return Issue("warning", "structure", english, (path,), rule=rule, french=french)
