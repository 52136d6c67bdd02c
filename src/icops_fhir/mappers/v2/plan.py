"""What a Bundle makes of a message: which segments are to be written, in which order, from which resources.

The order stands on the MessageHeader (v2-segment); what was made in FHIR goes where the message structure puts it.
HL7 v2.5.1 §3.3 (ADT); IHE PAM FR §4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.mappers import registry
from icops_fhir.mappers.codec import Context, Node
from icops_fhir.mappers.v2 import carried
from icops_fhir.mappers.v2.er7 import Leaves, Place
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.site import Site

ADT_ORDER = (
    "MSH", "SFT", "EVN", "PID", "PD1", "ROL", "NK1", "MRG", "PV1", "PV2", "ZBE", "ZFA", "ZFP", "ZFV", "ZFM", "ZFD", "ZFS",
    "DB1", "OBX", "AL1", "DG1", "DRG", "PR1", "GT1", "IN1", "IN2", "IN3", "ACC",
)  # fmt: skip
# Resources made in FHIR that become a new segment, and the segment they become.
FRESH = {"RelatedPerson": "NK1", "AllergyIntolerance": "AL1", "Condition": "DG1", "Procedure": "PR1"}

Owned = dict[int, dict[str, tuple[Leaves, dict[Place, str]]]]  # carried leaves and spellings, by the element that holds them


@dataclass
class Writing:
    """One segment to write."""

    name: str
    nodes: dict[str, Node]
    leaves: Leaves
    spellings: dict[Place, str]
    line: str = ""


def header_of(bundle: Node) -> Node:
    """The MessageHeader that holds the order of the segments."""
    for entry in bundle.get("entry", ()):
        one = entry.get("resource") or {}
        if one.get("resourceType") == "MessageHeader" and any(e.get("url") == carried.SEGMENT for e in one.get("extension", ())):
            return one
    raise FhirError(
        Issue(
            "error", "structure",
            "the Bundle has no MessageHeader with the order of its segments (extension v2-segment): only a Bundle made from a message becomes one again",
            ("Bundle.entry",), rule="v2-no-order",
            french="le Bundle n'a pas de MessageHeader avec l'ordre de ses segments (extension v2-segment)",
        ),
        status=422, ack="AR",
    )  # fmt: skip


def context_of(bundle: Node, header: Node, usual: dict[str, Any], site: Site) -> Context:
    """What the codecs need to know, and every resource by the ways references name it."""
    about = Context(
        zone=usual.get("zone") or site.zone,
        french=bool(usual.get("french")),
        event=(header.get("eventCoding") or {}).get("code", ""),
        namespaces=dict(site.namespaces),
    )
    for entry in bundle.get("entry", ()):
        one = entry.get("resource")
        if isinstance(one, dict):
            about.resolve[f"{one.get('resourceType')}/{one.get('id')}"] = one
            about.resolve[f"urn:uuid:{one.get('id')}"] = one
            if entry.get("fullUrl"):
                about.resolve[entry["fullUrl"]] = one
    return about


def said_by(extension: Node) -> dict[str, Any]:
    """The values of a complex extension, by url."""
    return {
        part.get("url", ""): next((value for key, value in part.items() if key.startswith("value")), None)
        for part in extension.get("extension", ())
    }


def writings(bundle: Node, header: Node, about: Context) -> list[Writing]:
    """The segments to write, in the order of the message."""
    out = []
    for extension in header["extension"]:
        if extension.get("url") != carried.SEGMENT:
            continue
        said = said_by(extension)
        name = said.get("name") or ""
        held = carried.read(extension.get("extension", ()), "leaf").get(name, ({}, {}))
        if not name:
            if isinstance(said.get("line"), str):
                out.append(Writing("", {}, {}, {}, said["line"]))
            continue
        table = registry.segment(name)
        nodes: dict[str, Node] = {}
        if table is not None and table.root:
            for alias, spec in table.aliases.items():
                target = about.target(said.get(alias))
                if target is not None:
                    nodes[alias] = target
                elif spec.type == "Bundle" and not any(p.name == name for p in out):
                    nodes[alias] = bundle
            root = table.aliases[table.root]
            mapped = any(alias in said for alias in table.aliases) or bool(root.member)
            if root.member and "item" in said:
                owner = nodes.get(root.type)
                found = next((i for i in (owner or {}).get(root.member, ()) if isinstance(i, dict) and i.get("id") == said["item"]), None)
                if found is None:
                    continue
                nodes[table.root] = found
            elif mapped and table.root not in nodes and "item" not in said and any(alias in said for alias in table.aliases):
                continue  # what the segment stood for was deleted
        out.append(Writing(name, nodes, *held))
    return out


def carried_by(
    table: Segment, nodes: dict[str, Node], owned: Owned, about: Context
) -> tuple[Leaves, dict[Place, str]]:
    """The carried leaves of a segment: on its root, and on the items of its rows."""
    leaves: Leaves = {}
    spellings: dict[Place, str] = {}

    def take(node: Node) -> None:
        extensions = node.get("extension")
        if not extensions:
            return
        found = owned.get(id(node))
        if found is None:
            found = owned[id(node)] = carried.read(extensions)
        if table.name in found:
            leaves.update(found[table.name][0])
            spellings.update(found[table.name][1])

    root = nodes.get(table.root)
    if root is not None:
        take(root)
    for alias, to in table.lists:
        node = nodes.get(alias)
        if node is not None and to.head in node:
            for one in to.items(node, about):
                take(one)
    return leaves, spellings


def append_fresh(bundle: Node, plan: list[Writing], about: Context) -> None:
    """Segments for what was made in FHIR: after the last of their name, else where the message structure puts them."""
    known = {id(node) for one in plan for node in one.nodes.values()}
    for entry in bundle.get("entry", ()):
        made = entry.get("resource") or {}
        name = FRESH.get(str(made.get("resourceType")))
        table = registry.segment(name) if name else None
        if name and table and id(made) not in known:
            _insert(plan, Writing(name, {table.root: made}, {}, {}))
    table = registry.segment("ROL")
    if table is None:
        return
    root = table.aliases[table.root]
    for team in [e.get("resource") for e in bundle.get("entry", ()) if (e.get("resource") or {}).get("resourceType") == "CareTeam"]:
        for one in team.get(root.member, ()):
            if id(one) not in known and not str(one.get("id", "")).startswith("ROL."):
                _insert(plan, Writing("ROL", {table.root: one, root.type: team}, {}, {}))


def _insert(plan: list[Writing], one: Writing) -> None:
    last = max((i for i, p in enumerate(plan) if p.name == one.name), default=-1)
    if last < 0 and one.name in ADT_ORDER:
        before = ADT_ORDER[: ADT_ORDER.index(one.name)]
        last = max((i for i, p in enumerate(plan) if p.name in before), default=len(plan) - 1)
    plan.insert(last + 1, one)
