"""Bundles: made by joining the bytes of what they hold; references rewritten when entries get their real ids.

https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from icops_fhir.fhir.elements import Element, element
from icops_fhir.fhir.json import dumps

Resource = dict[str, Any]

# The element types whose text is rewritten with a reference; canonical and string are not.
_REWRITTEN = frozenset({"uri", "url", "oid", "uuid"})
_LINKS = re.compile(r"""(\b(?:href|src)\s*=\s*)("[^"]*"|'[^']*')""")


def entry(body: bytes | None, full_url: str = "", **members: Any) -> bytes:
    """One entry around a resource's stored bytes; members: `search={"mode": "match"}`, `request`, `response`."""
    parts = [b'"fullUrl":' + dumps(full_url)] if full_url else []
    if body:
        parts.append(b'"resource":' + body)
    parts += [dumps(name) + b":" + dumps(value) for name, value in members.items()]
    return b"{" + b",".join(parts) + b"}"


def bundle(type: str, entries: Iterable[bytes], *, total: int | None = None, links: Sequence[tuple[str, str]] = (), **members: Any) -> bytes:
    """A Bundle of entries made by `entry`; links: (relation, url); members: `id`, `timestamp`, `meta`, …"""
    head: dict[str, Any] = {"resourceType": "Bundle", **members, "type": type}
    if total is not None:
        head["total"] = total
    if links:
        head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    joined = b",".join(entries)
    return dumps(head)[:-1] + (b',"entry":[' + joined + b"]}" if joined else b"}")


def searchset(
    matches: Iterable[tuple[str, bytes]], *, total: int | None = None, links: Sequence[tuple[str, str]] = (), outcome: Resource | None = None
) -> bytes:
    """A searchset of (fullUrl, body) pairs, with an outcome entry when the search has something to say."""
    entries = [entry(body, full_url, search={"mode": "match"}) for full_url, body in matches]
    if outcome is not None:
        entries.append(entry(dumps(outcome), search={"mode": "outcome"}))
    return bundle("searchset", entries, total=total, links=links)


def rewrite(resource: Resource, mapping: Mapping[str, str]) -> Resource:
    """The resource with every reference (and uri, url, oid, uuid, narrative link) that the mapping names replaced.

    A fragment after a reference stays. What nothing touches is the same object; the resource given is never changed.
    """
    return _node(resource, str(resource.get("resourceType", "")), mapping) if mapping else resource


def _node(node: Any, type: str, mapping: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        items = [_node(item, type, mapping) for item in node]
        return items if any(new is not old for new, old in zip(items, node, strict=True)) else node
    if isinstance(node, str):
        return _text(node, mapping) if type in _REWRITTEN else _narrative(node, mapping) if type == "xhtml" else node
    if not isinstance(node, dict):
        return node
    inner = str(node["resourceType"]) if "resourceType" in node else type
    out: dict[str, Any] | None = None
    for name, value in node.items():
        if name == "reference" and isinstance(value, str):
            new = _text(value, mapping)
        else:
            new = _node(value, _type(inner, name), mapping)
        if new is not value:
            out = out if out is not None else dict(node)
            out[name] = new
    return node if out is None else out


@lru_cache(maxsize=32768)
def _type(type: str, name: str) -> str:
    """The type of what stands under a JSON name, "" when the definitions do not know it."""
    found: Element | None = element(type, name) if type else None
    if found is None and type:  # valueUri is a key of the choice `value`
        found = next((e for cut in range(1, len(name)) if name[cut].isupper() and (e := element(type, name[:cut])) is not None), None)
    if found is not None:
        return next((key.type for key in found.keys if key.name == name), "")
    for known in ("Uri", "Url", "Oid", "Uuid", "Reference", "Extension"):
        if name.endswith(known):
            return known if known in ("Reference", "Extension") else known.lower()
    return "Extension" if name in ("extension", "modifierExtension") else ""


def _text(text: str, mapping: Mapping[str, str]) -> str:
    found = mapping.get(text)
    if found is None and "#" in text:
        plain, _, fragment = text.partition("#")
        target = mapping.get(plain)
        found = None if target is None else f"{target}#{fragment}"
    return text if found is None else found


def _narrative(text: str, mapping: Mapping[str, str]) -> str:
    if not any(name in text for name in mapping):
        return text
    return _LINKS.sub(lambda found: found[1] + found[2][0] + _text(found[2][1:-1], mapping) + found[2][0], text)
