"""Opens the store an address names, and makes resources ready for its writer.

https://hl7.org/fhir/R4/http.html#create (the server stamps id, versionId, lastUpdated)
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import dumps
from icops_fhir.store import errors
from icops_fhir.store.clock import utc
from icops_fhir.store.protocol import Clock, Prepared, Store

if TYPE_CHECKING:
    from icops_fhir.search.index import IndexRow

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")  # https://hl7.org/fhir/R4/datatypes.html#id
STAMPED = ("versionId", "lastUpdated")


# The definitions are only loaded by those who write.
def _rows(resource: dict[str, Any]) -> tuple[IndexRow, ...]:
    from icops_fhir.search.index import rows

    return rows(resource)


def _fingerprint(type: str) -> str:
    from icops_fhir.search.index import fingerprint

    return fingerprint(type)


def _after(members: dict[str, Any]) -> bytes:
    """The members that follow an open object, and its end."""
    return b"," + dumps(members)[1:] if members else b"}"


def prepare(resource: dict[str, Any], *, id: str | None = None) -> Prepared:
    """Serialised and indexed, id assigned where it has none; only the stamps of the writer are missing.

    Members keep their order; `meta` is made after `id` where there is none.
    """
    type, name = resource.get("resourceType"), id or resource.get("id") or str(uuid.uuid4())
    if not isinstance(type, str) or not isinstance(name, str) or not ID.fullmatch(name):
        raise FhirError(Issue(
            "error", "value", f"{type}/{name} names no resource: an id has letters, digits, '-' and '.', 64 at most.",
            expression=("id",), rule="icops-id",
            french=f"{type}/{name} ne nomme pas une ressource : un id a des lettres, chiffres, '-' et '.', 64 au plus.",
        ), status=400, ack="AR")
    whole = _named(resource, name)
    before, after = _split(whole)
    meta = {member: value for member, value in (whole.get("meta") or {}).items() if member not in STAMPED}
    return Prepared(type, name, dumps(before)[:-1] + (b',"meta":{' if before else b'"meta":{'), _after(meta) + _after(after), _rows(whole))


def _named(resource: dict[str, Any], id: str) -> dict[str, Any]:
    """A copy with its id, after the resourceType where it had none."""
    if "id" in resource:
        return dict(resource, id=id)
    whole: dict[str, Any] = {}
    for name, value in resource.items():
        whole[name] = value
        if name == "resourceType":
            whole["id"] = id
    return whole


def _split(whole: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members before `meta` (or its place) and those after it."""
    last = "meta" if "meta" in whole else "id"
    names = list(whole)
    at = names.index(last)
    before = names[:at] if last == "meta" else names[: at + 1]
    return {name: whole[name] for name in before}, {name: whole[name] for name in names[at + 1 :]}


def _sqlite(address: str, clock: Clock, **options: Any) -> Store:
    from icops_fhir.store.sqlite import SqliteStore

    options.setdefault("rows", _rows)
    options.setdefault("fingerprint", _fingerprint)
    path = address.removeprefix("/")
    return SqliteStore(None if path in ("", ":memory:") else Path(path), clock, **options)


BACKENDS: dict[str, Callable[..., Store]] = {"sqlite": _sqlite}


def open(url: str, clock: Clock = utc, **options: Any) -> Store:
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:///:memory:`; options: see the backend."""
    scheme, found, address = url.partition("://")
    if not found or scheme not in BACKENDS:
        raise errors.unknown_url(url, ", ".join(f"{name}://" for name in BACKENDS))
    return BACKENDS[scheme](address, clock, **options)

