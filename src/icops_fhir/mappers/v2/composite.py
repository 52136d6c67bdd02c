"""Data types as two-way tables: one repetition of a field ↔ one FHIR element.

    CX = composite(row("1", "value"), row("4.2 4.3", "system", UNIVERSAL), row("5", "type.coding[system=…].code"))

A row names one component ("5", "4.2") or several read together ("4.2 4.3"), the FHIR path, the codec. Rows are
read in order; where two rows write the same component, the first that has something to say wins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from icops_fhir.mappers.codec import Codec, Context, Node, Path, merge
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import text

Text = str


class Part(NamedTuple):
    """One row of a data type, compiled."""

    at: tuple[tuple[int, int], ...]  # (component, subcomponent), from 0
    to: Path
    by: Codec
    when: Callable[[Repetition, Context], bool] | None


def row(at: str | int, to: str, by: Codec = text, when: Callable[[Repetition, Context], bool] | None = None) -> Part:
    """`at` = "5", "4.2" or "4.2 4.3"; `to` = "" merges the codec's element into the whole."""
    places = []
    for one in str(at).split():
        component, _, sub = one.partition(".")
        places.append((int(component) - 1, int(sub or 1) - 1))
    return Part(tuple(places), Path(to), by, when)


def leaf(rep: Repetition, component: int, sub: int = 0) -> str:
    """The text at a place of a repetition, from 0."""
    return rep[component][sub] if component < len(rep) and sub < len(rep[component]) else ""


def put(rep: Repetition, component: int, sub: int, value: str) -> None:
    """Write a text at a place of a repetition, from 0, unless something stands there."""
    while len(rep) <= component:
        rep.append([""])
    subs = rep[component]
    while len(subs) <= sub:
        subs.append("")
    if not subs[sub]:
        subs[sub] = value


def composite(*parts: Part, fixed: Node | None = None, needs: str = "") -> Codec:
    """A component table as a codec between one repetition and one FHIR element.

    fixed   what every such element holds (a code that says its role)
    needs   a member without which the element means nothing: then it is left to carry
    """

    texts = [to.text for _, to, *_ in parts]
    # Exact: a leaf codec that gives its text back, alone at its place and on its path.
    exact = [
        by.exact and len(at) == 1 and texts.count(to.text) == 1 and sum(at[0] in p.at for p in parts) == 1 and not any(s.position for s in to.steps)
        for at, to, by, _ in parts
    ]
    steps = [(at, at[0][0], at[0][1], to, to.head, by.decode, by.encode, when, sure) for (at, to, by, when), sure in zip(parts, exact, strict=True)]
    shorter: dict[int, list[Any]] = {}

    def within(size: int) -> list[Any]:
        """The rows that a repetition of so many components can reach."""
        found = shorter.get(size)
        if found is None:
            found = shorter[size] = [s for s in steps if len(s[0]) > 1 or s[1] < size]
        return found

    def decode(rep: Repetition, context: Context) -> Node | None:
        out: Node = {}
        sure = 0
        context.exact = False
        for at, c, s, to, head, by_decode, _, when, exactly in within(len(rep)):
            if len(at) == 1:
                found: Any = rep[c][s] if s < len(rep[c]) else ""
            else:
                found = tuple([leaf(rep, x, y) for x, y in at])
                if not any(found):
                    continue
            if not found or (when is not None and not when(rep, context)):
                continue
            value = by_decode(found, context)
            if value is None:
                continue
            sure += exactly
            if head:
                to.write(out, value, context)
            else:
                merge(out, value)
        if not out or (needs and needs not in out):
            return None
        if fixed:
            merge(out, _copy(fixed))
        if sure:
            context.exact = sure == sum([sum([1 for one in subs if one]) for subs in rep])
        return out

    def encode(element: Node, context: Context) -> Repetition | None:
        rep: Repetition = []
        for at, c, s, to, head, _, by_encode, *_ in steps:
            if head:
                if head not in element:
                    continue
                value = to.read(element, context)
                if value is None:
                    continue
            else:
                value = element
            written = by_encode(value, context)
            if not written:
                continue
            if len(at) == 1:
                put(rep, c, s, written)
            else:
                for (x, y), one in zip(at, written, strict=True):
                    if one:
                        put(rep, x, y, one)
        return rep or None

    free = all(when is None for *_, when in parts)
    paths: dict[tuple[int, int], str] = {}
    for at, to, *_ in parts:
        for place in at:
            paths.setdefault(place, to.text)
    return Codec(decode, encode, frozenset(paths) if free else None, paths)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_copy(one) for one in value]
    return value


def only(by: Codec) -> Codec:
    """A field of one leaf: the first component of a repetition."""

    def decode(rep: Repetition, context: Context) -> Any:
        found = rep[0][0] if rep and rep[0] else ""
        value = by.decode(found, context) if found else None
        context.exact = by.exact and len(rep) == 1 and len(rep[0]) == 1
        return value

    def encode(value: Any, context: Context) -> Repetition | None:
        written = by.encode(value, context)
        return [[written]] if written else None

    return Codec(decode, encode, frozenset({(0, 0)}))
