"""Every interaction: its address, its method, the code that metadata says, the function that does it.

https://hl7.org/fhir/R4/http.html#summary. Routing, Bundle entries, CapabilityStatement and OpenAPI read this table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Answer, Request, Service, with_
from icops_fhir.store.protocol import Reader

Handler = Callable[[Service, Request], Awaitable[Answer]]
Inside = Callable[[Service, Reader, Request], Answer]

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


class Interaction(NamedTuple):
    """One row of the table."""

    code: str               # http://hl7.org/fhir/restful-interaction
    shape: str
    method: str
    handler: Handler
    inside: Inside | None   # the same on a snapshot, for a GET inside a transaction
    help: str


class Match(NamedTuple):
    """What an address means."""

    shape: str
    request: Request


@cache
def interactions() -> dict[tuple[str, str], Interaction]:
    """(shape, method) → the interaction. Imported late: the handlers import this module."""
    from icops_fhir.interactions import batch, capabilities, create, delete, history, read, search, update, vread
    from icops_fhir.operations import invoke

    table = (
        Interaction("capabilities", "metadata", "GET", capabilities.capabilities, None, "what this server can do"),
        Interaction("batch", "system", "POST", batch.bundle, None, "a batch (each entry alone) or a transaction (all or nothing)"),
        Interaction("history-system", "system-history", "GET", history.history, history.inside, "every version, newest first"),
        Interaction("search-type", "type", "GET", search.search, search.inside, "search"),
        Interaction("search-type", "type-search", "POST", search.search, search.inside, "search, parameters in the body"),
        Interaction("create", "type", "POST", create.create, None, "create; If-None-Exist makes it conditional"),
        Interaction("update", "type", "PUT", update.update, None, "conditional update of the one match"),
        Interaction("delete", "type", "DELETE", delete.delete, None, "conditional delete of the one match"),
        Interaction("history-type", "type-history", "GET", history.history, history.inside, "versions of the resources of a type"),
        Interaction("read", "instance", "GET", read.read, read.inside, "the current version; If-None-Match gives 304"),
        Interaction("update", "instance", "PUT", update.update, None, "a new version, or creation; If-Match guards it"),
        Interaction("delete", "instance", "DELETE", delete.delete, None, "delete"),
        Interaction("history-instance", "instance-history", "GET", history.history, history.inside, "versions of a resource"),
        Interaction("vread", "version", "GET", vread.vread, vread.inside, "one version"),
        Interaction("operation", "operation", "GET", invoke.invoke, None, "an operation"),
        Interaction("operation", "operation", "POST", invoke.invoke, None, "an operation"),
    )
    return {(row.shape, row.method): row for row in table}


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


def find(path: str, request: Request) -> tuple[Interaction, Request]:
    """The interaction asked; 404 (no such address, no such type) or 405."""
    shape, request = match(path, request)
    found = interactions().get((shape, "GET" if request.method == "HEAD" else request.method))
    if found is None:
        raise not_allowed(request.method, shape)
    if request.type:
        from icops_fhir.interactions.content import known_type

        known_type(request.type)
    return found, request


def of_entry(entry: dict[str, Any], outer: Request) -> Request:
    """The request of a Bundle entry: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request"""
    asked = entry.get("request")
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str) or not isinstance(asked.get("url"), str):
        raise FhirError(Issue("error", "required", "The entry needs request.method and request.url.", expression=("Bundle.entry.request",),
                              rule="icops-entry-request", french="L'entrée doit donner request.method et request.url."), status=400)
    _, _, query = asked["url"].partition("?")
    return Request(
        method=asked["method"], params=tuple(parse_qsl(query, keep_blank_values=True)), resource=entry.get("resource"),
        media_type="application/fhir+json", if_match=asked.get("ifMatch", ""), if_none_match=asked.get("ifNoneMatch", ""),
        if_none_exist=asked.get("ifNoneExist"), prefer=outer.prefer, language=outer.language, base=outer.base,
        full_url=entry.get("fullUrl", ""),
    )


def path_of(entry: dict[str, Any], base: str) -> str:
    """The address inside the server that an entry's request.url names."""
    path = str(entry["request"]["url"]).partition("?")[0]
    return path.removeprefix(base) if base and path.startswith(base + "/") else path


def allowed(shape: str) -> list[str]:
    """The methods of an address, for `Allow`."""
    return sorted(method for at, method in interactions() if at == shape)


class NotAllowed(FhirError):
    """405, with the methods that are."""

    def __init__(self, issue: Issue, methods: list[str]) -> None:
        super().__init__(issue, status=405)
        self.methods = methods


def not_allowed(method: str, shape: str) -> NotAllowed:
    """405"""
    methods = allowed(shape)
    said = ", ".join(methods)
    return NotAllowed(Issue("error", "not-supported", f"{method[:16]} is not possible on {SHAPES[shape]}; {said} is.", rule="icops-method",
                            french=f"{method[:16]} n'est pas possible sur {SHAPES[shape]} ; {said} l'est."), methods)


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
