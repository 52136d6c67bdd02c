"""Two-way mappings, written once.

A *codec* is a pair  decode: foreign -> FHIR,  encode: FHIR -> foreign. A *path* is one place in a FHIR
resource, readable and writable. A table of rows (foreign place, path, codec) is itself a codec.
Whatever the rows do not say, `carry` keeps: no row can lose data.

The one law every codec obeys (tests/laws): decode(encode(decode(x))) == decode(x).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

Node = dict[str, Any]


@dataclass(slots=True)
class Context:
    """What a codec may need beside its argument. One per translation.

    zone     default zone of times without one: an IANA name or an offset "+0100"
    event    "A01"; french: the message follows the French extension (MSH-17 or MSH-12)
    resolve  reference text -> resource, while encoding
    nested   (Reference element, the resource it shall point to), while decoding
    exact    set by a codec that has just decoded: encoding its value would give back all it was given
    sure     the (field, repetition) of the segment at hand that were read so: they need no second look
    """

    zone: str = "Europe/Paris"
    event: str = ""
    french: bool = False
    namespaces: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    resolve: dict[str, Node] = field(default_factory=dict)
    nested: list[tuple[Node, Node]] = field(default_factory=list)
    exact: bool = False
    sure: set[tuple[int, int]] = field(default_factory=set)

    def target(self, reference: Any) -> Node | None:
        """The resource a Reference element points to, inside this translation."""
        to = reference.get("reference") if isinstance(reference, dict) else None
        return to if isinstance(to, dict) else self.resolve.get(to) if isinstance(to, str) else None


class Codec(NamedTuple):
    """decode(foreign, context) -> FHIR value or None; encode(FHIR value, context) -> foreign or None.

    reads   the (component, subcomponent), from 0, that decode looks at; None when it may look at any
    paths   where each of them goes, for people to read
    exact   of a leaf codec: encode(decode(x)) == x wherever decode gives a value
    """

    decode: Callable[[Any, Context], Any]
    encode: Callable[[Any, Context], Any]
    reads: frozenset[tuple[int, int]] | None = None
    paths: Mapping[tuple[int, int], str] = MappingProxyType({})
    exact: bool = False


def plain(decode: Callable[[Any], Any], encode: Callable[[Any], Any]) -> Codec:
    """A codec that needs no context."""
    return Codec(lambda x, _: decode(x), lambda y, _: encode(y))


# ---------------------------------------------------------------- FHIR paths
#   a.b             member                       a[]      first item (middle of a path); every item (end of a path)
#   a[1].b          item by position             a[k=v,l.m=w].b   the item that has these values: chosen on read, created on write
#   a->Type.b       the resource a Reference points to, created on write

_LISTS = frozenset({"coding", "extension", "identifier", "name"})
_STEP = re.compile(r"([A-Za-z_]\w*)(?:\[([^\]]*)\])?(?:->(\w+))?(?:\.|$)")


class Step(NamedTuple):
    """One step of a path."""

    key: str
    position: int | None = None  # in a list
    wants: tuple[tuple[tuple[str, ...], Any], ...] = ()  # ((keys, value), ...)
    resource: str = ""  # "->Practitioner"
    listed: bool = False


def _parse(path: str) -> tuple[Step, ...]:
    steps, at = [], 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or found.end() == at:
            raise ValueError(f"not a path: {path!r} at {at}")
        key, inner, resource = found[1], found[2], found[3] or ""
        wants: list[tuple[tuple[str, ...], Any]] = []
        index = None
        if inner:
            if inner.isdigit():
                index = int(inner)
            else:
                for want in inner.split(","):
                    name, _, value = want.partition("=")
                    wants.append((tuple(name.split(".")), value))
        steps.append(Step(key, 0 if inner == "" else index, tuple(wants), resource, inner is not None))
        at = found.end()
    return tuple(steps)


def _has(node: Any, keys: tuple[str, ...], value: Any) -> bool:
    if isinstance(node, list):
        return any(_has(item, keys, value) for item in node)
    if not keys:
        return bool(node == value)
    return isinstance(node, dict) and keys[0] in node and _has(node[keys[0]], keys[1:], value)


def matches(item: Any, wants: tuple[tuple[tuple[str, ...], Any], ...]) -> bool:
    """Whether an item has every wanted value."""
    if len(wants) == 1 and len(wants[0][0]) == 1:
        return isinstance(item, dict) and item.get(wants[0][0][0]) == wants[0][1]
    return all(_has(item, keys, value) for keys, value in wants)


def made(wants: tuple[tuple[tuple[str, ...], Any], ...]) -> Node:
    """A new item that has every wanted value."""
    item: Node = {}
    for keys, value in wants:
        node = item
        for key in keys[:-1]:
            if key in _LISTS:
                node = node.setdefault(key, [{}])[0]
            else:
                node = node.setdefault(key, {})
        node[keys[-1]] = value
    return item


class Path:
    """One place in a FHIR resource or element, readable and writable."""

    __slots__ = ("head", "last", "plain", "steps", "text")

    def __init__(self, path: str) -> None:
        self.text = path
        self.steps = _parse(path)
        self.last = self.steps[-1] if self.steps else Step("")
        self.head = self.steps[0].key if self.steps else ""
        self.plain = len(self.steps) == 1 and not self.last.listed and not self.last.resource

    def read(self, node: Any, context: Context) -> Any:
        """The value here, None when there is none."""
        if self.plain:
            return node.get(self.head) if isinstance(node, dict) else None
        for key, index, wants, resource, listed in self.steps:
            if not isinstance(node, dict):
                return None
            node = node.get(key)
            if node is None:
                return None
            if listed:
                if not isinstance(node, list):
                    return None
                if index is not None:
                    node = node[index] if index < len(node) else None
                else:
                    node = next((item for item in node if matches(item, wants)), None)
            if resource:
                node = context.target(node)
                if node is None or node.get("resourceType") != resource:
                    return None
        return node

    def _parent(self, node: Node, context: Context) -> Node:
        for key, index, wants, resource, listed in self.steps[:-1]:
            if listed:
                items = node.setdefault(key, [])
                if index is not None:
                    while len(items) <= index:
                        items.append({})
                    node = items[index]
                else:
                    hit = next((item for item in items if matches(item, wants)), None)
                    if hit is None:
                        items.append(hit := made(wants))
                    node = hit
            else:
                node = node.setdefault(key, {})
            if resource:
                node = _nest(node, resource, context)
        return node

    def write(self, node: Node, value: Any, context: Context) -> None:
        """Put a value here, creating what leads to it."""
        if self.plain:
            node[self.head] = value
            return
        parent = self._parent(node, context)
        key, index, wants, resource, listed = self.last
        if resource:
            if listed:
                parent = parent.setdefault(key, [{}])[0]
                target = _nest(parent, resource, context)
            else:
                target = _nest(parent.setdefault(key, {}), resource, context)
            merge(target, value)
        elif not listed:
            parent[key] = value
        elif index is not None:
            items = parent.setdefault(key, [])
            if index >= len(items):
                items.append(value)
            elif isinstance(value, dict) and isinstance(items[index], dict):
                merge(items[index], value)
            else:
                items[index] = value
        else:
            items = parent.setdefault(key, [])
            hit = next((item for item in items if matches(item, wants)), None)
            if hit is None:
                items.append(hit := made(wants))
            merge(hit, value)

    def append(self, node: Node, item: Node, context: Context) -> None:
        """Add an item to the list this path ends in; the item itself, for others may hold it."""
        if self.last.wants:
            item.update(made(self.last.wants))
        self._parent(node, context).setdefault(self.last.key, []).append(item)

    def items(self, node: Any, context: Context) -> list[Node]:
        """Every item of the list this path ends in."""
        for key, index, wants, resource, listed in self.steps[:-1]:
            if not isinstance(node, dict) or (node := node.get(key)) is None:
                return []
            if listed:
                if index is not None:
                    node = node[index] if index < len(node) else None
                else:
                    node = next((item for item in node if matches(item, wants)), None)
            if resource:
                node = context.target(node)
        found = node.get(self.last.key) if isinstance(node, dict) else None
        if not isinstance(found, list):
            return []
        wants = self.last.wants
        return [item for item in found if isinstance(item, dict) and (not wants or matches(item, wants))]


def _nest(reference: Node, resource: str, context: Context) -> Node:
    target = context.target(reference)
    if target is None:
        target = {"resourceType": resource}
        reference["reference"] = target
        context.nested.append((reference, target))
    return target


def merge(into: Node, value: Node) -> None:
    """Deep merge of a partial element: members are added, lists extended, scalars set."""
    for key, new in value.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            merge(old, new)
        elif isinstance(old, list) and isinstance(new, list):
            old.extend(new)
        else:
            into[key] = new
