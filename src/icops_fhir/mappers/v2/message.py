"""A whole message ↔ a Bundle of type message.

    bytes ─ er7.parse ─ segment tables ─ Bundle          https://hl7.org/fhir/R4/messaging.html
          ◄─ er7.line ─ segment tables ─◄

decode is a function: the same bytes give the same Bundle, ids included. encode works from the Bundle alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.mappers import registry
from icops_fhir.mappers.codec import Context, Node
from icops_fhir.mappers.v2 import carried, charset, er7, segment
from icops_fhir.mappers.v2.er7 import Leaves, Message, Place
from icops_fhir.mappers.v2.primitives import offset
from icops_fhir.mappers.v2.segment import ABSENT, Alias, Segment
from icops_fhir.mappers.v2.site import DEFAULT, Site

ADT_ORDER = (
    "MSH", "SFT", "EVN", "PID", "PD1", "ROL", "NK1", "MRG", "PV1", "PV2", "ZBE", "ZFA", "ZFP", "ZFV", "ZFM", "ZFD", "ZFS",
    "DB1", "OBX", "AL1", "DG1", "DRG", "PR1", "GT1", "IN1", "IN2", "IN3", "ACC",
)  # fmt: skip
# Resources made in FHIR that become a new segment, and the segment they become.
FRESH = {"RelatedPerson": "NK1", "AllergyIntolerance": "AL1", "Condition": "DG1", "Procedure": "PR1"}


# ---------------------------------------------------------------- context


def _zone(time: str, site: Site) -> str:
    """The zone of times without one: MSH-7's, else the site's. An offset that is the site's own at that time means the site."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d)?(\d\d)?[\d.]*([+-]\d{4})", time)
    if not found:
        return site.zone
    y, mo, d, h, mi = (int(part or 0) for part in found.groups()[:5])
    try:
        same = offset(site.zone, y, mo, d, h, mi).replace(":", "") == found[6]
    except ValueError:
        same = False
    return site.zone if same else found[6]


def context(message: Message, site: Site = DEFAULT) -> Context:
    """What the codecs need to know of this message."""
    header = message.first("MSH")
    get = header.get if header else (lambda _path, default="": default)
    return Context(
        zone=_zone(get("7.1"), site),
        event=message.event,
        french=get("17.1") == "FRA" or get("12.2.1") == "FRA" or get("12.2.2") == "FRA",
        namespaces=dict(site.namespaces),
        facts={
            "reliability": message.get("PID-32.1"),
            "class": message.get("PV1-2.1"),
            "recorded": message.get("EVN-2.1"),
            "sent": get("7.1"),
            "destination": get("5"),
            "facility": get("6"),
        },
    )


# ---------------------------------------------------------------- decode


class _Waiting(NamedTuple):
    """A reference to the resource of an alias that may not be there yet, and where to take it from if it never comes."""

    reference: Node
    alias: str
    required: bool
    holder: Any
    key: Any
    outer: Any


@dataclass
class _Decoding:
    message: Message
    context: Context
    bundle: Node
    order: list[Node] = field(default_factory=list)  # v2-segment extensions
    entries: list[Node] = field(default_factory=list)
    late: list[Node] = field(default_factory=list)
    current: dict[str, Node] = field(default_factory=dict)
    pending: list[_Waiting] = field(default_factory=list)
    used: set[tuple[str, int]] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[dict[str, Node], Node]] = field(default_factory=list)  # (alias -> resource, segment extension)

    def start(self) -> None:
        """A new message or patient: what waited for the one before waits no longer, what follows belongs to the new one."""
        if "Patient" in self.current:
            self.settle()
        header, bundle = self.current.get("MessageHeader"), self.current.get("Bundle")
        sender = self.current.get("Sender")
        self.current = {k: v for k, v in (("MessageHeader", header), ("Bundle", bundle), ("Sender", sender)) if v is not None}

    def settle(self) -> None:
        """Give the waiting references their targets; take away those that have none, or say that they are unknown."""
        for one in reversed(self.pending):
            target = self.current.get(one.alias)
            if target is not None:
                self.context.nested.append((one.reference, target))
            elif one.required:
                del one.reference["reference"]
                one.reference["extension"] = [dict(ABSENT)]
            elif isinstance(one.holder, list):
                one.holder[:] = [item for item in one.holder if item is not one.reference]
                if not one.holder:
                    one.outer.pop(one.key, None)
            else:
                one.holder.pop(one.key, None)
        self.pending = []

    def fixed(self, value: Any, holder: Any, key: Any, outer: Any = None) -> Any:
        """A copy of what a resource always holds; its references wait for their targets."""
        if isinstance(value, str):
            if not value.startswith("@"):
                return value
            reference: Node = {"reference": ""}
            self.pending.append(_Waiting(reference, value[1:].rstrip("!"), value.endswith("!"), holder, key, outer))
            return reference
        if isinstance(value, Mapping):
            out: Node = {}
            for k, one in value.items():
                out[k] = self.fixed(one, out, k)
            return out
        if isinstance(value, list | tuple):
            items: list[Any] = []
            for one in value:
                items.append(self.fixed(one, items, key, holder))
            return items
        return value

    def make(self, alias: str, spec: Alias) -> Node:
        if spec.type == "Bundle":
            return self.bundle
        node: Node = {"resourceType": spec.type}
        said = spec.fixed(self.context) if callable(spec.fixed) else spec.fixed
        for k, one in (said or {}).items():
            node[k] = self.fixed(one, node, k)
        (self.late if spec.late else self.entries).append(node)
        self.current[alias] = node
        return node


