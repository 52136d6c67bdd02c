"""read: the current version of a resource.

https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#cread
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Answer, Request, Service, etag
from icops_fhir.store.protocol import MISS, Reader, Version


async def read(service: Service, request: Request) -> Answer:
    """From the versions at hand, else from the database."""
    found = service.store.current(request.type, request.id)
    if found is MISS:
        return await service.store.read(lambda reader: inside(service, reader, request))
    return shown(found, request)


def inside(service: Service, reader: Reader, request: Request) -> Answer:
    """The same on a snapshot: a GET in a transaction."""
    return shown(reader.read(request.type, request.id), request)


def shown(version: Version | None, request: Request) -> Answer:
    """200, 304, 404 or 410."""
    if version is None:
        raise unknown(f"{request.type}/{request.id}")
    if version.method == "delete":
        raise gone(version)
    if not_modified(version, request):
        return Answer(status=304, version=version)
    return Answer(body=version.body, version=version)


def not_modified(version: Version, request: Request) -> bool:
    """If-None-Match wins over If-Modified-Since (RFC 9110 §13.2.2)."""
    if request.if_none_match:
        asked = {tag.strip() for tag in request.if_none_match.split(",")}
        return "*" in asked or etag(version.version) in asked or f'"{version.version}"' in asked
    if request.if_modified_since:
        try:
            since = parsedate_to_datetime(request.if_modified_since)
        except ValueError:
            return False
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
        return datetime.fromisoformat(version.updated).replace(microsecond=0) <= since
    return False


def unknown(place: str) -> FhirError:
    """404"""
    return FhirError(Issue("error", "not-found", f"{place} is not known here.", rule="icops-not-found",
                           french=f"{place} n'est pas connu ici."), status=404)


def gone(version: Version) -> FhirError:
    """410: https://hl7.org/fhir/R4/http.html#delete"""
    place = f"{version.type}/{version.id}"
    return FhirError(Issue("error", "deleted", f"{place} was deleted; its earlier versions are in {place}/_history.", rule="icops-deleted",
                           french=f"{place} a été supprimé ; ses versions antérieures sont dans {place}/_history."), status=410)
