"""PD1, Patient Additional Demographic ↔ Patient.  HL7 v2.5.1 §3.4.10; IHE PAM FR §6.7."""

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.composite import composite, row
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.datatypes import EXT, XCN, XON
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.row import field, shared
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import CONFIDENTIALITY, never

_LABEL = {"system": CONFIDENTIALITY, "code": "R"}


def _protected(rep: Repetition, _: Context) -> Node | None:
    return {"meta": {"security": [dict(_LABEL)]}} if rep and rep[0][0] == "Y" else None


def _protected_written(patient: Node, _: Context) -> Repetition | None:
    labels = (patient.get("meta") or {}).get("security") or []
    return [["Y"]] if any(one.get("code") == "R" and one.get("system") == CONFIDENTIALITY for one in labels) else None


PROTECTED = Codec(_protected, _protected_written, frozenset({(0, 0)}), members=frozenset({"meta"}))  # PD1-12 = Y: restricted access

PD1 = Segment(
    "PD1",
    {"Patient": shared("Patient")},
    field(4, "Patient.generalPractitioner[]", XCN),
    field(3, "Patient.generalPractitioner[]", XON, fresh=never),
    field(6, f"Patient.extension[url={EXT}patient-disability].valueCodeableConcept", concept("0295")),
    field(12, "Patient", PROTECTED),
    field(14, f"Patient.extension[url={EXT}patient-congregation]", composite(row(1, "valueString"), needs="valueString")),
)