def _unmapped(state: _Decoding, line: er7.Segment, only: set[tuple[int, int]] | None = None) -> list[Node]:
    """The leaves of a line, or of some of its repetitions, as they stand on the MessageHeader."""
    out = []
    seen = segment.view(line)
    for f, reps in enumerate(seen.fields):
        if line.name in er7.HEADERS and f < 3:
            continue
        for r, rep in enumerate(reps, 1):
            if only is not None and (f, r) not in only:
                continue
            leaves: Leaves = {}
            segment.flatten((f, r), rep, leaves)
            out += [carried.leaf(line.name, at, text, seen.lexemes.get(at), "leaf") for at, text in leaves.items()]
    return out


def _line(state: _Decoding, line: er7.Segment) -> None:
    name = line.name
    table = registry.segment(name) if name else None
    if not name:
        state.order.append(carried.segment("", {}, "", [{"url": "line", "valueString": line.line}] if line.line.strip() else []))
        return
    if table is None or (table.root and not _fits(state, table)):
        state.order.append(carried.segment(name, {}, "", _unmapped(state, line)))
        return
    if name == "PID" or (name == "MSH" and state.current):
        state.start()
    state.counts[name] = count = state.counts.get(name, 0) + 1
    seen = segment.view(line)
    fields = seen.fields
    hidden = table.withhold(fields, state.context) if table.withhold else set()
    if hidden:
        fields = [[[] if (f, r) in hidden else rep for r, rep in enumerate(reps, 1)] for f, reps in enumerate(fields)]
    nodes: dict[str, Node] = {}
    key = ""

    def get(alias: str) -> Node:
        nonlocal key
        if alias in nodes:
            return nodes[alias]
        spec = table.aliases[alias]
        if spec.member:
            owner = get(spec.type) if spec.type in table.aliases else state.current[spec.type]
            key = f"{name}.{count}"
            node: Node = {"id": key}
            owner.setdefault(spec.member, []).append(node)
        elif spec.type == "Bundle" and count > 1:
            return {}
        elif spec.shared and alias in state.current:
            node = state.current[alias]
        else:
            node = state.make(alias, spec)
        nodes[alias] = node
        return node

    if table.root:
        get(table.root)
        state.used.add((name, id(nodes[table.root])))
    made = table.read(fields, get, state.context)
    owner = nodes.get(table.root, {})
    for at, text in table.residue(fields, nodes, made, state.context).items():
        holder = made[at[:2]][0] if at[:2] in made else owner
        holder.setdefault("extension", []).append(carried.leaf(name, at, text, seen.lexemes.pop(at, None)))
    for at, raw in [*seen.lexemes.items(), *_spelled_fields(table, line)]:
        if at[:2] not in hidden:
            holder = made[at[:2]][0] if at[:2] in made else owner
            holder.setdefault("extension", []).append(carried.leaf(name, at, None, raw))
    entry = carried.segment(name, {}, key, _unmapped(state, line, hidden) if hidden else [])
    state.order.append(entry)
    state.waiting.append(({a: n for a, n in nodes.items() if "resourceType" in n and n["resourceType"] != "Bundle"}, entry))


def _spelled_fields(table: Segment, line: er7.Segment) -> list[tuple[Place, str]]:
    """The spelling of fields whose type no dictionary gives (French segments): kept beside their value."""
    return [(at, raw) for at, raw in line.leaves().items() if at[0] in table.spelled] if table.spelled else []


def _fits(state: _Decoding, table: Segment) -> bool:
    """Whether the root of a table can be had here, and is not already taken by a segment of the same name."""
    spec = table.aliases[table.root]
    if spec.member or not spec.shared or table.root not in state.current:
        return True
    return (table.name, id(state.current[table.root])) not in state.used


