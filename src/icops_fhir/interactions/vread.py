"""vread: one version of a resource.

https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

from icops_fhir.interactions.read import gone, not_modified, unknown
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.store.protocol import Reader


async def vread(service: Service, request: Request) -> Answer:
    """200, 304, 404 or, for the version that is a deletion, 410."""
    return await service.store.read(lambda reader: inside(service, reader, request))


def inside(service: Service, reader: Reader, request: Request) -> Answer:
    """The same on a snapshot."""
    text = request.version
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
    version = None if number is None else reader.vread(request.type, request.id, number)
    if version is None:
        raise unknown(f"{request.type}/{request.id}/_history/{text[:64]}")
    if version.method == "delete":
        raise gone(version)
    if not_modified(version, request):
        return Answer(status=304, version=version)
    return Answer(body=version.body, version=version)
