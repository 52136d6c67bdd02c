"""Data types as two-way tables: one repetition of a field ↔ one FHIR element.

    CX = composite(row("1", "value"), row("4.2 4.3", "system", UNIVERSAL), row("5", "type.coding[system=…].code"))

A row names one component ("5", "4.2") or several read together ("4.2 4.3"), the FHIR path, the codec. Rows are
read in order; where two rows write the same component, the first that has something to say wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.path import Path
from icops_fhir.mappers.straight import Lines
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import text


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
    free = all(part.when is None for part in parts)
    paths: dict[tuple[int, int], str] = {}
    for at, to, *_ in parts:
        for place in at:
            paths.setdefault(place, to.text)
    members = [{to.head} if to.head else by.members for _, to, by, _ in parts]
    known = frozenset[str]().union(*(m for m in members if m)) if None not in members and not fixed else None
    return Codec(_decoder(parts, fixed, needs), _encoder(parts), frozenset(paths) if free else None, paths, members=known)


def _decoder(parts: tuple[Part, ...], fixed: Node | None, needs: str) -> Callable[[Repetition, Context], Node | None]:
    """The rows as one function. `seen` has a bit for each leaf that encoding gives back; `whole` is False where it would
    write elsewhere than it read, so that only a second look tells."""
    lines = Lines([part.to for part in parts], "out")
    texts = [part.to.text for part in parts]
    bits = {place: 1 << n for n, place in enumerate(dict.fromkeys(place for part in parts for place in part.at))}
    lines.add(1, "out = {}")
    lines.add(1, "seen = 0")
    lines.add(1, "whole = True")
    lines.add(1, "size = len(rep)")
    for at, to, by, when in parts:
        reached = f"size > {min(c for c, _ in at)}" + "".join(f" and len(rep[{c}]) > {s}" for c, s in at[:1] if s and len({c for c, _ in at}) == 1)
        found = [f"rep[{c}][{s}]" for c, s in at]
        if len(at) == 1:
            lines.add(1, f"if {reached} and (x := {found[0]})" + (f" and {lines.const(when)}(rep, context)" if when else "") + ":")
        else:
            all_of = ", ".join(f"{one} if size > {c} and len(rep[{c}]) > {s} else ''" for one, (c, s) in zip(found, at, strict=True))
            lines.add(1, f"if {reached} and any(x := ({all_of}))" + (f" and {lines.const(when)}(rep, context)" if when else "") + ":")
        lines.add(2, f"v = {lines.const(by.decode)}(x, context)")
        lines.add(2, "if v is not None:")
        again = lines.write(to, 3)
        shared = len(at) > 1 or any(at[0] in other.at for other in parts if other.at != at or other.to is not to)
        if texts.count(to.text) > 1 or again == "False":
            lines.add(3, "whole = False")
            continue
        if by.exact is not True:
            back = f"{lines.const(by.exact)}(x, v, context)" if by.exact else f"{lines.const(by.encode)}(v, context) == x"
            again = f"{again} and {back}" if again else back
        mark = f"seen |= {sum(bits[place] for place in at)}"
        if not again:
            lines.add(3, mark)
        else:
            lines.add(3, f"if {again}:")
            lines.add(4, mark)
            if shared or to.last.position is not None:
                lines.add(3, "else:")
                lines.add(4, "whole = False")
    lines.add(1, f"if {repr(needs) + ' not in out' if needs else 'not out'}:")
    lines.add(2, "return None")
    if fixed:
        lines.add(1, f"merge(out, {lines.const(_copy)}({lines.const(fixed)}))")
    lines.add(1, f"context.left = {lines.const(_left(bits))}(rep, seen) if whole else None")
    lines.add(1, "return out")
    made: Callable[[Repetition, Context], Node | None] = lines.compiled("decode", "rep, context")
    return made


def _left(bits: dict[tuple[int, int], int]) -> Callable[[Repetition, int], Sequence[tuple[int, int]]]:
    """The leaves of a repetition whose bit is not among those seen."""
    firsts = [bits.get((c, 0), 0) for c in range(64)]

    def left(rep: Repetition, seen: int) -> Sequence[tuple[int, int]]:
        out: list[tuple[int, int]] = []
        for c, subs in enumerate(rep):
            if len(subs) == 1:
                if subs[0] and not (c < 64 and seen & firsts[c]):
                    out.append((c + 1, 1))
            else:
                out += [(c + 1, s + 1) for s, one in enumerate(subs) if one and not seen & bits.get((c, s), 0)]
        return out

    return left


def _encoder(parts: tuple[Part, ...]) -> Callable[[Any, Context], Repetition | None]:
    """The rows as one function, the other way."""
    lines = Lines([part.to for part in parts], "element")
    names = {"put": lines.const(put)}
    lines.add(1, "if not isinstance(element, dict):")
    lines.add(2, "return None")
    lines.add(1, "rep = []")
    for at, to, by, _ in parts:
        found = lines.value(to, 1)
        lines.add(1, f"if {found} and (w := {lines.const(by.encode)}(v, context)):")
        if len(at) == 1:
            c, s = at[0]
            lines.add(2, f"{names['put']}(rep, {c}, {s}, w)")
        else:
            for n, (c, s) in enumerate(at):
                lines.add(2, f"if w[{n}]:")
                lines.add(3, f"{names['put']}(rep, {c}, {s}, w[{n}])")
    lines.add(1, "return rep or None")
    made: Callable[[Any, Context], Repetition | None] = lines.compiled("encode", "element, context")
    return made


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_copy(one) for one in value]
    return value


def beyond(rep: Repetition, components: int = 1) -> list[tuple[int, int]]:
    """The leaves of a repetition but the first of each of its first components."""
    return [(c, s) for c, subs in enumerate(rep, 1) for s, one in enumerate(subs, 1) if one and (s > 1 or c > components)]


def only(by: Codec) -> Codec:
    """A field of one leaf: the first component of a repetition."""
    by_decode, by_encode, exact = by.decode, by.encode, by.exact

    def decode(rep: Repetition, context: Context) -> Any:
        found = rep[0][0] if rep and rep[0] else ""
        value = by_decode(found, context) if found else None
        if value is not None and exact and (exact is True or exact(found, value, context)):
            context.left = () if len(rep) == 1 and len(rep[0]) == 1 else beyond(rep)
        else:
            context.left = None
        return value

    def encode(value: Any, context: Context) -> Repetition | None:
        written = by_encode(value, context)
        return [[written]] if written else None

    return Codec(decode, encode, frozenset({(0, 0)}), members=by.members)
