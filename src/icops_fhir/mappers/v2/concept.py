"""Coded elements (CWE, CE, CNE, IS, ID) ↔ CodeableConcept or Coding.  HL7 v2.5.1 §2.A.13, §2.A.9.

A field that HL7 gives a table has that table as the coding system when the message names none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import system, system_name, v2
from icops_fhir.mappers.v2.composite import leaf, put
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import code, text

# component of: code, display, system name, version
_TRIPLETS = ((0, 1, 2, 6), (3, 4, 5, 7))


def _coding(rep: Repetition, at: tuple[int, int, int, int], default: str, context: Context) -> Node | None:
    out: Node = {}
    size = len(rep)
    of_code, of_display, of_system, of_version = at
    raw = rep[of_code][0] if of_code < size else ""
    if value := code.decode(raw, context) if raw else None:
        name = rep[of_system][0] if of_system < size else ""
        uri = (system(name) if name else None) or default
        if uri:
            out["system"] = uri
        if of_version < size and (version := text.decode(rep[of_version][0], context)):
            out["version"] = version
        out["code"] = value
    if of_display < size and (display := text.decode(rep[of_display][0], context)):
        out["display"] = display
    return out or None


def _put(rep: Repetition, coding: Any, at: tuple[int, int, int, int], default: str) -> None:
    if not isinstance(coding, dict):
        return
    values = (coding.get("code"), coding.get("display"), "", coding.get("version"))
    for place, value in zip(at, values, strict=True):
        if isinstance(value, str) and value:
            put(rep, place, 0, value)
    uri = coding.get("system")
    if coding.get("code") and uri and uri != default:
        put(rep, at[2], 0, system_name(uri))


def _left(rep: Repetition, out: Node, default: str) -> Sequence[tuple[int, int]] | None:
    """The leaves that writing a concept would not give back; None where it would write a system that was not said."""
    kept = []
    for at, coding, usual in zip(_TRIPLETS, out.get("coding", ()), (default, ""), strict=False):
        code, display, named, version = at
        if "code" in coding:
            kept.append(code)
            uri, said = coding.get("system"), leaf(rep, named)
            if uri and uri != usual:
                if not said:
                    return None
                if system_name(uri) == said:
                    kept.append(named)
            if "version" in coding:
                kept.append(version)
        if "display" in coding:
            kept.append(display)
    if "text" in out:
        kept.append(8)
    return [(c + 1, s + 1) for c, subs in enumerate(rep) for s, one in enumerate(subs) if one and (s or c not in kept)]


@lru_cache(maxsize=256)
def concept(default: str = "") -> Codec:
    """CWE ↔ CodeableConcept. `default` = the URI of the coding system when the message names none, or a table number."""
    uri = v2(default) if len(default) == 4 and default.isalnum() else default

    def decode(rep: Repetition, context: Context) -> Node | None:
        first = _coding(rep, _TRIPLETS[0], uri, context)
        other = _coding(rep, _TRIPLETS[1], "", context) if first and len(rep) > 3 else None  # an alternate to nothing is carried
        codings = [one for one in (first, other) if one]
        out: Node = {"coding": codings} if codings else {}
        if len(rep) > 8 and (original := text.decode(rep[8][0], context)):
            out["text"] = original
        context.left = _left(rep, out, uri) if out else None
        return out or None

    def encode(value: Any, _: Context) -> Repetition | None:
        if not isinstance(value, dict):
            return None
        rep: Repetition = []
        codings = value["coding"] if isinstance(value.get("coding"), list) else []
        for at, coding in zip(_TRIPLETS, codings, strict=False):
            _put(rep, coding, at, uri if at[0] == 0 else "")
        if isinstance(value.get("text"), str):
            put(rep, 8, 0, value["text"])
        return rep or None

    paths = {(at[i], 0): f"coding[{n}].{word}" for n, at in enumerate(_TRIPLETS) for i, word in enumerate(("code", "display", "system", "version"))}
    return Codec(decode, encode, frozenset((c, 0) for c in range(9)), {**paths, (8, 0): "text"})


@lru_cache(maxsize=256)
def one_coding(default: str) -> Codec:
    """A code and its label ↔ one Coding of a given system, inside a CodeableConcept that holds several."""
    uri = v2(default) if len(default) == 4 and default.isalnum() else default
    words = ("code", "display")

    def decode(rep: Repetition, context: Context) -> Node | None:
        if leaf(rep, 2) and system(leaf(rep, 2)) != uri:
            return None
        found = _coding(rep, (0, 1, 98, 99), uri, context)
        context.left = [(c + 1, s + 1) for c, subs in enumerate(rep) for s, one in enumerate(subs) if one and (s or c > 1 or not found or words[c] not in found)]
        return found if found and "code" in found else None

    def encode(value: Any, _: Context) -> Repetition | None:
        rep: Repetition = []
        _put(rep, value, (0, 1, 98, 99), uri)
        return rep or None

    return Codec(decode, encode, frozenset({(0, 0), (1, 0), (2, 0)}), {(0, 0): "code", (1, 0): "display", (2, 0): "system"})


@lru_cache(maxsize=256)
def any_coding(default: str) -> Codec:
    """A code, its label and its coding system ↔ one Coding of whatever system."""
    uri = v2(default) if len(default) == 4 and default.isalnum() else default

    def encode(value: Any, _: Context) -> Repetition | None:
        rep: Repetition = []
        _put(rep, value, _TRIPLETS[0], uri)
        return rep or None

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = _coding(rep, _TRIPLETS[0], uri, context)
        context.left = _left(rep, {"coding": [found]}, uri) if found else None
        return found

    return Codec(decode, encode, frozenset({(0, 0), (1, 0), (2, 0), (6, 0)}))


def _described() -> Codec:
    """A coded field and the field that says it in words (DG1-3 and DG1-4, PR1-3 and PR1-4) ↔ one CodeableConcept."""
    whole = concept()

    def decode(reps: list[Repetition], context: Context) -> Node | None:
        out: Node = dict(whole.decode(reps[0], context) or {})
        if said := text.decode(leaf(reps[1], 0), context):
            out.setdefault("text", said)
        return out or None

    def encode(value: Any, context: Context) -> list[Repetition] | None:
        if not isinstance(value, dict):
            return None
        rep = whole.encode({key: one for key, one in value.items() if key != "text"}, context) or []
        said = value.get("text")
        return [rep, [[said]] if isinstance(said, str) and said else []]

    return Codec(decode, encode)


DESCRIBED = _described()
