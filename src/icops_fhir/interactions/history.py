"""history: the versions of a resource, of a type, of everything, newest first.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from urllib.parse import quote

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import dumps
from icops_fhir.interactions.read import unknown
from icops_fhir.interactions.request import Answer, Request, Service, etag
from icops_fhir.store.protocol import Reader, Version

STATUS = {"create": b"201", "update": b"200", "delete": b"204"}
METHOD = {"create": b"POST", "update": b"PUT", "delete": b"DELETE"}


async def history(service: Service, request: Request) -> Answer:
    """One page; `_count`, `_since`, and `_before` (a place in the change feed) in the next link."""
    return await service.store.read(lambda reader: inside(service, reader, request))


def inside(service: Service, reader: Reader, request: Request) -> Answer:
    """The same on a snapshot."""
    given = dict(request.params)
    count = min(_number(given, "_count", service.page_size), service.page_limit)
    before = _number(given, "_before", 0) or None
    since = given.get("_since") or None
    ignored = [name for name in given if name not in ("_count", "_before", "_since")]
    if ignored and request.strict:
        raise _refused(ignored[0], "is not a parameter of history here", "n'est pas un paramètre de l'historique ici")
    try:
        versions = reader.history(request.type or None, request.id or None, before=before, since=since, count=count + 1)
    except ValueError as error:
        raise _refused("_since", "is not an instant", "n'est pas un instant") from error
    if request.id and not versions and before is None and reader.read(request.type, request.id) is None:
        raise unknown(f"{request.type}/{request.id}")
    page = versions[:count]
    understood = [(name, given[name]) for name in ("_count", "_since") if name in given]
    links = [("self", understood + ([("_before", str(before))] if before else []))]
    if len(versions) > count and page:
        links.append(("next", [*understood, ("_before", str(page[-1].sequence))]))
    place = "/".join(part for part in (request.base, request.type, request.id, "_history") if part)
    return Answer(body=bundle(page, request.base, [(name, place + _query(params)) for name, params in links]))


def bundle(versions: list[Version], base: str, links: list[tuple[str, str]]) -> bytes:
    """Joined from the bytes of each version, without reading them."""
    root = base.encode()
    entries = b",".join(_entry(version, root) for version in versions)
    said = dumps([{"relation": name, "url": url} for name, url in links])
    return b'{"resourceType":"Bundle","type":"history","link":' + said + (b',"entry":[' + entries + b"]}" if entries else b"}")


def _entry(version: Version, root: bytes) -> bytes:
    place = f"{version.type}/{version.id}".encode()
    resource = b'"resource":' + version.body + b"," if version.body else b""
    target = version.type.encode() if version.method == "create" else place
    return (
        b'{"fullUrl":"' + root + b"/" + place + b'",' + resource
        + b'"request":{"method":"' + METHOD[version.method] + b'","url":"' + target
        + b'"},"response":{"status":"' + STATUS[version.method] + b'","etag":' + dumps(etag(version.version))
        + b',"lastModified":"' + version.updated.encode() + b'"}}'
    )


def _query(params: list[tuple[str, str]]) -> str:
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in params) if params else ""


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
