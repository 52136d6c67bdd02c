"""PR1, Procedures ↔ Procedure.  HL7 v2.5.1 §6.5.4; v2-to-FHIR PR1[Procedure]."""

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import DESCRIBED, concept
from icops_fhir.mappers.v2.datatypes import EI, XCN
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import never

_FUNCTION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def performer(role: str) -> Codec:
    """XCN ↔ Procedure.performer with a function."""

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = XCN.decode(rep, context)
        return None if found is None else {"function": {"coding": [{"system": _FUNCTION, "code": role}]}, "actor": found}

    return Codec(decode, lambda one, context: XCN.encode(one.get("actor"), context), XCN.reads)


PR1 = Segment(
    "PR1",
    {"Procedure": resource("Procedure", {"status": "completed", "subject": "@Patient!", "encounter": "@Encounter"})},
    field((3, 4), "Procedure.code", DESCRIBED),
    field(5, "Procedure.performedDateTime", only(timestamp)),
    field(6, "Procedure.category", concept("0230")),
    field(11, "Procedure.performer[]", performer("PPRF")),
    field(8, "Procedure.performer[]", performer("SPRF"), fresh=never),
    field(12, "Procedure.performer[]", performer("PRF"), fresh=never),
    field(15, "Procedure.reasonCode[0]", concept()),
    field(19, "Procedure.identifier[0]", EI),
)
