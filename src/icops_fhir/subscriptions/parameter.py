"""A search parameter as a topic uses it: what it reads, and which values could ever be there.

https://hl7.org/fhir/R4/searchparameter.html; the definitions say the rest (targets, required bindings, cardinality).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from icops_fhir.fhir import packages, path

Resource = dict[str, Any]

KINDS = ("reference", "token")  # what a topic of this service may filter by


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name a filter may use on one type."""

    type: str
    code: str
    kind: str                               # reference | token
    expression: str                         # FHIRPath of the search parameter
    targets: frozenset[str] = frozenset()   # types a reference may name; empty = any
    codes: frozenset[str] = frozenset()     # codes of a required binding; empty = open
    single: bool = False                    # the element holds one value at most
    modifiers: frozenset[str] = frozenset()

    def values(self, resource: Resource) -> list[Any]:
        return list(_compiled(self.expression, self.type)(resource))


def named(type_: str, name: str) -> Resource | None:
    """The SearchParameter of R4 with that name on that type."""
    return next((one for one in packages.definitions().search_parameters(type_) if one.get("code") == name), None)


def read(type_: str, name: str, definition: Resource, modifiers: frozenset[str]) -> Parameter:
    """The parameter of this SearchParameter, on this type."""
    expression = str(definition["expression"])
    element = _element(type_, expression)
    only = re.search(rf"\b{type_}\.\w+\.where\(resolve\(\) is (\w+)\)", expression)
    targets = frozenset({only[1]} if only else definition.get("target", ()))
    return Parameter(type_, name, str(definition["type"]), expression, targets, _codes(element), element.get("max") == "1", modifiers)


def _element(type_: str, expression: str) -> Resource:
    """The definition of the element that an expression reads: its leading path on that type."""
    leading = re.search(rf"\b{type_}\.[a-z][A-Za-z]*", expression)
    structure = packages.definitions().structure(type_) or {}
    elements = structure.get("snapshot", {}).get("element", ())
    return next((one for one in elements if leading and one.get("path") == leading[0]), {})


def _codes(element: Resource) -> frozenset[str]:
    """The codes of a required binding to a value set that lists them; empty when it is open."""
    binding = element.get("binding") or {}
    if binding.get("strength") != "required" or not binding.get("valueSet"):
        return frozenset()
    value_set = packages.definitions().value_set(binding["valueSet"]) or {}
    codes: set[str] = set()
    for include in value_set.get("compose", {}).get("include", ()):
        system = packages.definitions().code_system(include.get("system", "")) or {}
        concepts = include.get("concept") or system.get("concept") or ()
        if not concepts or include.get("filter") or include.get("valueSet"):
            return frozenset()
        codes.update(_flat(concepts))
    return frozenset(codes)


def _flat(concepts: Iterable[Resource]) -> Iterator[str]:
    for concept in concepts:
        yield str(concept.get("code", ""))
        yield from _flat(concept.get("concept", ()))


@lru_cache(maxsize=256)
def _compiled(expression: str, type_: str) -> Callable[[Resource], list[Any]]:
    return path.compile(expression, type_)
