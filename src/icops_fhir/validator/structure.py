"""The structure of an element: known members, bounds, one choice, nothing empty; compiled once per type, on first use.

https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/conformance-rules.html#cardinality
"""

from __future__ import annotations

from functools import cache
from typing import Any

from icops_fhir.validator import binding, primitive
from icops_fhir.validator.finding import Check, Finding, Findings, below, one
from icops_fhir.validator.snapshot import Member, kind, members

EMPTY = ("structure", "icops-empty", "an empty {0} says nothing: leave it out", "un {0} vide ne dit rien : omettez-le")


def resource(value: Any) -> Findings | None:
    """A whole resource, by its resourceType: the body, a contained one, one in a Bundle."""
    name = value.get("resourceType") if type(value) is dict else None
    if not isinstance(name, str):
        return one("structure", "icops-resource", "a resource with its resourceType is expected", "une ressource avec son resourceType est attendue")
    if kind(name) != "resource" or name in ("Resource", "DomainResource"):
        return one("structure", "icops-unknown-type", "resourceType is not a type of FHIR R4", "resourceType n'est pas un type de FHIR R4")
    return _complex(name)(value)


def element(type_: str) -> Check:
    """The check of a data type or nested element, compiled when the first value comes."""
    if type_ == "Resource":
        return resource
    if kind(type_) == "primitive-type":
        return primitive.check(type_)
    compiled: list[Check] = []

    def lazily(value: Any) -> Findings | None:
        if not compiled:
            compiled.append(_complex(type_))
        return compiled[0](value)

    return lazily


@cache
def _complex(type_: str) -> Check:
    table: dict[str, tuple[bool, Check]] = {}       # JSON name → list or not, check of one item
    needed: list[tuple[str, tuple[str, ...]]] = []
    choices: list[tuple[str, frozenset[str]]] = []
    for member in members(type_):
        keys = [name for name, _ in member.keys]
        for name, of in member.keys:
            table[name] = (member.many, _item(of, member))
            if kind(of) == "primitive-type" and of != "xhtml":
                table["_" + name] = (member.many, element("Element"))
        if member.required:
            needed.append((member.name, tuple(keys + ["_" + name for name in keys])))
        if len(keys) > 1:
            choices.append((member.name, frozenset(keys + ["_" + name for name in keys])))
    allowed = frozenset({"resourceType"}) if kind(type_) == "resource" else frozenset()
    must = tuple(needed)
    exclusive = tuple(choices)

    def check(value: Any) -> Findings | None:
        if type(value) is not dict:
            return one("structure", "icops-object", "an object is expected", "un objet est attendu")
        if not value:
            return one(EMPTY[0], EMPTY[1], EMPTY[2].format("object"), EMPTY[3].format("objet"))
        found: Findings | None = None
        for name, item in value.items():
            row = table.get(name)
            if row is None:
                if name not in allowed:
                    found = [*(found or ()), Finding(f".{name[:64]}", "structure", "icops-unknown-element",
                                                     f"{type_} has no element of this name", f"{type_} n'a pas d'élément de ce nom")]
                continue
            result = _many(item, row[1], value, name) if row[0] else row[1](item) if type(item) is not list else _not_a_list()
            if result is not None:
                found = [*(found or ()), *below(f".{name}", result)]
        for name, keys in must:
            if not any(key in value for key in keys):
                found = [*(found or ()), Finding(f".{name}", "required", "icops-required", "this element is required", "cet élément est obligatoire")]
        for name, together in exclusive:
            if len({key.lstrip("_") for key in together & value.keys()}) > 1:
                found = [*(found or ()), Finding(f".{name}", "structure", "icops-choice", "only one type may be given", "un seul type peut être donné")]
        return found

    return check


def _item(type_: str, member: Member) -> Check:
    plain = element(type_)
    bound = binding.check(member.definition)
    if bound is None:
        return plain

    def both(value: Any) -> Findings | None:
        return plain(value) or bound(value)

    return both


def _many(items: Any, check: Check, owner: dict[str, Any], name: str) -> Findings | None:
    if type(items) is not list:
        return one("structure", "icops-list", "a list is expected", "une liste est attendue")
    if not items:
        return one(EMPTY[0], EMPTY[1], EMPTY[2].format("list"), EMPTY[3].format("liste"))
    found: Findings | None = None
    for number, item in enumerate(items):
        result = _null(owner, name, number) if item is None else check(item)
        if result is not None:
            found = [*(found or ()), *below(f"[{number}]", result)]
    return found


def _null(owner: dict[str, Any], name: str, number: int) -> Findings | None:
    """null keeps a place in a list of primitives whose sibling has something there: https://hl7.org/fhir/R4/json.html#primitive"""
    other = owner.get(name[1:] if name.startswith("_") else "_" + name)
    if isinstance(other, list) and number < len(other) and other[number] is not None:
        return None
    return one("structure", "icops-null", "null stands for nothing here", "null ne tient lieu de rien ici")


def _not_a_list() -> Findings:
    return one("structure", "icops-list", "one value is expected, not a list", "une seule valeur est attendue, pas une liste")
