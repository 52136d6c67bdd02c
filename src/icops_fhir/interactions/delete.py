"""delete: the resource is gone from reads and searches, its versions stay in its history.

https://hl7.org/fhir/R4/http.html#delete, conditional (one match): https://hl7.org/fhir/R4/http.html#3.1.0.7.1
"""

from __future__ import annotations

from icops_fhir.interactions import transaction
from icops_fhir.interactions.answers import deleted
from icops_fhir.interactions.request import Answer, Request, Service, expected
from icops_fhir.store.protocol import Transaction, Version


async def delete(service: Service, request: Request) -> Answer:
    """204, whether it was there or not."""
    if not request.id:
        return (await transaction.perform(service, [request]))[0]
    version_expected = expected(request.if_match)

    def job(tx: Transaction) -> Version | None:
        return tx.delete(request.type, request.id, expected=version_expected)

    return deleted(await service.store.write(job))

