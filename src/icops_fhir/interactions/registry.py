"""Every interaction: its address, its method, the code that metadata says, the function that does it.

https://hl7.org/fhir/R4/http.html#summary. Routing, Bundle entries, CapabilityStatement and OpenAPI read this table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.address import SHAPES, match
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.store.protocol import Reader

Handler = Callable[[Service, Request], Awaitable[Answer]]
Inside = Callable[[Service, Reader, Request], Answer]

class Interaction(NamedTuple):
    """One row of the table."""

    code: str               # http://hl7.org/fhir/restful-interaction
    shape: str
    method: str
    handler: Handler
    inside: Inside | None   # the same on a snapshot, for a GET inside a transaction
    help: str


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
