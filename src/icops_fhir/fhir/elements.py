"""The elements of a type, from its StructureDefinition: JSON names, types, choices.

https://hl7.org/fhir/R4/elementdefinition.html, https://hl7.org/fhir/R4/formats.html#choice
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from icops_fhir.fhir.packages import definitions


class Key(NamedTuple):
    """One JSON name an element may stand under, and the type of what stands there."""

    name: str
    type: str


class Element(NamedTuple):
    """An element of a type: one key, or several when it is a choice (`value[x]`)."""

    keys: tuple[Key, ...]
    many: bool
    definition: dict[str, Any]


def _type(code: str, path: str) -> str:
    """A type name; a nested element is a type of its own, named by its path."""
    if code in ("BackboneElement", "Element"):
        return path
    return "string" if code.startswith("http://hl7.org/fhirpath/System.") else code


@cache
def _elements(root: str) -> dict[str, Element]:
    """path -> Element, for one StructureDefinition."""
    structure = definitions().structure(root)
    out: dict[str, Element] = {}
    for element in (structure or {}).get("snapshot", {}).get("element", ())[1:]:
        path: str = element["path"]
        if ":" in element["id"]:  # a slice of a profile
            continue
        if "contentReference" in element:
            last = path.rpartition(".")[2]
            keys = [Key(last, element["contentReference"].lstrip("#"))]
        elif path.endswith("[x]"):
            path = path[:-3]
            last = path.rpartition(".")[2]
            keys = [Key(last + t["code"][0].upper() + t["code"][1:], _type(t["code"], path)) for t in element["type"]]
        else:
            last = path.rpartition(".")[2]
            keys = [Key(last, _type(element["type"][0]["code"], path))] if element.get("type") else []
        out[path] = Element(tuple(keys), element.get("max") != "1", element)
    return out


def element(type: str, name: str) -> Element | None:
    """The element `name` of a type (`Patient`, `Patient.contact`, `HumanName`), None when it has none."""
    return _elements(type.partition(".")[0]).get(f"{type}.{name}")


@cache
def ancestors(type: str) -> tuple[str, ...]:
    """The type itself and what it is derived from, nearest first: Patient, DomainResource, Resource."""
    out: list[str] = []
    name = type
    while name and (structure := definitions().structure(name)) is not None:
        out.append(structure["type"])
        name = structure.get("baseDefinition", "").rpartition("/")[2]
    return tuple(out)
