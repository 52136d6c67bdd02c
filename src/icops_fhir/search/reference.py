"""reference: `Patient/1`, `1`, an absolute url, a urn, a canonical; :identifier, :[type].

https://hl7.org/fhir/R4/search.html#reference

    row (type, id, url)      url "" for a relative reference; the whole url (no version) for any other
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icops_fhir.fhir import reference
from icops_fhir.search import token
from icops_fhir.search.condition import Condition, IndexRow, Predicate, any_of, bad_value, unescape
from icops_fhir.search.parameters import Parameter, number

TABLE = "reference"
MODIFIERS = frozenset({"identifier"})  # and the name of any type


def identifier_number(parameter: int) -> int:
    """Reference.identifier is indexed as a token under a number of its own."""
    return number(str(parameter), "identifier")


def rows(value: Any, parameter: int) -> Sequence[IndexRow]:
    """Reference, canonical, uri."""
    if isinstance(value, str):
        plain = value.partition("|")[0]
        out = _text(plain, parameter)
        return out if plain == value else [*out, IndexRow(TABLE, parameter, ("", "", value))]
    if not isinstance(value, dict) or "resourceType" in value:
        return ()
    out = _text(text, parameter) if isinstance(text := value.get("reference"), str) else []
    if "identifier" in value:
        out = [*out, *token.rows(value["identifier"], identifier_number(parameter))]
    return out


def _text(text: str, parameter: int) -> list[IndexRow]:
    if text.startswith("#"):
        return []
    parts = reference.parse(text)
    if not parts.id:
        return [IndexRow(TABLE, parameter, ("", "", text))]
    url = f"{parts.base}/{parts.type}/{parts.id}" if parts.base else ""
    return [IndexRow(TABLE, parameter, (parts.type, parts.id, url))]


def _one(parameter: Parameter, type: str, text: str) -> Predicate:
    parts = reference.parse(text)
    if parts.id and parts.base:
        return Predicate("(x.id = ? AND x.type = ? AND x.url = ?)", (parts.id, parts.type, f"{parts.base}/{parts.type}/{parts.id}"))
    if parts.id:
        if type and type != parts.type:
            raise bad_value(parameter, text, f"a reference to {type} after :{type}", f"une référence à {type} après :{type}")
        return Predicate("(x.id = ? AND x.type = ? AND x.url = '')", (parts.id, parts.type))
    if ":" in text:
        return Predicate("(x.id = '' AND x.type = '' AND x.url = ?)", (text,))
    if type:
        return Predicate("(x.id = ? AND x.type = ? AND x.url = '')", (text, type))
    return Predicate("(x.id = ? AND x.url = '')", (text,))


def where(parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition:
    """Any of the references."""
    if modifier == "identifier":
        return Condition(token.TABLE, identifier_number(parameter.number), any_of(map(token.one, values)), weight=1)
    predicate = any_of(_one(parameter, modifier, unescape(value)) for value in values)
    return Condition(TABLE, parameter.number, predicate, weight=2)
