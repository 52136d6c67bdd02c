"""An edit seen between two versions of a resource, made in a third reading of it: what a feed says.

    before ── edit ── after          versions of the store, written by clients that may drop our ids and extensions
      ┊                 ┊
     onto ── edit ── result          the feed's own words, with its Element.ids and carried leaves

Items of lists are recognised by content, then by what they name (system and value), then by their kind (system, use,
type). What a client only left out in ids, extensions and `_members` is no edit. Pure; HL7 v2.5.1 §2.10.4 is why:
a snapshot (A31) must repeat what nobody changed, in the receiver's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from icops_fhir.fhir.json import Resource, canonical

HOUSE = frozenset({"resourceType", "id", "meta", "text", "implicitRules", "language", "contained", "link", "active", "generalPractitioner", "managingOrganization"})
"""Members no message field stands for, or that point to resources a message does not hold."""
_SILENT = ("id", "extension", "modifierExtension")
_LOOSE = ("use", "period", "rank", "type", "assigner", "text")
"""Members that may differ while two items still name the same thing."""
_KIND = ("system", "use", "type", "url", "relationship", "role", "language")

Key = Callable[[Any], bytes | None]


def transplant(before: Resource, after: Resource, onto: Resource) -> Resource:
    """`onto` with the edit that leads from `before` to `after`, and nothing else changed."""
    return _element(_without(before, HOUSE), _without(after, HOUSE), onto)


def content(value: Any) -> Any:
    """What a value says, without ids, extensions and `_members`."""
    if isinstance(value, dict):
        return {name: content(child) for name, child in value.items() if name not in _SILENT and not name.startswith("_")}
    return [content(child) for child in value] if isinstance(value, list) else value


def _element(before: dict[str, Any], after: dict[str, Any], onto: dict[str, Any]) -> dict[str, Any]:
    out = dict(onto)
    for name in dict.fromkeys((*before, *after)):
        old, new, mine = before.get(name), after.get(name), onto.get(name)
        if name == "id" or (new is None and (name in _SILENT or name.startswith("_"))):
            continue
        merged: Any
        if name in _SILENT or _items(old) or _items(new):
            merged = _list(old or [], new or [], mine or [], keep=name in _SILENT)
        elif isinstance(new, dict) and isinstance(mine, dict):
            merged = _element(old if isinstance(old, dict) else {}, new, mine)
        elif _same(content(old), content(new)):
            continue
        else:
            merged = _bare(new)
            out.pop(f"_{name}", None)
        if merged in (None, [], {}):
            out.pop(name, None)
        else:
            out[name] = merged
    return out


def _list(before: list[Any], after: list[Any], onto: list[Any], *, keep: bool) -> list[Any]:
    """Edited items edited in place, removed ones gone (`keep`: left out is not removed), new ones at the end."""
    pairs = _pairs(before, after, (_content, _named, _kind, _system))
    standing = _pairs(before, onto, (_content, _named))
    out: list[Any] = list(onto)
    free = [j for j in range(len(onto)) if j not in standing.values()]
    for i, old in enumerate(before):
        at = standing.get(i)
        if i not in pairs:
            if at is not None and not keep:
                out[at] = None
            continue
        new = after[pairs[i]]
        if at is None and not _same(content(old), content(new)):
            at = _first(free, onto, (_content, _named), new) if _first(free, onto, (_content, _named), new) is not None else _first(free, onto, (_kind,), old)
            if at is not None:
                free.remove(at)
        if at is not None:
            out[at] = _element(old, new, onto[at]) if isinstance(onto[at], dict) else _bare(new)
    for j, new in enumerate(after):
        if j not in pairs.values():
            at = _first(free, onto, (_content, _named), new)
            if at is None:
                out.append(_bare(new))
            else:
                free.remove(at)
    return [item for item in out if item is not None]


def _pairs(left: list[Any], right: list[Any], keys: tuple[Key, ...]) -> dict[int, int]:
    """Which item of `right` each of `left` is; the surest recognition first, each item once, in order."""
    out: dict[int, int] = {}
    for key in keys:
        taken = set(out.values())
        free: dict[bytes, list[int]] = {}
        for j, item in enumerate(right):
            if j not in taken and (said := key(item)) is not None:
                free.setdefault(said, []).append(j)
        for i, item in enumerate(left):
            if i not in out and (said := key(item)) is not None and free.get(said):
                out[i] = free[said].pop(0)
    return out


def _first(free: list[int], onto: list[Any], keys: tuple[Key, ...], item: Any) -> int | None:
    for key in keys:
        said = key(item)
        for j in free:
            if said is not None and key(onto[j]) == said:
                return j
    return None


def _content(item: Any) -> bytes | None:
    return canonical(content(item))


def _named(item: Any) -> bytes | None:
    """The thing an item names: a number in its system, else all it says but how it is used."""
    if not isinstance(item, dict):
        return None
    if "url" in item:
        return canonical(item["url"])
    if item.get("value"):
        return canonical([item.get("system"), item["value"]])
    said = content({name: child for name, child in item.items() if name not in _LOOSE})
    return canonical(said) if said else None


def _kind(item: Any) -> bytes | None:
    if not isinstance(item, dict):
        return None
    return canonical({name: content(item[name]) for name in _KIND if name in item})


def _system(item: Any) -> bytes | None:
    return canonical(item["system"]) if isinstance(item, dict) and "system" in item else None


def _items(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _bare(value: Any) -> Any:
    """A value new to the feed: without ids, which are the feed's own places."""
    if isinstance(value, dict):
        return {name: _bare(child) for name, child in value.items() if name != "id"}
    return [_bare(child) for child in value] if isinstance(value, list) else value


def _without(resource: Resource, names: frozenset[str]) -> Resource:
    return {name: value for name, value in resource.items() if name not in names}


def _same(a: Any, b: Any) -> bool:
    return canonical(a) == canonical(b)


def edited(before: Resource, after: Resource) -> Iterator[str]:
    """The members that the edit touches, for people who want to know why a message left."""
    marked = transplant(before, after, before)
    for name in dict.fromkeys((*before, *marked)):
        if name not in HOUSE and not _same(before.get(name), marked.get(name)):
            yield name
