"""Which format is spoken, and in which language: `Accept`, `_format`, `Content-Type`, `Accept-Language`, `Prefer`.

https://hl7.org/fhir/R4/http.html#mime-type. JSON only: XML is refused clearly.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType

from icops_fhir.rest.errors import refused

JSON = frozenset({"application/fhir+json", "application/json", "text/json", "application/json+fhir", "json"})
ANY = frozenset({"*/*", "application/*", "text/*", ""})
NONE: MappingProxyType[str, str] = MappingProxyType({})


@lru_cache(maxsize=512)
def acceptable(accept: bytes) -> bool:
    """Whether JSON of FHIR R4 satisfies this `Accept` header; none at all does."""
    ranges = [_media(part) for part in accept.decode("latin-1").split(",")]
    return any((kind in JSON or kind in ANY) and parameters.get("fhirversion", "4.0") == "4.0" and not _zero(parameters.get("q", "1"))
               for kind, parameters in ranges)


def check_accept(accept: bytes, format_: str | None) -> None:
    """406 when the client asks for a format other than JSON; `_format` wins over `Accept`."""
    if format_ is not None:
        kind, parameters = _media(format_.replace(" ", "+"))
        good = kind in JSON and parameters.get("fhirversion", "4.0") == "4.0"
    else:
        good = acceptable(accept)
    if not good:
        raise refused(406, "not-supported", "icops-format", "This server answers in JSON (FHIR R4) only: send Accept: application/fhir+json.",
                      "Ce serveur ne répond qu'en JSON (FHIR R4) : envoyez Accept: application/fhir+json.")


@lru_cache(maxsize=512)
def readable(content_type: bytes) -> bool:
    kind, parameters = _media(content_type.decode("latin-1"))
    charset = parameters.get("charset", "utf-8").strip('"').replace("_", "-")
    return kind in JSON | {""} and charset in {"utf-8", "utf8", "us-ascii"} and parameters.get("fhirversion", "4.0") == "4.0"


def check_content(content_type: bytes, encoding: bytes) -> None:
    """415 when the body is not JSON in UTF-8, uncompressed."""
    if not readable(content_type) or encoding not in (b"", b"identity"):
        raise refused(415, "not-supported", "icops-content-type",
                      "The body must be JSON in UTF-8, not compressed: send Content-Type: application/fhir+json.",
                      "Le corps doit être du JSON en UTF-8, non compressé : envoyez Content-Type: application/fhir+json.")


def is_form(content_type: bytes) -> bool:
    """Whether the body holds search parameters."""
    return _media(content_type.decode("latin-1"))[0] == "application/x-www-form-urlencoded"


@lru_cache(maxsize=512)
def language(accept_language: bytes) -> str:
    """`fr` or `en`, the one the reader prefers; English when the reader does not say (RFC 9110 §12.5.4)."""
    best, best_weight = "en", 0.0
    for part in accept_language.decode("latin-1").split(","):
        tag, parameters = _media(part)
        weight = _weight(parameters.get("q", "1"))
        if tag[:2] in ("fr", "en") and weight > best_weight:
            best, best_weight = tag[:2], weight
    return best


@lru_cache(maxsize=512)
def prefer(value: bytes) -> MappingProxyType[str, str]:
    """RFC 7240: `return=minimal; handling=strict` (commas too)."""
    pairs = (part.partition("=") for part in value.decode("latin-1").replace(";", ",").split(","))
    return MappingProxyType({name.strip().lower(): text.strip().strip('"') for name, _, text in pairs if name.strip()})


def _media(text: str) -> tuple[str, dict[str, str]]:
    kind, *rest = text.split(";")
    pairs = (item.partition("=") for item in rest)
    return kind.strip().lower(), {name.strip().lower(): value.strip().lower() for name, _, value in pairs}


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _zero(text: str) -> bool:
    return _weight(text) == 0.0
