"""Places in FHIR resources, readable and writable.

    a.b             member                       a[]      first item (middle of a path); every item (end of a path)
    a[1].b          item by position             a[k=v,l.m=w].b   the item that has these values: chosen on read, created on write
    a->Type.b       the resource a Reference points to, created on write

Reading, and writing where nothing stands yet, are made into straight-line code at first use (`straight`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from icops_fhir.mappers.codec import Context, Node

Wants = tuple[tuple[tuple[str, ...], Any], ...]  # ((keys, value), ...)

_LISTS = frozenset({"coding", "extension", "identifier", "name"})
_STEP = re.compile(r"([A-Za-z_]\w*)(?:\[([^\]]*)\])?(?:->(\w+))?(?:\.|$)")


class Step(NamedTuple):
    """One step of a path."""

    key: str
    position: int | None = None  # in a list
    wants: Wants = ()
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


def matches(item: Any, wants: Wants) -> bool:
    """Whether an item has every wanted value."""
    if len(wants) == 1 and len(wants[0][0]) == 1:
        return isinstance(item, dict) and item.get(wants[0][0][0]) == wants[0][1]
    return all(_has(item, keys, value) for keys, value in wants)


def made(wants: Wants) -> Node:
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


def nest(reference: Node, resource: str, context: Context) -> Node:
    """The resource a Reference element points to, made when there is none."""
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


class Path:
    """One place in a FHIR resource or element, readable and writable."""

    __slots__ = ("_begin", "head", "last", "plain", "read", "steps", "text")
    read: Callable[[Any, Context], Any]  # the value here, None when there is none
    _begin: Callable[[Node, Any, Context], None]  # write where not even the first step stands

    def __init__(self, path: str) -> None:
        self.text = path
        self.steps = _parse(path)
        self.last = self.steps[-1] if self.steps else Step("")
        self.head = self.steps[0].key if self.steps else ""
        self.plain = len(self.steps) == 1 and not self.last.listed and not self.last.resource
        self.read = self._read_first
        self._begin = self._begin_first

    def _read_first(self, node: Any, context: Context) -> Any:
        from icops_fhir.mappers.straight import reader

        self.read = reader(self)
        return self.read(node, context)

    def _begin_first(self, node: Node, value: Any, context: Context) -> None:
        from icops_fhir.mappers.straight import writer

        self._begin = writer(self)
        self._begin(node, value, context)

    def write(self, node: Node, value: Any, context: Context) -> bool:
        """Put a value here, creating what leads to it; whether what is read here is now this value alone."""
        if self.plain:
            node[self.head] = value
            return True
        if self.head not in node and self.steps:
            self._begin(node, value, context)
            return not self.last.position
        return self._add(node, value, context)

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
                node = nest(node, resource, context)
        return node

    def _add(self, node: Node, value: Any, context: Context) -> bool:
        """Put a value where something may stand already."""
        if not self.steps:
            merge(node, value)
            return False
        parent = self._parent(node, context)
        key, index, wants, resource, listed = self.last
        if resource:
            reference = parent.setdefault(key, [{}])[0] if listed else parent.setdefault(key, {})
            merge(nest(reference, resource, context), value)
            return False
        if not listed:
            parent[key] = value
            return True
        items = parent.setdefault(key, [])
        if index is not None:
            if index >= len(items):
                items.append(value)
                return len(items) == index + 1
            if isinstance(value, dict) and isinstance(items[index], dict):
                merge(items[index], value)
                return False
            items[index] = value
            return True
        hit = next((item for item in items if matches(item, wants)), None)
        new = hit is None
        if hit is None:
            items.append(hit := made(wants))
        merge(hit, value)
        return new

    def append(self, node: Node, item: Node, context: Context) -> None:
        """Add an item to the list this path ends in; the item itself, for others may hold it."""
        if self.last.wants:
            item.update(made(self.last.wants))
        parent = node if len(self.steps) == 1 else self._parent(node, context)
        parent.setdefault(self.last.key, []).append(item)

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
