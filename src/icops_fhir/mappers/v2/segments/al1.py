"""AL1, Patient Allergy Information ↔ AllergyIntolerance.  HL7 v2.5.1 §3.4.6; v2-to-FHIR AL1[AllergyIntolerance]."""

from icops_fhir.mappers.v2.codes import coded, v2
from icops_fhir.mappers.v2.composite import composite, only, row
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.primitives import timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment

_ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
KIND = {"DA": "allergy", "FA": "allergy", "MA": "allergy", "EA": "allergy", "LA": "allergy", "AA": "allergy", "PA": "allergy"}  # HL70127
SEVERITY = {"SV": "high", "MI": "low", "U": "unable-to-assess"}  # HL70128

AL1 = Segment(
    "AL1",
    {"Allergy": resource("AllergyIntolerance", {"clinicalStatus": _ACTIVE, "patient": "@Patient!"})},
    field(2, "Allergy", only(coded("type", KIND, v2("0127")))),
    field(3, "Allergy.code", concept()),
    field(4, "Allergy", only(coded("criticality", SEVERITY, v2("0128")))),
    field(5, "Allergy.reaction[]", composite(row(1, "manifestation[0].text"))),
    field(6, "Allergy.onsetDateTime", only(timestamp)),
)
