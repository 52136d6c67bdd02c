"""$convert: HL7 v2 ↔ FHIR, as a function of bytes. Pure: no store, no policy, the source's MSH comes back."""

from __future__ import annotations

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import dumps, loads
from icops_fhir.mappers.v2.message import decode, encode
from icops_fhir.mappers.v2.site import DEFAULT, Site


def convert(content: bytes, source: str, target: str, site: Site = DEFAULT) -> bytes:
    """Content in one format -> the other. Raises FhirError that says what is wrong and where."""
    if (source, target) == ("hl7v2", "fhir"):
        return dumps(decode(content, site))
    if (source, target) == ("fhir", "hl7v2"):
        bundle = loads(content)
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
            raise FhirError(
                Issue(
                    "error", "structure", "expected a Bundle of type message, as convert --to fhir gives it", ("Bundle",),
                    rule="convert-bundle", french="un Bundle de type message est attendu, tel que le donne convert --to fhir",
                ),
                status=422, ack="AR",
            )  # fmt: skip
        return encode(bundle, site)
    raise FhirError(
        Issue(
            "error", "not-supported", f"cannot convert {source} to {target}: hl7v2 to fhir and fhir to hl7v2 are known",
            rule="convert-formats", french=f"conversion {source} vers {target} inconnue : hl7v2 vers fhir et fhir vers hl7v2 existent",
        )
    )  # fmt: skip
