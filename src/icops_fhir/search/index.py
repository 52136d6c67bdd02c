"""The index rows of a resource, from the definitions' own SearchParameter expressions.

https://hl7.org/fhir/R4/searchparameter.html#SearchParameter.expression

Compiled on the first resource of a type: top member ─► the extractors that start there. A resource is then asked
only for the members it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from zlib import crc32

from icops_fhir.fhir import elements
from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.path import Compiler, Run
from icops_fhir.fhir.path_parser import Call, Index, Member, Node, Operation, parse
from icops_fhir.search import date
from icops_fhir.search.condition import IndexRow
from icops_fhir.search.parameters import COLUMNS, Parameter, parameters
from icops_fhir.search.types import TYPES, WIDTH

__all__ = ["IndexRow", "extracted", "fingerprint", "rows"]

EXTRACTOR = 1  # raise it when the same resource gives other rows than before

Make = Callable[[Any, int], Sequence[IndexRow]]
Extractor = tuple[Run, Make, int, IndexRow]  # the last: "there is such an element", when no other row says so


@cache
def _extractors(type: str) -> tuple[dict[str, tuple[Extractor, ...]], tuple[Extractor, ...]]:
    """By top member, and those that cannot be told from one."""
    placed: dict[str, list[Extractor]] = {}
    anywhere: list[Extractor] = []
    for parameter in parameters(type).values():
        if parameter.kind not in TYPES or parameter.code in COLUMNS:
            continue
        kind = TYPES[parameter.kind]
        present = IndexRow(kind.TABLE, parameter.number, (None,) * WIDTH[kind.TABLE])
        for branch in _branches(parse(parameter.expression)):
            compiler = Compiler(parameter.expression, type)
            compiled = compiler.compile(branch, None)
            if compiled.types == () or _other_type(branch, type):
                continue
            extractor = (compiled.run, kind.rows, parameter.number, present)
            top = _top(branch, type, compiled.types)
            for name in top or ():
                placed.setdefault(name, []).append(extractor)
            if top is None:
                anywhere.append(extractor)
    return {name: tuple(found) for name, found in placed.items()}, tuple(anywhere)


def _branches(node: Node) -> list[Node]:
    """`a | b | c` as three paths: the rows are a set anyway."""
    if isinstance(node, Operation) and node.operator == "|":
        return [*_branches(node.left), *_branches(node.right)]
    return [node]


def _spine(node: Node) -> list[Member]:
    """The first members of a path, outermost last: [Patient, Patient.name]."""
    out: list[Member] = []
    here: Node | None = node
    while here is not None:
        if isinstance(here, Operation):
            if here.operator not in ("is", "as"):
                return []
            here = here.left
        elif isinstance(here, (Member, Call, Index)):
            if isinstance(here, Member):
                out.append(here)
            here = here.of
        else:
            return []
    return out[::-1]


def _other_type(node: Node, type: str) -> bool:
    spine = _spine(node)
    return bool(spine) and spine[0].name[0].isupper() and spine[0].name not in elements.ancestors(type)


def _top(node: Node, type: str, types: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The JSON members the path can start with; None when that cannot be told."""
    spine = _spine(node)
    if not spine or spine[0].name not in elements.ancestors(type):
        return None
    if isinstance(node, Call) and node.name == "extension" and node.of == spine[0]:
        return ("extension",)
    if len(spine) < 2 or spine[1].of != spine[0] or (found := elements.element(type, spine[1].name)) is None:
        return None
    cast = node.operator == "as" if isinstance(node, Operation) else isinstance(node, Call) and node.name in ("as", "ofType")
    chosen = [key.name for key in found.keys if key.type in (types or ())] if cast and len(spine) == 2 else []
    return tuple(chosen or (key.name for key in found.keys))


def rows(resource: dict[str, Any]) -> tuple[IndexRow, ...]:
    """The index rows of a resource, each once, in a fixed order."""
    placed, anywhere = _extractors(resource["resourceType"])
    out: dict[IndexRow, None] = {}
    items = [resource]
    for name in resource:
        for run, make, number, present in placed.get(name, ()):
            found = run(items, resource)
            if found:
                before = len(out)
                for value in found:
                    for row in make(value, number):
                        out[row] = None
                if len(out) == before:
                    out[present] = None
    for run, make, number, present in anywhere:
        for value in run(items, resource):
            for row in make(value, number) or (present,):
                out[row] = None
    return tuple(out)


@cache
def fingerprint(type: str) -> str:
    """Names the parameters of a type and this extractor: another one, and the type is indexed again."""
    said = [f"{p.code} {p.kind} {p.number} {p.expression}" for p in parameters(type).values()]
    return f"{crc32(chr(10).join((str(EXTRACTOR), str(date.ZONE), *said)).encode()):08x}"


def extracted(type: str) -> dict[str, Parameter | FhirError]:
    """Every parameter of a type, or the error its expression gives (for the capability statement and the tests)."""
    out: dict[str, Parameter | FhirError] = {}
    for code, parameter in parameters(type).items():
        try:
            if parameter.expression:
                Compiler(parameter.expression, type).compile(parse(parameter.expression), None)
            out[code] = parameter
        except FhirError as error:
            out[code] = error
    return out
