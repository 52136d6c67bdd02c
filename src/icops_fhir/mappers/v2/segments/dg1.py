"""DG1, Diagnosis ↔ Condition.  HL7 v2.5.1 §6.5.2; v2-to-FHIR DG1[Condition]."""

from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import DESCRIBED, concept
from icops_fhir.mappers.v2.datatypes import EI, XCN
from icops_fhir.mappers.v2.primitives import timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment

_ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}

DG1 = Segment(
    "DG1",
    {"Condition": resource("Condition", {"clinicalStatus": _ACTIVE, "subject": "@Patient!", "encounter": "@Encounter"})},
    field((3, 4), "Condition.code", DESCRIBED),
    field(5, "Condition.onsetDateTime", only(timestamp)),
    field(6, "Condition.category[0]", concept("0052")),
    field(16, "Condition.asserter", XCN),
    field(19, "Condition.recordedDate", only(timestamp)),
    field(20, "Condition.identifier[0]", EI),
)
