"""The body of a request, within its limit and its time, and the parameters of a query or a form.

RFC 9110 §15.5.14 (413), §15.5.9 (408)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from icops_fhir.fhir.issue import FhirError
from icops_fhir.rest import errors

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
BODY_SECONDS = 60.0          # time a client has to send its body
PARAMETERS = 500             # of one request


class Gone(Exception):
    """The client went away while sending."""


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """The whole body; 413 as soon as it is known to be larger than the limit, 408 when it does not come."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise errors.refused(408, "timeout", "icops-body-time", "The body did not arrive in time.", "Le corps n'est pas arrivé à temps.") from None


def pairs(raw: bytes) -> list[tuple[str, str]]:
    """The parameters, in order, empty ones too."""
    try:
        return parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=PARAMETERS, errors="strict") if raw else []
    except ValueError as error:
        raise errors.refused(400, "structure", "icops-parameters", "The parameters must be UTF-8 and at most 500.",
                             "Les paramètres doivent être en UTF-8 et au plus 500.") from error


def _too_large(limit: int) -> FhirError:
    return errors.refused(413, "too-long", "icops-body-limit", f"The body is larger than {limit} bytes (ICOPS_BODY_LIMIT).",
                          f"Le corps dépasse {limit} octets (ICOPS_BODY_LIMIT).")
