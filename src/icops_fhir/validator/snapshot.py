"""The elements of a type as its StructureDefinition lists them: JSON names, types, bounds.

https://hl7.org/fhir/R4/elementdefinition.html, choices: https://hl7.org/fhir/R4/formats.html#choice
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from icops_fhir.fhir.packages import definitions

Resource = dict[str, Any]
NESTED = frozenset({"BackboneElement", "Element"})


class Member(NamedTuple):
    """One element: its JSON names with their types (several for a choice), its bounds, its definition."""

    name: str                               # "value[x]"
    keys: tuple[tuple[str, str], ...]       # ("valueString", "string"), …
    required: bool
    many: bool
    definition: Resource


@cache
def members(type_: str) -> tuple[Member, ...]:
    """The elements right below a type (`Patient`, `HumanName`) or a nested element (`Patient.contact`)."""
    structure = definitions().structure(type_.partition(".")[0])
    elements = (structure or {}).get("snapshot", {}).get("element", ())
    prefix = type_ + "."
    return tuple(
        _member(element) for element in elements
        if element["path"].startswith(prefix) and "." not in element["path"][len(prefix):] and ":" not in element["id"]
    )


@cache
def kind(type_: str) -> str:
    """primitive-type, complex-type, resource; a nested element is a complex-type."""
    if "." in type_:
        return "complex-type"
    return str((definitions().structure(type_) or {}).get("kind", ""))


def _member(element: Resource) -> Member:
    path: str = element["path"]
    name = path.rpartition(".")[2]
    if "contentReference" in element:
        keys: tuple[tuple[str, str], ...] = ((name, element["contentReference"].rpartition("#")[2]),)
    elif name.endswith("[x]"):
        keys = tuple((name[:-3] + item["code"][0].upper() + item["code"][1:], _type(item, path)) for item in element["type"])
    else:
        keys = ((name, _type(element["type"][0], path)),)
    return Member(name, keys, element.get("min", 0) > 0, element.get("max") != "1", element)


def _type(item: Resource, path: str) -> str:
    """The type; ids and urls of elements say theirs in an extension."""
    code: str = item["code"]
    if code in NESTED:
        return path
    if code.startswith("http://hl7.org/fhirpath/System."):
        said = next((str(value) for extension in item.get("extension", ()) for name, value in extension.items() if name.startswith("value")), "string")
        return "id" if path.count(".") == 1 and path.endswith(".id") and kind(path.partition(".")[0]) == "resource" else said
    return code
