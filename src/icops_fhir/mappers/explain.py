"""Where every leaf of a message goes: mapped to which FHIR path, or carried.

The share of carried leaves is our coverage metric: a wrong or missing row cannot lose data, it only carries more.
"""

from __future__ import annotations

from typing import NamedTuple

from icops_fhir.mappers import registry
from icops_fhir.mappers.codec import Node
from icops_fhir.mappers.v2 import carried, er7, message
from icops_fhir.mappers.v2.er7 import Place
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.site import DEFAULT, Site

MAPPED, CARRIED, WITHHELD = "mapped", "carried", "withheld"


class Leaf(NamedTuple):
    """One leaf of the message: its path, its text, what became of it and where."""

    path: str
    text: str
    state: str
    where: str


def _home(table: Segment, at: Place) -> str:
    """The FHIR path of a leaf that a table maps."""
    f, r, c, s = at
    found = ""
    for row in table.rows:
        if f not in row.at or (row.which == "first" and r > 1) or (row.which == "rest" and r == 1):
            continue
        inside = row.by.paths.get((c - 1, s - 1)) or row.by.paths.get((c - 1, 0), "")
        home = f"{row.alias}.{row.to.text}".rstrip(".") + ("[]" if row.many else "")
        if not found or inside:
            found = f"{home}.{inside}" if inside and not inside.startswith("->") else f"{home} {inside}".strip()
        if inside or row.by.reads is None:
            break
    return found


def explain(raw: bytes, site: Site = DEFAULT) -> list[Leaf]:
    """Every leaf of a message with what becomes of it. Raises FhirError when the bytes hold no message."""
    parsed = er7.parse(raw, site)
    bundle = message.decode(parsed, site)
    out: list[Leaf] = []
    counts: dict[str, int] = {}
    for line, planned in zip(parsed.segments, message.plan(bundle), strict=True):
        name = line.name
        counts[name] = n = counts.get(name, 0) + 1
        table = registry.segment(name) if name else None
        kept = planned.carried
        for at, leaf in line.leaves().items():
            text = er7.text(leaf, line.delimiters)
            path = carried.path(name if n == 1 else f"{name}[{n}]", at)
            if at in planned.held:
                out.append(Leaf(path, text, WITHHELD if planned.mapped else CARRIED, "MessageHeader"))
            elif kept.get(at):
                out.append(Leaf(path, text, CARRIED, planned.owner))
            else:
                out.append(Leaf(path, text, MAPPED, _home(table, at) if table is not None else "MessageHeader"))
    return out


def summary(leaves: list[Leaf]) -> Node:
    """How many leaves are mapped, carried, withheld."""
    total = len(leaves) or 1
    return {state: round(100 * sum(leaf.state == state for leaf in leaves) / total, 1) for state in (MAPPED, CARRIED, WITHHELD)}
