"""history: the versions of a resource, of a type, of everything, newest first.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from datetime import UTC, datetime

from icops_fhir.fhir.bundle import bundle, entry
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.read import unknown
from icops_fhir.interactions.request import Answer, Request, Service, etag
from icops_fhir.interactions.search import link
from icops_fhir.store.clock import instant
from icops_fhir.store.protocol import Reader, Version

STATUS = {"create": "201", "update": "200", "delete": "204"}
METHOD = {"create": "POST", "update": "PUT", "delete": "DELETE"}


async def history(service: Service, request: Request) -> Answer:
    """One page; `_count`, `_since`, and `_before` (a place in the change feed) in the next link."""
    return await service.store.read(lambda reader: inside(service, reader, request))


def inside(service: Service, reader: Reader, request: Request) -> Answer:
    """The same on a snapshot."""
    given = dict(request.params)
    count = min(_number(given, "_count", service.page_size), service.page_limit)
    before = _number(given, "_before", 0) or None
    since = _instant(given["_since"]) if given.get("_since") else None
    ignored = [name for name in given if name not in ("_count", "_before", "_since")]
    if ignored and request.strict:
        raise _refused(ignored[0], "is not a parameter of history here", "n'est pas un paramètre de l'historique ici")
    versions = reader.history(request.type or None, request.id or None, before=before, since=since, count=count + 1)
    if request.id and not versions and before is None and reader.read(request.type, request.id) is None:
        raise unknown(f"{request.type}/{request.id}")
    page = versions[:count]
    understood = [(name, given[name]) for name in ("_count", "_since") if name in given]
    links = [("self", understood + ([("_before", str(before))] if before else []))]
    if len(versions) > count and page:
        links.append(("next", [*understood, ("_before", str(page[-1].sequence))]))
    place = "/".join(part for part in (request.base, request.type, request.id, "_history") if part)
    entries = (_entry(version, request.base) for version in page)
    return Answer(body=bundle("history", entries, links=[(name, link(place, params)) for name, params in links]))


def _entry(version: Version, base: str) -> bytes:
    place = f"{version.type}/{version.id}"
    return entry(
        version.body, f"{base}/{place}",
        request={"method": METHOD[version.method], "url": version.type if version.method == "create" else place},
        response={"status": STATUS[version.method], "etag": etag(version.version), "lastModified": version.updated})


def _instant(text: str) -> str:
    """As lastUpdated is written; a date is its first moment, UTC where no zone is said."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise _refused("_since", "must be an instant", "doit être un instant") from None
    return instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _number(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise _refused(name, "must be a number", "doit être un nombre")
    return int(text)


def _refused(name: str, english: str, french: str) -> FhirError:
    return FhirError(Issue("error", "value", f"{name[:64]} {english}.", expression=(f"http.{name[:64]}",), rule="icops-history-parameter",
                           french=f"{name[:64]} {french}."), status=400)
