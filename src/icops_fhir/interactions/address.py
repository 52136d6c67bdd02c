"""What an address names: the server, a type, a resource, a version, an operation.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

from typing import NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Request, with_

# shape → the address, as people write it
SHAPES = {
    "system": "/",
    "metadata": "/metadata",
    "system-history": "/_history",
    "type": "/{type}",
    "type-search": "/{type}/_search",
    "type-history": "/{type}/_history",
    "instance": "/{type}/{id}",
    "instance-history": "/{type}/{id}/_history",
    "version": "/{type}/{id}/_history/{version}",
    "operation": "/…/${operation}",
}


class Match(NamedTuple):
    """What an address means."""

    shape: str
    request: Request


def match(path: str, request: Request) -> Match:
    """What `Patient/1/_history` names; 404 when it names nothing here."""
    parts = [part for part in path.strip("/").split("/") if part]
    if parts and parts[-1].startswith("$"):
        return _operation(parts, request)
    match parts:
        case []:
            return Match("system", request)
        case ["metadata"]:
            return Match("metadata", request)
        case ["_history"]:
            return Match("system-history", request)
        case [type_] if _is_type(type_):
            return Match("type", with_(request, type=type_))
        case [type_, "_search"] if _is_type(type_):
            return Match("type-search", with_(request, type=type_))
        case [type_, "_history"] if _is_type(type_):
            return Match("type-history", with_(request, type=type_))
        case [type_, id_] if _is_type(type_):
            return Match("instance", with_(request, type=type_, id=id_))
        case [type_, id_, "_history"] if _is_type(type_):
            return Match("instance-history", with_(request, type=type_, id=id_))
        case [type_, id_, "_history", version] if _is_type(type_):
            return Match("version", with_(request, type=type_, id=id_, version=version))
    raise _nowhere(path)


def _operation(parts: list[str], request: Request) -> Match:
    name = parts[-1][1:]
    match parts[:-1]:
        case []:
            return Match("operation", with_(request, operation=name))
        case [type_] if _is_type(type_):
            return Match("operation", with_(request, operation=name, type=type_))
        case [type_, id_] if _is_type(type_):
            return Match("operation", with_(request, operation=name, type=type_, id=id_))
    raise _nowhere("/".join(parts))


def _is_type(text: str) -> bool:
    return text.isascii() and text.isalpha() and text[0].isupper()


def _nowhere(path: str) -> FhirError:
    return FhirError(Issue("error", "not-found", f"There is nothing at /{path.strip('/')[:120]}; /metadata says what this server can do.",
                           rule="icops-address", french=f"Il n'y a rien à /{path.strip('/')[:120]} ; /metadata dit ce que ce serveur sait faire."), status=404)
