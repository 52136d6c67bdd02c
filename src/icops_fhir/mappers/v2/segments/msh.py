"""MSH, Message Header ↔ MessageHeader and Bundle.  HL7 v2.5.1 §2.15.9; v2-to-FHIR MSH[MessageHeader], MSH[Bundle]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import ABSENT, v2
from icops_fhir.mappers.v2.composite import beyond, composite, leaf, only, row
from icops_fhir.mappers.v2.datatypes import HD
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import code, instant, text, universal
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment

UNKNOWN = {"extension": [ABSENT]}  # a required element that no message says


def _local(rep: Repetition, context: Context) -> bool:
    return universal.decode((leaf(rep, 1), leaf(rep, 2)), context) is None


def _application(by: Codec) -> Codec:
    """MessageHeader wants an endpoint: without a universal id it is unknown."""

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = by.decode(rep, context)
        return found if found is None or "endpoint" in found else {**found, "_endpoint": UNKNOWN}

    return Codec(decode, by.encode, by.reads, by.paths, members=(by.members or frozenset()) | {"_endpoint"})


# HD of an application ↔ source, destination
SOURCE = _application(composite(row(1, "name"), row("2 3", "endpoint", universal), row(2, "software", when=_local)))
DESTINATION = _application(composite(row(1, "name"), row("2 3", "endpoint", universal)))

def _header(context: Context) -> Mapping[str, Any]:
    """What every MessageHeader holds; a destination known by its facility only has no endpoint either."""
    out: Node = {"eventCoding": UNKNOWN, "source": {"_endpoint": UNKNOWN}, "sender": "@Sender"}
    return {**out, "destination": [{"_endpoint": UNKNOWN}]} if context.facts.get("facility") and not context.facts.get("destination") else out


def _event(rep: Repetition, context: Context) -> Node | None:
    """MSH-9.2"""
    found = code.decode(leaf(rep, 1), context)
    context.left = [(c, s) for c, s in beyond(rep, 0) if (c, s) != (2, 1)]
    return {"system": v2("0003"), "code": found} if found else None


EVENT = Codec(_event, lambda one, _: [[""], [one["code"]]] if one.get("code") else None, frozenset({(1, 0)}))

MSH = Segment(
    "MSH",
    {
        "MessageHeader": resource("MessageHeader", _header),
        "Bundle": resource("Bundle"),
        "Sender": resource("Organization"),
        "Receiver": resource("Organization"),
    },
    field(9, "MessageHeader.eventCoding", EVENT),
    field(3, "MessageHeader.source", SOURCE),
    field(5, "MessageHeader.destination[0]", DESTINATION),
    field(4, "Sender", HD),
    field(6, "MessageHeader.destination[0].receiver->Organization", HD),
    field(7, "Bundle.timestamp", only(instant)),
    field(10, "Bundle.identifier.value", only(text)),
)
