"""OBX, Observation/Result ↔ Observation.  HL7 v2.5.1 §7.4.2; v2-to-FHIR OBX[Observation]."""

from __future__ import annotations

import re
from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import ABSENT, coded, v2
from icops_fhir.mappers.v2.composite import leaf, only
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.datatypes import EI, XCN, XON
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import instant, number, text, timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import many_of, never

STATUS = {  # HL70085
    "F": "final", "P": "preliminary", "C": "corrected", "D": "entered-in-error", "W": "entered-in-error", "X": "cancelled",
    "I": "registered", "R": "preliminary", "S": "preliminary", "U": "final", "A": "amended", "B": "preliminary", "V": "final",
}  # fmt: skip
PRECISION = "http://hl7.org/fhir/StructureDefinition/quantity-precision"
_PLAIN = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?\Z")  # NM: no exponent. HL7 v2.5.1 §2.A.47
_CODED = ("CE", "CWE", "CNE", "CF", "IS", "ID")
_UNIT = concept("http://unitsofmeasure.org")
_VALUE = concept()


def _quantity(rep: Repetition, unit: Repetition, context: Context) -> Node | None:
    written = leaf(rep, 0)
    value = number.decode(written, context) if _PLAIN.match(written) and len(written) < 16 else None
    if value is None:
        return None
    out: Node = {"value": value}
    if written.endswith("0") and "." in written:  # a client that computes drops the zeros: the precision says them
        out["_value"] = {"extension": [{"url": PRECISION, "valueInteger": len(written.partition(".")[2])}]}
    said = (_UNIT.decode(unit, context) or {}).get("coding", [{}])[0]
    if said.get("display") or said.get("code"):
        out["unit"] = said.get("display") or said["code"]
    if said.get("code"):
        out |= {"system": said["system"], "code": said["code"]} if "system" in said else {"code": said["code"]}
    return {"valueQuantity": out}


def _precise(written: str | None, sidecar: Any) -> str | None:
    """A number with the zeros that its precision says."""
    digits = next((e.get("valueInteger") for e in (sidecar or {}).get("extension", ()) if e.get("url") == PRECISION), 0)
    if written is None or not digits or not _PLAIN.match(written):
        return written
    whole, _, decimals = written.partition(".")
    return f"{whole}.{decimals.ljust(int(digits), '0')}"


def _value(reps: list[Repetition], context: Context) -> Node | None:
    """OBX-2 says what OBX-5 is; OBX-6 is its unit. What does not look like its type is text."""
    kind, rep, unit = leaf(reps[0], 0), reps[1], reps[2]
    if kind == "NM":
        return _quantity(rep, unit, context) or _text(rep, context)
    if kind in ("DT", "TS", "DTM"):
        found = timestamp.decode(leaf(rep, 0), context)
        return {"valueDateTime": found} if found else _text(rep, context)
    if kind in _CODED:
        found = _VALUE.decode(rep, context)
        return {"valueCodeableConcept": found} if found else None
    return _text(rep, context)


def _text(rep: Repetition, context: Context) -> Node | None:
    found = text.decode(leaf(rep, 0), context) if leaf(rep, 0) else None
    return {"valueString": found} if found else None


def _value_written(node: Node, context: Context) -> list[Repetition] | None:
    if isinstance(quantity := node.get("valueQuantity"), dict):
        written = _precise(number.encode(quantity.get("value"), context), quantity.get("_value"))
        if written is None:
            return None
        coding = {k: v for k, v in (("code", quantity.get("code")), ("system", quantity.get("system"))) if v}
        if quantity.get("unit") and quantity["unit"] != quantity.get("code"):
            coding["display"] = quantity["unit"]
        return [[["NM"]], [[written]], _UNIT.encode({"coding": [coding]}, context) or []]
    if (moment := timestamp.encode(node.get("valueDateTime"), context)) is not None:
        return [[["TS"]], [[moment]], []]
    if isinstance(value := node.get("valueCodeableConcept"), dict):
        return [[["CE"]], _VALUE.encode(value, context) or [], []]
    if isinstance(value := node.get("valueString"), str):
        return [[["ST"]], [[value]], []]
    return None


VALUE = Codec(_value, _value_written, members=frozenset({"valueQuantity", "valueDateTime", "valueCodeableConcept", "valueString"}))

OBX = Segment(
    "OBX",
    {"Observation": resource("Observation", {"status": "unknown", "code": {"extension": [ABSENT]}, "subject": "@Patient!", "encounter": "@Encounter"})},
    field(3, "Observation.code", concept()),
    field((2, 5, 6), "Observation", VALUE),
    field(7, "Observation.referenceRange[0].text", only(text)),
    field(8, "Observation.interpretation[]", concept("0078")),
    field(11, "Observation", only(coded("status", STATUS, v2("0085"), default="unknown", implied="unknown"))),
    field(14, "Observation.effectiveDateTime", only(timestamp)),
    field(16, "Observation.performer[]", XCN),
    field(23, "Observation.performer[]", XON, fresh=never),
    field(25, "Observation.performer[]", XCN, fresh=never),
    field(17, "Observation.method", concept()),
    field(18, "Observation.device->Device", many_of("identifier", Codec(lambda r, c: [found] if (found := EI.decode(r, c)) else None, lambda v, c: EI.encode(v[0], c), EI.reads))),
    field(19, "Observation.issued", only(instant)),
    field(20, "Observation.bodySite", concept()),
)
