"""search: the resources of a type that match, page by page; each page joined from stored bytes.

https://hl7.org/fhir/R4/search.html, paging: https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from icops_fhir.fhir.bundle import searchset
from icops_fhir.fhir.issue import outcome
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.search.query import CURSOR, Query, parse
from icops_fhir.store.protocol import Page, Reader


async def search(service: Service, request: Request) -> Answer:
    """One page; what was ignored is said in an outcome entry, or refused under Prefer: handling=strict."""
    query = _query(service, request)
    return _shown(await service.store.read(lambda reader: reader.search(query)), query, request)


def inside(service: Service, reader: Reader, request: Request) -> Answer:
    """The same on a snapshot."""
    query = _query(service, request)
    return _shown(reader.search(query), query, request)


def _query(service: Service, request: Request) -> Query:
    query = parse(request.type, request.params, strict=request.strict)
    asked = any(name == "_count" for name, _ in request.params)
    return replace(query, count=min(query.count if asked else service.page_size, service.page_limit))


def _shown(page: Page, query: Query, request: Request) -> Answer:
    place = f"{request.base}/{request.type}"
    understood = [(name, value if name != "_count" or not query.count else str(query.count)) for name, value in query.understood]
    links = [("self", link(place, [*understood, *([(CURSOR, query.cursor)] if query.cursor else [])]))]
    if page.next is not None:
        links.append(("next", link(place, [*understood, (CURSOR, page.next)])))
    said = outcome(query.issues, request.language) if query.issues else None
    matches = ((f"{place}/{version.id}", version.body) for version in page.versions)
    return Answer(body=searchset(matches, total=page.total, links=links, outcome=said), issues=query.issues)


def link(place: str, params: Sequence[tuple[str, str]]) -> str:
    """An address with its parameters."""
    return place + ("?" + "&".join(f"{quote(name, safe=':')}={quote(value, safe='|,:')}" for name, value in params) if params else "")
