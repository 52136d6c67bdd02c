"""batch: each entry alone, its own success or failure; a Bundle of type transaction goes to `transaction`.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from icops_fhir.fhir.bundle import bundle as joined
from icops_fhir.fhir.bundle import entry
from icops_fhir.fhir.issue import FhirError, Issue, outcome
from icops_fhir.interactions import transaction
from icops_fhir.interactions.registry import find, of_entry, path_of
from icops_fhir.interactions.request import Answer, Request, Resource, Service, etag

AT_ONCE = 16        # entries of one batch under way at the same time


async def bundle(service: Service, request: Request) -> Answer:
    """POST on the base: batch or transaction."""
    given = request.resource
    kind = given.get("type") if isinstance(given, dict) else None
    if not isinstance(given, dict) or given.get("resourceType") != "Bundle" or kind not in ("batch", "transaction"):
        raise _refused("structure", "Post a Bundle of type batch or transaction here; a single resource goes to /{type}.",
                       "Postez ici un Bundle de type batch ou transaction ; une ressource seule va à /{type}.", 400)
    entries = given.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise _refused("structure", "Bundle.entry must be a list of objects.", "Bundle.entry doit être une liste d'objets.", 400)
    if len(entries) > service.bundle_entries:
        raise _refused("too-long", f"The Bundle has {len(entries)} entries, the limit is {service.bundle_entries}: send several.",
                       f"Le Bundle a {len(entries)} entrées, la limite est {service.bundle_entries} : envoyez-en plusieurs.", 413)
    if kind == "transaction":
        answers = await transaction.transaction(service, request, entries)
    else:
        answers = await _batch(service, request, entries)
    reads = [isinstance(asked := item.get("request"), dict) and asked.get("method") in ("GET", "HEAD") for item in entries]
    return Answer(body=response(f"{kind}-response", answers, reads, request))


async def _batch(service: Service, request: Request, entries: list[Resource]) -> list[Answer]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: Resource) -> Answer:
        async with room:
            return await _alone(service, request, item)

    return list(await asyncio.gather(*(one(item) for item in entries)))


async def _alone(service: Service, request: Request, item: Resource) -> Answer:
    try:
        asked = of_entry(item, request)
        interaction, asked = find(path_of(item, request.base), asked)
        if interaction.shape == "system":
            raise _refused("not-supported", "A batch inside a batch is not possible.", "Un lot dans un lot n'est pas possible.", 400)
        return await interaction.handler(service, asked)
    except FhirError as error:
        return Answer(status=error.status, issues=error.issues)


def response(kind: str, answers: Sequence[Answer], reads: Sequence[bool], request: Request) -> bytes:
    """The Bundle that answers, joined from the bytes of each answer."""
    whole = request.prefer.get("return") == "representation"
    entries = (_entry(item, request, whole or read or item.version is None) for item, read in zip(answers, reads, strict=True))
    return joined(kind, entries)


def _entry(item: Answer, request: Request, whole: bool) -> bytes:
    version = item.version
    said: dict[str, Any] = {"status": str(item.status)}
    if item.location:
        said["location"] = item.location
    if version is not None:
        said["etag"], said["lastModified"] = etag(version.version), version.updated
    if item.status >= 400:
        said["outcome"] = outcome(item.issues, request.language)
    body = item.body if whole and item.media_type.startswith("application/fhir+json") else b""
    return entry(body, f"{request.base}/{version.type}/{version.id}" if version is not None else "", response=said)


def _refused(code: str, english: str, french: str, status: int) -> FhirError:
    return FhirError(Issue("error", code, english, expression=("Bundle",), rule="icops-bundle", french=french), status=status)
