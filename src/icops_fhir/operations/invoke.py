"""Invoking an operation by its name, where it is registered.

https://hl7.org/fhir/R4/operations.html#executing
"""

from __future__ import annotations

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.operations.registry import find


async def invoke(service: Service, request: Request) -> Answer:
    """What the operation answers; 404 when there is none of that name there, 405 for the wrong method."""
    level = "instance" if request.id else "type" if request.type else "system"
    found = find(request.operation, request.type, level)
    where = "/".join(part for part in (request.type, request.id, f"${request.operation[:64]}") if part)
    if found is None:
        raise FhirError(Issue("error", "not-supported", f"There is no operation {where}; /metadata lists them.", rule="icops-operation",
                              french=f"Il n'y a pas d'opération {where} ; /metadata les énumère."), status=404)
    if request.method not in found.methods:
        said = ", ".join(sorted(found.methods))
        raise FhirError(Issue("error", "not-supported", f"{where} is invoked by {said}.", rule="icops-operation-method",
                              french=f"{where} s'invoque par {said}."), status=405)
    return await found.handler(service, request)
