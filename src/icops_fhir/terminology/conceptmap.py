"""Concept maps, read both ways: one file of data gives decode and encode.

https://hl7.org/fhir/R4/conceptmap.html

Several source codes may go to one target code: back, the first of them in the file is the one given.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.packages import known

# These say "there is no such code on the other side".
NO_MATCH = frozenset({"unmatched", "disjoint"})


class Code(NamedTuple):
    system: str
    code: str
    display: str = ""


class Translation(NamedTuple):
    """A concept map as two tables."""

    forward: Mapping[tuple[str, str], Code]
    back: Mapping[tuple[str, str], Code]
    unmapped: Mapping[str, Code]  # source system -> the code for all others (unmapped.mode fixed)


def read(concept_map: dict[str, Any]) -> Translation:
    """The tables of a ConceptMap."""
    forward: dict[tuple[str, str], Code] = {}
    back: dict[tuple[str, str], Code] = {}
    unmapped: dict[str, Code] = {}
    for group in concept_map.get("group", ()):
        source, target = group.get("source", ""), group.get("target", "")
        for element in group.get("element", ()):
            for to in element.get("target", ()):
                if to.get("equivalence") in NO_MATCH or "code" not in to:
                    continue
                forward.setdefault((source, element["code"]), Code(target, to["code"], to.get("display", "")))
                back.setdefault((target, to["code"]), Code(source, element["code"], element.get("display", "")))
        rest = group.get("unmapped", {})
        if rest.get("mode") == "fixed":
            unmapped[source] = Code(target, rest["code"], rest.get("display", ""))
    return Translation(MappingProxyType(forward), MappingProxyType(back), MappingProxyType(unmapped))


@cache
def table(url: str) -> Translation:
    """The tables of a concept map of ours or of the standard, by canonical url."""
    found = known().concept_map(url)
    if found is None:
        raise FhirError(
            Issue("error", "not-found", f"There is no ConceptMap {url}: add it to profiles/concept-maps.", rule="icops-concept-map",
                  french=f"Il n'y a pas de ConceptMap {url} : ajoutez-la à profiles/concept-maps."), status=500,
        )  # fmt: skip
    return read(found)


def translate(url: str, system: str, code: str) -> Code | None:
    """The target of a source code, None when the map has none."""
    map = table(url)
    return map.forward.get((system, code)) or map.unmapped.get(system)


def back(url: str, system: str, code: str) -> Code | None:
    """The source that stands for a target code, None when the map has none."""
    return table(url).back.get((system, code))
