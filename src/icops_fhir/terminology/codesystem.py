"""Code systems of the definitions: which codes there are, and what they are called.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from icops_fhir.fhir.packages import known


def _walk(concepts: list[Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    for concept in concepts:
        yield concept["code"], concept, above
        yield from _walk(concept.get("concept", []), (*above, concept["code"]))


@cache
def concepts(url: str) -> dict[str, tuple[str, ...]] | None:
    """code -> the codes above it; None when the system is unknown here or its content is not whole (SNOMED CT, LOINC)."""
    system = known().code_system(url)
    if system is None or system.get("content") != "complete":
        return None
    out: dict[str, tuple[str, ...]] = {}
    for code, concept, above in _walk(system.get("concept", [])):
        more = [p["valueCode"] for p in concept.get("property", ()) if p.get("code") in ("subsumedBy", "parent") and "valueCode" in p]
        out[code] = (*above, *more)
    return out


@cache
def displays(url: str) -> dict[str, str]:
    """code -> display."""
    system = known().code_system(url) or {}
    return {code: concept.get("display", "") for code, concept, _ in _walk(system.get("concept", []))}


def under(url: str, code: str) -> frozenset[str] | None:
    """The code and all codes below it; None when the system is not known whole."""
    all_codes = concepts(url)
    if all_codes is None:
        return None
    found, before = {code}, 0
    while len(found) != before:  # a concept can have several parents, named before or after it
        before = len(found)
        found |= {below for below, above in all_codes.items() if not found.isdisjoint(above)}
    return frozenset(found)