def decode(raw: bytes | Message, site: Site = DEFAULT) -> Node:
    """HL7 v2 bytes -> Bundle. Raises FhirError (ack AR) when the bytes hold no message."""
    message = raw if isinstance(raw, Message) else er7.parse(raw, site)
    state = _Decoding(message, context(message, site), {"resourceType": "Bundle", "type": "message"})
    for line in message.segments:
        _line(state, line)
    state.settle()
    return _assemble(state, site)


def _assemble(state: _Decoding, site: Site) -> Node:
    message, bundle = state.message, state.bundle
    seed = hashlib.sha256(message.raw or er7.render(message)).hexdigest()
    urls: dict[int, str] = {}
    resources = state.entries + state.late
    listed = {id(one) for one in resources}
    for _, target in state.context.nested:
        if id(target) not in listed:
            listed.add(id(target))
            resources.append(target)
    header = next(one for one in resources if one["resourceType"] == "MessageHeader")
    resources.remove(header)
    resources.insert(0, header)
    for n, one in enumerate(resources):
        urls[id(one)] = _uuid(seed, n)
    for reference, target in state.context.nested:
        reference["reference"] = f"urn:uuid:{urls[id(target)]}"
    for nodes, entry in state.waiting:
        entry["extension"][1:1] = [
            {"url": alias, "valueReference": {"reference": f"urn:uuid:{urls[id(node)]}"}} for alias, node in nodes.items()
        ]
    extensions = header.setdefault("extension", [])
    extensions[:0] = [*_encoding(state, site), *state.order]
    focus = [one for one in resources if one["resourceType"] in ("Patient", "Encounter")]
    if focus:
        header["focus"] = [{"reference": f"urn:uuid:{urls[id(one)]}"} for one in focus]
    bundle["entry"] = [
        {"fullUrl": f"urn:uuid:{urls[id(one)]}", "resource": {"resourceType": one.pop("resourceType"), "id": urls[id(one)], **one}}
        for one in resources
    ]
    return {key: bundle[key] for key in ("resourceType", "meta", "identifier", "type", "timestamp", "entry") if key in bundle}


def _uuid(seed: str, rank: int) -> str:
    """A name-based UUID (RFC 9562 §5.8) of a message and a rank."""
    h = hashlib.blake2b(f"{seed}{rank}".encode(), digest_size=16).hexdigest()
    return f"{h[:8]}-{h[8:12]}-8{h[13:16]}-8{h[17:20]}-{h[20:]}"


def _encoding(state: _Decoding, site: Site) -> list[Node]:
    """The v2-encoding extension, when something is not as usual."""
    message = state.message
    parts: list[Node] = []
    if message.charset not in ("utf-8", "ascii"):
        parts.append({"url": "charset", "valueCode": message.charset})
    if message.delimiters != er7.Delimiters():
        d = message.delimiters
        parts.append({"url": "field", "valueString": d.field})
        if d.declared:
            parts.append({"url": "declared", "valueString": d.declared})
    terminator = next((t for t in message.terminators if t), "\r")
    short = {"\n": "LF", "\r\n": "CRLF"}.get(terminator[:2] if terminator[:2] == "\r\n" else terminator[:1])
    if short:
        parts.append({"url": "terminator", "valueCode": short})
    if state.context.zone != site.zone:
        parts.append({"url": "zone", "valueString": state.context.zone})
    if state.context.french:
        parts.append({"url": "french", "valueBoolean": True})
    return [{"url": carried.ENCODING, "extension": parts}] if parts else []


# ---------------------------------------------------------------- encode


@dataclass
class _Planned:
    """One segment to write."""

    name: str
    nodes: dict[str, Node]
    leaves: Leaves
    spellings: dict[Place, str]
    line: str = ""


@dataclass
class Planned:
    """One segment as a Bundle holds it: the leaves held on the MessageHeader, and those carried by its resources."""

    mapped: bool
    held: Leaves
    carried: Leaves
    owner: str


def plan(bundle: Node) -> list[Planned]:
    """The segments of a Bundle in order, for `explain`."""
    header = _header(bundle)
    about = _context_of(bundle, header, {}, DEFAULT)
    owned: dict[int, dict[str, tuple[Leaves, dict[Place, str]]]] = {}
    out = []
    for one in _plan(bundle, header, about):
        table = registry.segment(one.name) if one.name else None
        found: Leaves = {}
        if table is not None and one.nodes:
            found, _ = _carried(table, one.nodes, owned, about)
        root = table.aliases[table.root] if table is not None and table.root else None
        out.append(Planned(bool(one.nodes), one.leaves, found, root.type if root else "MessageHeader"))
    return out


def _context_of(bundle: Node, header: Node, usual: dict[str, Any], site: Site) -> Context:
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


def _header(bundle: Node) -> Node:
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


