"""update: a new version of a resource, or its creation under the id the client chose.

https://hl7.org/fhir/R4/http.html#update, version aware: https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

from icops_fhir.interactions import transaction
from icops_fhir.interactions.answers import updated
from icops_fhir.interactions.content import taken
from icops_fhir.interactions.identity import guarded, put
from icops_fhir.interactions.request import Answer, Request, Service, expected
from icops_fhir.store.engine import prepare
from icops_fhir.store.protocol import Transaction, Version


async def update(service: Service, request: Request) -> Answer:
    """200, or 201 when it was not there; without an id in the address, the one resource the parameters match."""
    if not request.id:
        return (await transaction.perform(service, [request]))[0]
    resource = taken(service, request)
    prepared = prepare(resource)
    version_expected = expected(request.if_match)

    def job(tx: Transaction) -> Version:
        return put(tx, prepared, resource, expected=version_expected, absent=request.if_none_match == "*")

    return updated(await guarded(service, job))

