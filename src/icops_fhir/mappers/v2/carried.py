"""How carried leaves and the order of segments stand in FHIR: three extensions of ours.

v2-carried    on the element or resource that owns the leaf: `at` (PID-27.1.1), `text`; or `data` (base64) for text that
              FHIR cannot hold; neither when nothing stood there; `raw` when the text does not give its spelling back
v2-segment    on the MessageHeader, one per segment in order: its name, the resources it became, the leaves of a
              segment or repetition that became none
v2-encoding   on the MessageHeader: charset, delimiters, terminator, zone, where they are not the usual ones
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from icops_fhir.mappers.codec import Node
from icops_fhir.mappers.v2.codes import BASE
from icops_fhir.mappers.v2.er7 import NULL, Leaves, Place, place
from icops_fhir.mappers.v2.primitives import holdable

CARRIED = f"{BASE}/StructureDefinition/v2-carried"
SEGMENT = f"{BASE}/StructureDefinition/v2-segment"
ENCODING = f"{BASE}/StructureDefinition/v2-encoding"


def path(name: str, at: Place) -> str:
    """("PID", (5, 2, 1, 1)) -> "PID-5[2].1.1"."""
    f, r, c, s = at
    return f"{name}-{f}[{r}].{c}.{s}" if r > 1 else f"{name}-{f}.{c}.{s}"


def _text(value: str) -> Node:
    if holdable(value) or value == NULL:
        return {"url": "text", "valueString": value}
    data = base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()
    return {"url": "data", "valueBase64Binary": data}


def leaf(name: str, at: Place, value: str | None, raw: str | None, url: str = CARRIED) -> Node:
    """One carried leaf. value None: only the spelling is carried; "": nothing stood there."""
    parts: list[Node] = [{"url": "at", "valueString": path(name, at)}]
    if value:
        parts.append({"url": "text", "valueString": value} if value.isalnum() else _text(value))
    elif value is None:
        parts.append({"url": "kept", "valueBoolean": False})
    if raw is not None:
        parts.append({"url": "raw", "valueString": raw} if holdable(raw) else {"url": "rawData", "valueBase64Binary": base64.b64encode(raw.encode("utf-8", "surrogatepass")).decode()})
    return {"url": url, "extension": parts}


def _values(extension: Node) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for part in extension.get("extension", ()):
        out[part.get("url", "")] = next((v for k, v in part.items() if k.startswith("value")), None)
    return out


def _bytes(value: Any) -> str:
    try:
        return base64.b64decode(value).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError, TypeError):
        return ""


def read(extensions: Iterable[Node], url: str = CARRIED) -> dict[str, tuple[Leaves, dict[Place, str]]]:
    """Carried leaves and spellings, by segment name."""
    out: dict[str, tuple[Leaves, dict[Place, str]]] = {}
    for extension in extensions:
        if not isinstance(extension, dict) or extension.get("url") != url:
            continue
        said = _values(extension)
        try:
            name, at = place(str(said.get("at", "")))
        except ValueError:
            continue
        leaves, spellings = out.setdefault(name, ({}, {}))
        if said.get("kept") is not False:
            leaves[at] = said["text"] if isinstance(said.get("text"), str) else _bytes(said["data"]) if "data" in said else ""
        if "raw" in said or "rawData" in said:
            spellings[at] = said["raw"] if isinstance(said.get("raw"), str) else _bytes(said.get("rawData"))
    return out


def segment(name: str, references: dict[str, Node], item: str, leaves: Iterable[Node]) -> Node:
    """One segment in the order of the message."""
    parts: list[Node] = [{"url": "name", "valueString": name}] if name else []
    parts += [{"url": alias, "valueReference": reference} for alias, reference in references.items()]
    if item:
        parts.append({"url": "item", "valueString": item})
    parts += leaves
    return {"url": SEGMENT, "extension": parts}