def _said(extension: Node) -> dict[str, Any]:
    return {
        part.get("url", ""): next((value for key, value in part.items() if key.startswith("value")), None)
        for part in extension.get("extension", ())
    }


def encode(bundle: Node, site: Site = DEFAULT) -> bytes:
    """Bundle -> HL7 v2 bytes. Raises FhirError when the Bundle was not made from a message."""
    header = _header(bundle)
    usual = next((_said(e) for e in header["extension"] if e.get("url") == carried.ENCODING), {})
    d = er7.delimiters(f"MSH{usual['field']}{usual.get('declared', '')}") if "field" in usual else er7.Delimiters()
    about = _context_of(bundle, header, usual, site)
    owned: dict[int, dict[str, tuple[Leaves, dict[Place, str]]]] = {}
    plan = _plan(bundle, header, about)
    _append_fresh(bundle, plan, about)
    lines = []
    for one in plan:
        if not one.name:
            lines.append(one.line)
            continue
        table = registry.segment(one.name)
        leaves, spellings = dict(one.leaves), dict(one.spellings)
        if table is not None and one.nodes:
            found, more = _carried(table, one.nodes, owned, about)
            leaves = {**table.restore(one.nodes, found, about), **leaves}
            spellings |= more
        raw = {at: _spelled(text, spellings.get(at), d) for at, text in leaves.items()}
        lines.append(er7.line(one.name, raw, d))
    terminator = {"LF": "\n", "CRLF": "\r\n"}.get(usual.get("terminator") or "", "\r")
    whole = "".join(line + terminator for line in lines)
    codec = usual.get("charset") or "utf-8"
    out, used = charset.encode(whole, codec if codec in set(charset.HL70211.values()) | {"latin-1", "utf-16-le", "utf-16-be"} else "utf-8")
    if used != codec:
        at = next(i for i, line in enumerate(lines) if line.startswith("MSH"))
        parts = lines[at].split(d.field)
        parts += [""] * (18 - len(parts))
        parts[17] = charset.label("utf-8")
        lines[at] = d.field.join(parts)
        out = "".join(line + terminator for line in lines).encode("utf-8", "surrogatepass")
    if codec.startswith("utf-16"):
        out = (b"\xff\xfe" if codec.endswith("le") else b"\xfe\xff") + out
    return out


def _spelled(text: str, raw: str | None, d: er7.Delimiters) -> str:
    if raw is not None and er7.text(raw, d) == text:
        return raw
    return er7.NULL if text == er7.NULL else er7.escape(text, d)


def _plan(bundle: Node, header: Node, about: Context) -> list[_Planned]:
    out = []
    for extension in header["extension"]:
        if extension.get("url") != carried.SEGMENT:
            continue
        said = _said(extension)
        name = said.get("name") or ""
        held = carried.read(extension.get("extension", ()), "leaf").get(name, ({}, {}))
        if not name:
            if isinstance(said.get("line"), str):
                out.append(_Planned("", {}, {}, {}, said["line"]))
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
        out.append(_Planned(name, nodes, *held))
    return out


def _carried(
    table: Segment, nodes: dict[str, Node], owned: dict[int, dict[str, tuple[Leaves, dict[Place, str]]]], about: Context
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
    for row in table.rows:
        node = nodes.get(row.alias)
        if row.many and node is not None:
            for one in row.to.items(node, about):
                take(one)
    return leaves, spellings


def _append_fresh(bundle: Node, plan: list[_Planned], about: Context) -> None:
    """Segments for what was made in FHIR: after the last of their name, else where the message structure puts them."""
    known = {id(node) for one in plan for node in one.nodes.values()}
    for entry in bundle.get("entry", ()):
        made = entry.get("resource") or {}
        name = FRESH.get(str(made.get("resourceType")))
        table = registry.segment(name) if name else None
        if name and table and id(made) not in known:
            _insert(plan, _Planned(name, {table.root: made}, {}, {}))
    table = registry.segment("ROL")
    if table is None:
        return
    root = table.aliases[table.root]
    for team in [e.get("resource") for e in bundle.get("entry", ()) if (e.get("resource") or {}).get("resourceType") == "CareTeam"]:
        for one in team.get(root.member, ()):
            if id(one) not in known and not str(one.get("id", "")).startswith("ROL."):
                _insert(plan, _Planned("ROL", {table.root: one, root.type: team}, {}, {}))


def _insert(plan: list[_Planned], one: _Planned) -> None:
    last = max((i for i, p in enumerate(plan) if p.name == one.name), default=-1)
    if last < 0 and one.name in ADT_ORDER:
        before = ADT_ORDER[: ADT_ORDER.index(one.name)]
        last = max((i for i, p in enumerate(plan) if p.name in before), default=len(plan) - 1)
    plan.insert(last + 1, one)
