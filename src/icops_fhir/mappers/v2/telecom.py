"""XTN, extended telecommunication number ↔ ContactPoint.  HL7 v2.5.1 §2.A.89; IHE France data types N.11.

The parts of a number are kept too; they go out again as long as they say the number, or never did.
The number stands in XTN-1 (old form), XTN-12 (French and recent form), XTN-4 (an address) or only in its parts
(XTN-5 to 9). Where it stood is kept in an extension of ours, so that an edit goes back to the same component.
"""

from __future__ import annotations

import re
from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import BASE, TELECOM_SYSTEM, TELECOM_USE, coded, original, v2
from icops_fhir.mappers.v2.composite import composite, leaf, put, row
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import holdable, text

FORM = f"{BASE}/StructureDefinition/v2-telecom-form"
DIFFER = f"{BASE}/StructureDefinition/v2-telecom-parts-differ"
_EXT = "http://hl7.org/fhir/StructureDefinition/"
_PARTS = ((4, "contactpoint-country"), (5, "contactpoint-area"), (6, "contactpoint-local"), (7, "contactpoint-extension"))

_DIGIT = re.compile(r"\d")
_OTHER = re.compile(r"\D")
_PLACES = {"12": 11, "4": 3, "1": 0, "parts": -1}  # where the number stands, from 0

_USE = coded("use", TELECOM_USE, v2("0201"))
_SYSTEM = coded("system", TELECOM_SYSTEM, v2("0202"))
_MORE = composite(row(9, f"extension[url={_EXT}contactpoint-comment].valueString"))


def _digits(value: str) -> str:
    return _OTHER.sub("", value)


def _parts(rep: Repetition) -> list[str]:
    if len(rep) < 5:
        return ["", "", "", ""]
    return [leaf(rep, at) for at, _ in _PARTS]


def _composed(parts: list[str]) -> str:
    """The number that its parts say."""
    country, area, local, _ = parts
    start = f"+{country} " if country.isdigit() else f"{country} " if country else ""
    return f"{start}{f'({area}) ' if area else ''}{local}".strip()


def _agrees(value: str, parts: list[str]) -> bool:
    """Whether the parts say the same number as the value: an edited value leaves its old parts behind."""
    number = _digits(value)
    said = "".join(_digits(part) for part in parts[1:3])
    return bool(said) and said in number


def _form(rep: Repetition) -> tuple[str, str]:
    """Where the number stands, and the number."""
    for form, at in (("12", 11), ("4", 3), ("1", 0)):
        if at < len(rep) and rep[at][0]:
            return form, rep[at][0]
    parts = _parts(rep)
    composed = _composed(parts) if parts[2] and all(holdable(part) for part in parts if part) else ""
    return ("parts", composed) if composed else ("", "")


def _implied(form: str, value: str) -> str:
    """The system of a number that came without one."""
    return "email" if form == "4" else "phone" if _DIGIT.search(value) else "other"


def _equipment(element: Node, implied: str, context: Context) -> str:
    """XTN-3: the original code while it means the system; nothing for a number that came without one."""
    now, was = element.get("system"), original(element.get("_system"), v2("0202"))
    if was is not None and TELECOM_SYSTEM.get(was, implied) == now:
        return was
    if was is None and "id" in element and now == implied:
        return ""
    return _SYSTEM.encode({"system": now}, context) or ""


def _usual(element: Node, context: Context) -> str:
    """Where a new number goes."""
    if element.get("system") == "email":
        return "4"
    return "12" if context.french else "1"


def _decode(rep: Repetition, context: Context) -> Node | None:
    form, value = _form(rep)
    if not form or text.decode(value, context) is None:
        return None
    out: Node = {}
    size = len(rep)
    if size > 2 and rep[2][0] and (found := _SYSTEM.decode(rep[2][0], context)):
        out.update(found)
    if "system" not in out:
        out["system"] = _implied(form, value)
    out["value"] = value
    if size > 1 and rep[1][0] and (found := _USE.decode(rep[1][0], context)):
        out.update(found)
    extensions: list[Node] = []
    parts = [part if part and holdable(part) else "" for part in _parts(rep)]  # the others are carried
    said = any(parts)
    if said:
        extensions += [{"url": _EXT + url, "valueString": part} for (_, url), part in zip(_PARTS, parts, strict=True) if part]
    if extensions and form != "parts" and not _agrees(value, parts):
        extensions.append({"url": DIFFER, "valueBoolean": True})
    comment = _MORE.decode(rep, context) if size > 8 and rep[8][0] else None
    if comment:
        extensions += comment["extension"]
    if form != _usual(out, context):
        extensions.append({"url": FORM, "valueCode": form})
    if extensions:
        out["extension"] = extensions
    context.left = _left(rep, out, form, parts, bool(comment))
    return out


def _left(rep: Repetition, out: Node, form: str, parts: list[str], comment: bool) -> list[tuple[int, int]]:
    """The leaves that writing the ContactPoint would not give back."""
    kept = (_PLACES[form], *(at for (at, _), part in zip(_PARTS, parts, strict=True) if part), 1 if "_use" in out else -1, 2 if "_system" in out else -1, 8 if comment else -1)
    return [(c + 1, s + 1) for c, subs in enumerate(rep) for s, one in enumerate(subs) if one and (s or c not in kept)]


def _said(element: Node, url: str, member: str = "valueString") -> str:
    found = next((e.get(member) for e in element.get("extension", ()) if e.get("url") == url), "")
    return found if isinstance(found, str) else ""


def _encode(element: Node, context: Context) -> Repetition | None:
    value: Any = element.get("value")
    if not isinstance(value, str) or not value:
        return None
    rep: Repetition = []
    form = _said(element, FORM, "valueCode") or _usual(element, context)
    if (form == "4") != (element.get("system") == "email") and not element.get("_system"):
        form = "4" if element.get("system") == "email" else form if form != "4" else _usual(element, context)
    parts = [_said(element, _EXT + url) for _, url in _PARTS]
    if form == "parts" and _composed(parts) != value:
        form, parts = ("12" if context.french else "1"), ["", "", "", ""]
    differ = any(e.get("url") == DIFFER for e in element.get("extension", ()))
    if form == "parts" or differ or _agrees(value, parts):
        for (at, _), part in zip(_PARTS, parts, strict=True):
            if part:
                put(rep, at, 0, part)
    if form != "parts":
        put(rep, _PLACES.get(form, 0), 0, value)
    if use := _USE.encode(element, context):
        put(rep, 1, 0, use)
    if said := _equipment(element, _implied(form, value), context):
        put(rep, 2, 0, said)
    for c, subs in enumerate(_MORE.encode(element, context) or []):
        if subs[0]:
            put(rep, c, 0, subs[0])
    return rep


XTN = Codec(_decode, _encode)
