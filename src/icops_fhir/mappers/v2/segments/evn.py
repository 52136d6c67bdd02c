"""EVN, Event Type ↔ Provenance.  HL7 v2.5.1 §3.4.1; v2-to-FHIR EVN[Provenance]."""

from icops_fhir.mappers.v2.codes import v2
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.datatypes import HD, XCN
from icops_fhir.mappers.v2.primitives import code, timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import RECORDED, many_of, provenance

EVN = Segment(
    "EVN",
    {"Event": resource("Provenance", provenance("Patient", "Encounter"))},
    field(1, f"Event.activity.coding[system={v2('0003')}].code", only(code)),
    field(2, "Event", RECORDED),
    field(4, "Event.reason[0]", concept("0062")),
    field(5, "Event.agent[]", many_of("who", XCN)),
    field(6, "Event.occurredDateTime", only(timestamp)),
    field(7, "Event.location->Location", HD),
)
