"""One line of a message on its way to the Bundle: through the table of its segment, or carried whole."""

from __future__ import annotations

from icops_fhir.mappers import registry
from icops_fhir.mappers.codec import Node
from icops_fhir.mappers.v2 import carried, er7
from icops_fhir.mappers.v2.codes import ABSENT
from icops_fhir.mappers.v2.decoding import Decoding
from icops_fhir.mappers.v2.er7 import Place
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.view import View, view


def _unmapped(line: er7.Segment, seen: View, only: set[tuple[int, int]] | None = None) -> list[Node]:
    """The leaves of a line, or of some of its repetitions, as they stand on the MessageHeader."""
    name, lexemes = line.name, seen.lexemes
    leaf, lines = carried.leaf, []
    first = 3 if name in er7.HEADERS else 1
    for f, reps in enumerate(seen.fields):
        if f < first:
            continue
        for r, rep in enumerate(reps, 1):
            if only is not None and (f, r) not in only:
                continue
            start = f"{name}-{f}[{r}]." if r > 1 else f"{name}-{f}."
            for c, subs in enumerate(rep, 1):
                for s, text in enumerate(subs, 1):
                    if not text:
                        continue
                    if text.isalnum() and not lexemes:
                        at = {"url": "at", "valueString": f"{start}{c}.{s}"}
                        lines.append({"url": "leaf", "extension": [at, {"url": "text", "valueString": text}]})
                    else:
                        lines.append(leaf(name, (f, r, c, s), text, lexemes.get((f, r, c, s)), "leaf"))
    return lines


class _Nodes(dict[str, Node]):
    """The resources and items that a line speaks of, by alias; made when first asked for."""

    __slots__ = ("count", "key", "state", "table")

    def __init__(self, state: Decoding, table: Segment, count: int) -> None:
        super().__init__()
        self.state, self.table, self.count, self.key = state, table, count, ""

    def __missing__(self, alias: str) -> Node:
        state, spec = self.state, self.table.aliases[alias]
        if spec.member:
            owner = self[spec.type] if spec.type in self.table.aliases else state.current[spec.type]
            self.key = f"{self.table.name}.{self.count}"
            node: Node = {"id": self.key}
            owner.setdefault(spec.member, []).append(node)
        elif spec.type == "Bundle" and self.count > 1:
            return {}
        elif spec.shared and alias in state.current:
            node = state.current[alias]
        else:
            node = state.make(alias, spec)
        self[alias] = node
        return node


def read(state: Decoding, line: er7.Segment) -> None:
    """Add what a line says to the Bundle in the making."""
    name = line.name
    table = registry.segment(name) if name else None
    if not name:
        state.order.append(carried.segment("", {}, "", [{"url": "line", "valueString": line.line}] if line.line.strip() else []))
        return
    if table is None or (table.root and not _fits(state, table)):
        state.order.append(carried.segment(name, {}, "", _unmapped(line, view(line))))
        return
    if name == "PID" or (name == "MSH" and state.current):
        state.start()
    state.counts[name] = count = state.counts.get(name, 0) + 1
    seen = view(line)
    fields = seen.fields
    hidden = table.withhold(fields, state.context) if table.withhold else None
    if hidden:
        fields = [[[] if (f, r) in hidden else rep for r, rep in enumerate(reps, 1)] for f, reps in enumerate(fields)]
    nodes = _Nodes(state, table, count)
    owner: Node = {}
    if table.root:
        owner = nodes[table.root]
        state.used.add((name, id(owner)))
    reach = table.reach(fields)
    made = table.read(fields, nodes, state.context, reach)
    lexemes = seen.lexemes
    for at, text in table.residue(fields, nodes, made, state.context, reach).items():
        holder = made[at[:2]][0] if at[:2] in made else owner
        holder.setdefault("extension", []).append(carried.leaf(name, at, text, lexemes.pop(at, None) if lexemes else None))
    for at, raw in [*lexemes.items(), *_spelled_fields(table, line)] if lexemes or table.spelled else ():
        if not hidden or at[:2] not in hidden:
            holder = made[at[:2]][0] if at[:2] in made else owner
            holder.setdefault("extension", []).append(carried.leaf(name, at, None, raw))
    for alias in table.wanting:
        for key in table.aliases[alias].wanted if alias in nodes else ():
            if nodes[alias].get(key) == {}:
                nodes[alias][key] = {"extension": [dict(ABSENT)]}
    entry = carried.segment(name, {}, nodes.key, _unmapped(line, view(line), hidden) if hidden else [])
    state.order.append(entry)
    state.waiting.append(({a: n for a, n in nodes.items() if "resourceType" in n and n["resourceType"] != "Bundle"}, entry))


def _spelled_fields(table: Segment, line: er7.Segment) -> list[tuple[Place, str]]:
    """The spelling of fields whose type no dictionary gives (French segments): kept beside their value."""
    fields = line.fields
    return [
        ((f, r, c, s), raw)
        for f in table.spelled
        if f < len(fields)
        for r, rep in enumerate(fields[f], 1)
        for c, subs in enumerate(rep, 1)
        for s, raw in enumerate(subs, 1)
        if raw
    ]


def _fits(state: Decoding, table: Segment) -> bool:
    """Whether the root of a table can be had here, and is not already taken by a segment of the same name."""
    spec = table.aliases[table.root]
    if spec.member or not spec.shared or table.root not in state.current:
        return True
    return (table.name, id(state.current[table.root])) not in state.used
