"""create: a new resource under an id of the server.

https://hl7.org/fhir/R4/http.html#create, conditional: https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

from icops_fhir.interactions import transaction
from icops_fhir.interactions.answers import created
from icops_fhir.interactions.content import taken
from icops_fhir.interactions.request import Answer, Request, Service, new_id
from icops_fhir.store.engine import prepare
from icops_fhir.store.protocol import Transaction, Version


async def create(service: Service, request: Request) -> Answer:
    """201; with If-None-Exist, 200 and the resource that is there already."""
    if request.if_none_exist is not None:
        return (await transaction.perform(service, [request]))[0]
    prepared = prepare({name: value for name, value in taken(service, request).items() if name != "id"}, id=new_id())

    def job(tx: Transaction) -> Version:
        return tx.write(prepared, absent=True)

    return created(await service.store.write(job))

