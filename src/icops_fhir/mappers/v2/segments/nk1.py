"""NK1, Next of Kin / Associated Parties ↔ RelatedPerson.  HL7 v2.5.1 §3.4.5; IHE PAM FR §6.9."""

from icops_fhir.mappers.v2.codes import v2
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.datatypes import CX, XAD, XPN
from icops_fhir.mappers.v2.primitives import text, timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import never, typed, used
from icops_fhir.mappers.v2.segments.pid import BIRTH, GENDER
from icops_fhir.mappers.v2.telecom import XTN

NK1 = Segment(
    "NK1",
    {"RelatedPerson": resource("RelatedPerson", {"patient": "@Patient!"})},
    field(2, "RelatedPerson.name[]", XPN),
    field(30, "RelatedPerson.name[]", XPN, fresh=never),
    field(3, "RelatedPerson.relationship[]", concept("0063")),
    field(7, "RelatedPerson.relationship[]", concept("0131"), fresh=never),
    field(4, "RelatedPerson.address[]", XAD),
    field(32, "RelatedPerson.address[]", XAD, fresh=never),
    field(5, "RelatedPerson.telecom[]", XTN),
    field(6, "RelatedPerson.telecom[]", XTN, fresh=used("work")),
    field(31, "RelatedPerson.telecom[]", XTN, fresh=never),
    field(40, "RelatedPerson.telecom[]", XTN, fresh=never),
    field(41, "RelatedPerson.telecom[]", XTN, fresh=never),
    field(8, "RelatedPerson.period.start", only(timestamp)),
    field(9, "RelatedPerson.period.end", only(timestamp)),
    field(33, "RelatedPerson.identifier[]", CX),
    field(12, "RelatedPerson.identifier[]", CX, fresh=never),
    field(37, "RelatedPerson.identifier[]", typed(only(text), "SS", v2("0203")), fresh=never),
    field(15, "RelatedPerson", GENDER),
    field(16, "RelatedPerson", BIRTH),
    field(20, "RelatedPerson.communication[0].language", concept("0296")),
)
