"""`load`: files of resources, Bundles or NDJSON, sent to a server through its own interactions.

https://hl7.org/fhir/R4/http.html#update, #transaction
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import dumps, loads

Resource = dict[str, Any]
HEADERS = {"Content-Type": "application/fhir+json", "Prefer": "return=minimal"}


class Sent(NamedTuple):
    """One resource or Bundle, and what the server said."""

    name: str
    status: int
    said: str


def unreachable(address: str) -> FhirError:
    """The database is a running server's, and it is not where the settings say."""
    return FhirError(Issue(
        "fatal", "transient", f"The database is held by a running server that does not answer at {address}: set ICOPS_HOST and ICOPS_PORT as that server has them.",
        rule="icops-server-unreachable",
        french=f"La base est tenue par un serveur en marche qui ne répond pas à {address} : donnez à ICOPS_HOST et ICOPS_PORT ses valeurs.",
    ), status=503)


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those below the folders named, in order."""
    for path in paths:
        yield from sorted(item for item in path.rglob("*") if item.suffix in (".json", ".ndjson")) if path.is_dir() else [path]


def resources(path: Path) -> Iterator[tuple[str, Resource]]:
    """What a file holds; each line of an NDJSON file is one."""
    data = path.read_bytes()
    if path.suffix == ".ndjson":
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                yield f"{path}:{number}", loads(line)
    else:
        yield str(path), loads(data)


async def load(client: httpx.AsyncClient, paths: Iterable[Path]) -> list[Sent]:
    """Sends everything, in order: a Bundle as it asks, a resource under its own id; loading twice makes nothing twice."""
    answers = []
    for path in files(paths):
        try:
            for name, resource in resources(path):
                answers.append(await _send(client, name, resource))
        except (OSError, FhirError) as error:
            answers.append(Sent(str(path), 400, str(error)))
    return answers


async def _send(client: httpx.AsyncClient, name: str, resource: Resource) -> Sent:
    method, place, body = _asked(resource)
    response = await client.request(method, place, content=dumps(body), headers=HEADERS)
    return Sent(name, response.status_code, "" if response.is_success else _diagnostics(response))


def _asked(resource: Resource) -> tuple[str, str, Resource]:
    type_ = str(resource.get("resourceType", ""))
    if type_ == "Bundle" and resource.get("type") in ("batch", "transaction"):
        return "POST", "", resource
    if type_ == "Bundle" and resource.get("type") in ("collection", "searchset"):
        entries = [item["resource"] for item in resource.get("entry", ()) if "resource" in item]
        asked = [{"resource": item, "request": {"method": method, "url": place}} for item in entries for method, place, _ in (_asked(item),)]
        return "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": asked}
    if "id" in resource:
        return "PUT", f"{type_}/{resource['id']}", resource
    return "POST", type_, resource


def _diagnostics(response: httpx.Response) -> str:
    try:
        return "; ".join(issue.get("diagnostics", "") for issue in response.json()["issue"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
