"""`$convert` over REST: the body in one format, the answer in the other; nothing is kept, no policy applies.

https://hl7.org/fhir/R4/resource-operation-convert.html. HL7 v2 in → Bundle out; Bundle of type message in → HL7 v2 out.
"""

from __future__ import annotations

import asyncio

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.mappers.v2.er7 import parse
from icops_fhir.mappers.v2.site import DEFAULT
from icops_fhir.operations.convert import convert
from icops_fhir.operations.registry import operation

ER7 = "x-application/hl7-v2+er7"
V2 = frozenset({ER7, "application/hl7-v2+er7", "application/hl7-v2", "text/plain", "application/octet-stream"})
FHIR = frozenset({"application/fhir+json", "application/json"})
INLINE = 64 << 10       # a larger body is converted in a thread


@operation("convert", at="system", methods=("POST",), definition="http://hl7.org/fhir/OperationDefinition/Resource-convert")
async def conversion(service: Service, request: Request) -> Answer:
    """200 with the other format; the site of the sender gives zone and charset where the message says none."""
    kind = request.media_type.partition(";")[0].strip().lower()
    if kind in V2:
        find = service.extras.get("sites")
        site = find(parse(request.body)) if find is not None else DEFAULT
        work = (request.body, "hl7v2", "fhir", site)
    elif kind in FHIR:
        work = (request.body, "fhir", "hl7v2", DEFAULT)
    else:
        raise FhirError(Issue("error", "not-supported", f"Send the message as {ER7} or the Bundle as application/fhir+json.", rule="icops-content-type",
                              french=f"Envoyez le message en {ER7} ou le Bundle en application/fhir+json."), status=415)
    body = await asyncio.to_thread(convert, *work) if len(request.body) > INLINE else convert(*work)
    return Answer(body=body) if kind in V2 else Answer(body=body, media_type=ER7)
