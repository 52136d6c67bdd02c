"""What an interaction is asked and what it answers, whoever asks: HTTP, an entry of a batch, a command.

https://hl7.org/fhir/R4/http.html, https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from secrets import randbits
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.store.protocol import Clock, Store, Version

Resource = dict[str, Any]


NOTHING: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """One interaction: the target (type, id, version or operation), the parameters, the conditions, the resource."""

    method: str = "GET"
    type: str = ""
    id: str = ""
    version: str = ""
    operation: str = ""
    params: tuple[tuple[str, str], ...] = ()
    resource: Any = None            # the parsed body; None when there is none
    body: bytes = b""
    media_type: str = ""
    if_match: str = ""
    if_none_match: str = ""
    if_modified_since: str = ""
    if_none_exist: str | None = None
    prefer: Mapping[str, str] = NOTHING     # {"return": "minimal", "handling": "strict"}
    language: str = "en"
    base: str = ""                  # "http://127.0.0.1:8080/fhir", no slash at the end
    full_url: str = ""              # of the entry, inside a Bundle

    @property
    def strict(self) -> bool:
        return self.prefer.get("handling") == "strict"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `body` is ready to be served; `version` gives ETag, Last-Modified and, when created, Location."""

    status: int = 200
    body: bytes = b""
    version: Version | None = None
    location: str = ""
    media_type: str = "application/fhir+json; charset=utf-8"
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """What the interactions work with; built once by app.py."""

    store: Store
    clock: Clock
    bundle_entries: int = 5000
    page_size: int = 50
    page_limit: int = 500
    checks: Mapping[str, Callable[[Resource], list[Issue]]] = field(default_factory=dict)   # by type, after validation
    extras: Mapping[str, Any] = field(default_factory=dict)     # what operations need beside the store ("sites", "inbound", …)


_RANDOM = Random(randbits(256))     # noqa: S311 - an id is unique, not secret; asking the system for each would cost more than a version


def new_id() -> str:
    """An id of the server: a random UUID."""
    return str(UUID(int=_RANDOM.getrandbits(128), version=4))


def etag(version: int) -> str:
    """https://hl7.org/fhir/R4/http.html#versioning"""
    return f'W/"{version}"'


def expected(if_match: str) -> int | None:
    """The version that If-Match asks for."""
    if not if_match:
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise FhirError(
            Issue("error", "value", f'If-Match: {if_match[:40]!r} is not the ETag of a version; send W/"3".', rule="icops-if-match",
                  french=f'If-Match : {if_match[:40]!r} n\'est pas l\'ETag d\'une version ; envoyez W/"3".'), status=400)
    return int(text)


@lru_cache(maxsize=8192)
def http_date(instant: str) -> str:
    """RFC 9110 §5.6.7 from a FHIR instant."""
    moment = datetime.fromisoformat(instant).astimezone(UTC)
    return f"{_DAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year:04d} {moment:%H:%M:%S} GMT"


def with_(request: Request, **changes: Any) -> Request:
    """The same request, changed."""
    return request._replace(**changes)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
