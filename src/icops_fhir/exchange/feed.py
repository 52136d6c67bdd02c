"""What a feed last said of a resource, and how what it says now is merged into what everyone wrote.

HL7 v2.5.1 §2.10.4 (empty changes nothing, `""` deletes); three-way merge: last sent by this feed, now sent, current.

    a *unit* is the smallest thing a field says: `gender`, `telecom@PID-13`, `extension@<url>`, `deceased[x]`
    sent = {unit: [stamp, value]}    the newest stamp of each unit wins, so the order of arrival does not matter
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import is_
from typing import Any

from icops_fhir.fhir.json import Resource, canonical

Units = dict[str, Any]  # a list of items, or {member: value}; None where the feed explicitly deleted
Sent = dict[str, list[Any]]  # unit -> [stamp, value]

CHOICES = ("deceased", "multipleBirth", "effective", "value", "onset", "performed", "abatement", "occurred", "medication")
HOUSE = ("resourceType", "id", "text", "implicitRules", "contained")
_ORIGIN = re.compile(r"([A-Z][A-Z0-9]{2}[-.]\d+)\b")
_CHOICE = re.compile(rf"_?({'|'.join(CHOICES)})(?=[A-Z])")


def _origin(item: Mapping[str, Any]) -> str:
    found = _ORIGIN.match(str(item.get("id", "")))
    return f"@{found[1]}" if found and "-" in found[1] else ""


def bare(value: Any) -> Any:
    """The value without the Element ids that say which field it came from: a merged resource has several sources.

    What has none is given back itself, not a copy.
    """
    if isinstance(value, dict):
        out = value
        for name, child in value.items():
            if isinstance(child, (dict, list)):
                kept = bare(child)
                if kept is child:
                    continue
                out = dict(value) if out is value else out
                out[name] = kept
            elif name == "id" and isinstance(child, str) and _ORIGIN.match(child):
                out = dict(value) if out is value else out
                del out[name]
        return out
    if isinstance(value, list):
        found = [bare(child) for child in value]
        return value if all(map(is_, found, value)) else found
    return value


def units(resource: Resource) -> Units:
    """The resource as units."""
    out: Units = {}
    for name, value in resource.items():
        if name in HOUSE:
            continue
        if name == "meta":
            if security := value.get("security"):
                out["meta.security"] = bare(security)
        elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
            for item in value:
                place = f"@{item.get('url')}" if name == "extension" else _origin(item)
                out.setdefault(f"{name}{place}", []).append(bare(item))
        else:
            found = _CHOICE.match(name)
            out.setdefault(f"{found[1]}[x]" if found else name.removeprefix("_"), {})[name] = bare(value)
    return out


def advance(sent: Sent, now: Units, stamp: str) -> Sent:
    """What the feed has said so far, this message included: an older message fills, and never overwrites."""
    newer = {unit: [stamp, value] for unit, value in now.items() if unit not in sent or sent[unit][0] <= stamp}
    return {**sent, **newer}


def said(sent: Sent) -> Units:
    """The values, without their stamps."""
    return {unit: value for unit, (_, value) in sent.items()}


def merge(current: Resource, before: Units, after: Units) -> Resource:
    """The current resource with what the feed changed between `before` and `after`; everything else is untouched."""
    out = dict(current)  # members are replaced, never changed in place
    for unit in dict.fromkeys((*before, *after)):
        was, now = before.get(unit), after.get(unit, nothing(before.get(unit)))
        if unit in before and same(was, now):
            continue
        name = unit.partition("@")[0]
        if unit == "meta.security":
            _labels(out, was or [], now or [])
        elif now is None:
            _erase(out, unit)
        elif isinstance(now, list):
            items = merge_list(was if isinstance(was, list) else [], now, out.get(name, []))
            _set(out, name, items)
        else:
            _scalar(out, was if isinstance(was, dict) else {}, now, known=unit in before)
    return out


def merge_list(was: list[Any], now: list[Any], current: list[Any]) -> list[Any]:
    """Items the feed repeats stay as they stand, items it changed win, items it dropped go unless someone edited them."""
    if not (was or current) or same(was, current):
        return list(now)
    standing = _pair(was, current)  # index in was -> index in current
    repeated = _pair(was, now)
    changed = {new: old for old, new in repeated.items()}
    out: list[Any] = list(current)
    for old, at in standing.items():
        if old not in repeated and same(was[old], current[at]):
            out[at] = None
    taken = set(standing.values())
    added = []
    for new, item in enumerate(now):
        old_at = changed.get(new)
        if old_at is not None and same(was[old_at], item):
            continue
        if old_at is not None and old_at in standing:
            at = standing[old_at]
            out[at] = edited(was[old_at], item, current[at])
            continue
        twin = next((i for i, other in enumerate(current) if i not in taken and same(bare(other), item)), None)
        if twin is None:
            added.append(item)
        else:
            taken.add(twin)
    return [item for item in out if item is not None] + added


def edited(was: Any, now: Any, current: Any) -> Any:
    """The feed's change applied to what stands: members the feed did not change keep what was written here."""
    if not (isinstance(was, dict) and isinstance(now, dict) and isinstance(current, dict)):
        return now
    out = dict(current)
    for name in {**was, **now}:
        if not same(was.get(name), now.get(name)):
            _set(out, name, now.get(name))
    return out


