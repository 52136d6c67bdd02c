"""ZFP, occupation ↔ Observation.  IHE PAM FR §6.15 (tables 3300 and 3301)."""

from icops_fhir.mappers.v2.codes import ours
from icops_fhir.mappers.v2.concept import one_coding
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment

ACTIVITY, CATEGORY = ours("pam-fr-3300"), ours("pam-fr-3301")
_SOCIAL = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "social-history"}]}

ZFP = Segment(
    "ZFP",
    {
        "Occupation": resource(
            "Observation",
            {"status": "final", "category": [_SOCIAL], "code": {"text": "Situation socio-professionnelle"}, "subject": "@Patient!"},
        )
    },
    field(1, f"Occupation.valueCodeableConcept.coding[system={ACTIVITY}]", one_coding(ACTIVITY)),
    field(2, f"Occupation.valueCodeableConcept.coding[system={CATEGORY}]", one_coding(CATEGORY)),
)
