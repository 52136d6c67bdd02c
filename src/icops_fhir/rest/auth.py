"""Who may speak: one static bearer token, compared in constant time. Metadata and health are anonymous.

RFC 6750 §2.1
"""

from __future__ import annotations

import hmac

from icops_fhir.fhir.issue import FhirError
from icops_fhir.rest.errors import refused


def authorized(token: bytes, header: bytes) -> bool:
    """Whether this Authorization header carries the token; without a token everyone is."""
    if not token:
        return True
    scheme, _, given = header.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token)


def unauthorized() -> FhirError:
    """401"""
    return refused(401, "login", "icops-token", "Send Authorization: Bearer and the token of this server (ICOPS_TOKEN).",
                   "Envoyez Authorization: Bearer et le jeton de ce serveur (ICOPS_TOKEN).")
