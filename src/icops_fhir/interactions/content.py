"""The resource a client sends: of the right type, valid, and accepted by the checks of its type, before anything waits.

https://hl7.org/fhir/R4/http.html#create (400 what cannot be read, 422 what breaks the rules)
"""

from __future__ import annotations

import re
from functools import cache

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.packages import definitions
from icops_fhir.interactions.request import Request, Resource, Service
from icops_fhir.validator.validate import validate

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def taken(service: Service, request: Request) -> Resource:
    """The resource to write; FhirError 400 or 422 with everything that is wrong with it."""
    resource = request.resource
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise _malformed("The body must be one FHIR resource with its resourceType.", "Le corps doit être une ressource FHIR avec son resourceType.")
    if resource["resourceType"] != request.type:
        raise _malformed(f"The body is a {resource['resourceType'][:64]}, the address says {request.type}.",
                         f"Le corps est un {resource['resourceType'][:64]}, l'adresse dit {request.type}.")
    if request.method == "PUT" and request.id:
        _named(request, resource)
    issues = validate(resource)
    check = service.checks.get(request.type)
    if check is not None and not any(issue.refuses for issue in issues):
        issues = [*issues, *check(resource)]
    if any(issue.refuses for issue in issues):
        raise FhirError(issues, status=422)
    return resource


def _named(request: Request, resource: Resource) -> None:
    """An update names the id in the address and in the body, the same."""
    if not ID.fullmatch(request.id):
        raise _malformed(f"{request.id[:80]!r} is not a FHIR id: 1 to 64 letters, digits, '-' or '.'.",
                         f"{request.id[:80]!r} n'est pas un id FHIR : 1 à 64 lettres, chiffres, « - » ou « . ».")
    if resource.get("id") != request.id:
        raise _malformed(f"The body must have id {request.id!r}, as in the address.", f"Le corps doit avoir l'id {request.id!r}, comme l'adresse.")


@cache
def types() -> frozenset[str]:
    """The resource types of R4."""
    return definitions().types()


def known_type(type_: str) -> None:
    """404 for a name that is no resource type of R4."""
    if type_ not in types():
        raise FhirError(Issue("error", "not-supported", f"{type_[:64]!r} is not a resource type of FHIR R4.", rule="icops-unknown-type",
                              french=f"{type_[:64]!r} n'est pas un type de ressource de FHIR R4."), status=404)


def _malformed(english: str, french: str) -> FhirError:
    return FhirError(Issue("error", "structure", english, rule="icops-body", french=french), status=400)