def _pair(left: list[Any], right: list[Any]) -> dict[int, int]:
    """Items that are the same, then items of the same kind, in order: each once."""
    out: dict[int, int] = {}
    for key in (_content, kind):
        free: dict[bytes, list[int]] = {}
        for j in range(len(right) - 1, -1, -1):
            if j not in out.values():
                free.setdefault(key(right[j]), []).append(j)
        for i, item in enumerate(left):
            if i not in out and (found := free.get(key(item))):
                out[i] = found.pop()
    return out


def _content(item: Any) -> bytes:
    return canonical(bare(item))


def kind(item: Any) -> bytes:
    """What makes two items of a list two readings of one thing: the same system, use, type, role or url."""
    if not isinstance(item, dict):
        return b""
    names = ("system", "use", "type", "url", "relationship", "role", "code", "member")
    return canonical({name: _codes(item[name]) for name in names if name in item})


def _codes(value: Any) -> Any:
    if isinstance(value, dict) and "coding" in value:
        return [[c.get("system", ""), c.get("code", "")] for c in value["coding"]]
    return [_codes(child) for child in value] if isinstance(value, list) else value


def nothing(was: Any) -> Any:
    """The feed no longer says it (a fold lost the movement that did): its own value goes, an edited one stays."""
    return [] if isinstance(was, list) else {}


def _scalar(out: Resource, was: Mapping[str, Any], now: Mapping[str, Any], *, known: bool) -> None:
    present = {name: out[name] for name in {**was, **now} if name in out}
    if not now and not same(present, was):
        return  # withdrawn by the feed, but edited here since
    if not known and any(_rivals(out, name) for name in now):
        return  # first time said, and someone else already did
    for name in {**was, **now}:
        for rival in [name, *_rivals(out, name)]:
            if rival not in now:
                out.pop(rival, None)
    out.update(now)


def _rivals(out: Resource, name: str) -> list[str]:
    """The members that say the same thing: the member itself, or the other types of a choice."""
    found = _CHOICE.match(name)
    if not found:
        return [name] if name in out else []
    return [other for other in out if (m := _CHOICE.match(other)) and m[1] == found[1]]


def _labels(out: Resource, was: list[Any], now: list[Any]) -> None:
    meta = dict(out.get("meta", {}))
    _set(meta, "security", merge_list(was, now, meta.get("security", [])))
    _set(out, "meta", meta)


def _erase(out: Resource, unit: str) -> None:
    """`""`: the field is emptied, whoever wrote it; work numbers (PID-14) and the others (PID-13) are told apart."""
    name, _, origin = unit.partition("@")
    if name == "telecom" and origin in ("PID-13", "PID-14"):
        work = origin == "PID-14"
        _set(out, name, [item for item in out.get(name, []) if (item.get("use") == "work") != work])
    elif name == "extension":
        _set(out, name, [item for item in out.get(name, []) if item.get("url") != origin])
    else:
        for member in [name.removesuffix("[x]"), *_rivals(out, name.removesuffix("[x]") + "X")]:
            out.pop(member, None)


def _set(out: dict[str, Any], name: str, value: Any) -> None:
    if value in (None, [], {}):
        out.pop(name, None)
    else:
        out[name] = value


def same(a: Any, b: Any) -> bool:
    return a is b or canonical(a) == canonical(b)
