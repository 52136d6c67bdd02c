"""A whole message ↔ a Bundle of type message.

    bytes ─ er7.parse ─ segment tables ─ Bundle          https://hl7.org/fhir/R4/messaging.html
          ◄─ er7.line ─ segment tables ─◄

decode is a function: the same bytes give the same Bundle, ids included. encode works from the Bundle alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from icops_fhir.mappers import registry
from icops_fhir.mappers.codec import Node
from icops_fhir.mappers.v2.context import context
from icops_fhir.mappers.v2.decode import decode
from icops_fhir.mappers.v2.encode import encode
from icops_fhir.mappers.v2.er7 import Leaves
from icops_fhir.mappers.v2.plan import Owned, carried_by, context_of, header_of, writings
from icops_fhir.mappers.v2.site import DEFAULT

__all__ = ["context", "decode", "encode", "plan"]


@dataclass
class Planned:
    """One segment as a Bundle holds it: the leaves held on the MessageHeader, and those carried by its resources."""

    mapped: bool
    held: Leaves
    carried: Leaves
    owner: str


def plan(bundle: Node) -> list[Planned]:
    """The segments of a Bundle in order, for `explain`."""
    header = header_of(bundle)
    about = context_of(bundle, header, {}, DEFAULT)
    owned: Owned = {}
    out = []
    for one in writings(bundle, header, about):
        table = registry.segment(one.name) if one.name else None
        found: Leaves = {}
        if table is not None and one.nodes:
            found, _ = carried_by(table, one.nodes, owned, about)
        root = table.aliases[table.root] if table is not None and table.root else None
        out.append(Planned(bool(one.nodes), one.leaves, found, root.type if root else "MessageHeader"))
    return out
