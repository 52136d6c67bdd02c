"""fhir.resources models: a typed convenience at the edges and a second opinion, never the carrier of a resource.

They ship R4B, not R4, and rewrite numbers, times and base64 (decision 1): what they give back is not stored.
https://pypi.org/project/fhir.resources/
"""

from __future__ import annotations

from typing import Any

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import Resource, dumps


def typed(resource: Resource) -> Any:
    """The fhir.resources model (R4B) of a resource. Raises FhirError (422) with one issue for each thing it refuses."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    kind = str(resource.get("resourceType", ""))
    try:
        model = get_fhir_model_class(kind)
    except (LookupError, ImportError, ValueError):
        said = f"{kind or 'no resourceType'}: not a resource type that fhir.resources knows"
        raise FhirError(Issue("error", "not-supported", said, ("resourceType",), rule="icops-model-unknown", french=f"{kind} : type inconnu de fhir.resources"), status=422) from None
    try:
        return model.model_validate_json(dumps(resource))
    except ValidationError as error:
        raise FhirError([_issue(kind, one) for one in error.errors(include_input=False, include_url=False)], status=422) from None
    except (KeyError, ValueError, TypeError) as error:  # some refusals leave the library as bare errors
        said = f"{kind}: refused by fhir.resources ({type(error).__name__})"
        raise FhirError(Issue("error", "structure", said, (kind,), rule="icops-model", french=f"{kind} : refusé par fhir.resources"), status=422) from None


def _issue(kind: str, found: Any) -> Issue:
    where = ".".join([kind, *(str(part) for part in found.get("loc", ()))])
    return Issue("error", "structure", f"{where}: {found.get('msg', '')}", (where,), rule="icops-model", french=f"{where} : refusé par fhir.resources")
