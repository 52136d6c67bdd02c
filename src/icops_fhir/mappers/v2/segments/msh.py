"""MSH, Message Header ↔ MessageHeader and Bundle.  HL7 v2.5.1 §2.15.9; v2-to-FHIR MSH[MessageHeader], MSH[Bundle]."""

from icops_fhir.mappers.codec import Codec, Context
from icops_fhir.mappers.v2.codes import v2
from icops_fhir.mappers.v2.composite import composite, leaf, only, row
from icops_fhir.mappers.v2.datatypes import HD
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import code, instant, text, universal
from icops_fhir.mappers.v2.segment import Segment, field, resource


def _local(rep: Repetition, context: Context) -> bool:
    return universal.decode((leaf(rep, 1), leaf(rep, 2)), context) is None


APPLICATION = composite(  # HD of an application ↔ source or destination
    row(1, "name"),
    row("2 3", "endpoint", universal),
    row(2, "software", when=_local),
)

EVENT = Codec(  # MSH-9.2
    lambda rep, context: {"system": v2("0003"), "code": found} if (found := code.decode(leaf(rep, 1), context)) else None,
    lambda one, _: [[""], [one["code"]]] if one.get("code") else None,
    frozenset({(1, 0)}),
)

MSH = Segment(
    "MSH",
    {
        "MessageHeader": resource("MessageHeader", {"sender": "@Sender"}),
        "Bundle": resource("Bundle"),
        "Sender": resource("Organization"),
        "Receiver": resource("Organization"),
    },
    field(9, "MessageHeader.eventCoding", EVENT),
    field(3, "MessageHeader.source", APPLICATION),
    field(5, "MessageHeader.destination[0]", APPLICATION),
    field(4, "Sender", HD),
    field(6, "MessageHeader.destination[0].receiver->Organization", HD),
    field(7, "Bundle.timestamp", only(instant)),
    field(10, "Bundle.identifier.value", only(text)),
)
