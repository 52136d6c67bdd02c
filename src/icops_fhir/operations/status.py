"""`$status`: where subscriptions stand, from their durable state.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-status.html
"""

from __future__ import annotations

from typing import Any

from icops_fhir.fhir import json
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.operations.registry import operation
from icops_fhir.store.protocol import Reader, Version
from icops_fhir.subscriptions import notification
from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions.state import State

LIMIT = 1000    # subscriptions of one answer; beyond, name them with id


@operation("status", on="Subscription", at=("type", "instance"),
           definition="http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status")
async def status(service: Service, request: Request) -> Answer:
    """A searchset of status Parameters, one per subscription asked."""
    asked = [request.id] if request.id else values(request, "id")
    wanted = set() if request.id else set(values(request, "status"))

    def job(reader: Reader) -> list[tuple[str, Version | None, State | None]]:
        names = asked or _all(reader)
        return [(name, reader.read("Subscription", name), _state(reader, name)) for name in dict.fromkeys(names)]

    entries = []
    for name, version, state in await service.store.read(job):
        if version is None or version.deleted:
            if request.id:
                raise not_found(name)
            continue
        resource = json.loads(version.body)
        shown = standing(resource, version.version, state)
        if wanted and shown.status not in wanted:
            continue
        topic = str(resource.get("criteria", ""))
        entries.append({"fullUrl": f"{request.base}/Subscription/{name}/$status", "resource": notification.status(request.base, name, topic, shown),
                        "search": {"mode": "match"}})
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), **({"entry": entries} if entries else {})}
    return Answer(body=json.dumps(bundle))


def standing(resource: dict[str, Any], version: int, state: State | None) -> State:
    """The state; a version that the worker has not followed yet is still a request."""
    asked = "off" if resource.get("status") == "off" else "requested"
    if state is None or state.deleted:
        return State(version, asked, 0 if state is None else state.events)
    return state if state.version >= version else State(version, asked, state.events, state.delivered, state.oldest)


def values(request: Request, name: str) -> list[str]:
    """The values of an input parameter, from the query or from a Parameters body; commas mean or."""
    found = [value for key, value in request.params if key == name]
    if isinstance(request.resource, dict) and request.resource.get("resourceType") == "Parameters":
        for one in request.resource.get("parameter", ()):
            if one.get("name") == name:
                found += [str(value) for key, value in one.items() if key.startswith("value")]
    return [part for value in found for part in value.split(",") if part]


def not_found(id_: str) -> FhirError:
    return FhirError(Issue("error", "not-found", f"There is no Subscription/{id_}.", rule="icops-not-found",
                           french=f"Il n'y a pas de Subscription/{id_}."), status=404)


def _all(reader: Reader) -> list[str]:
    names: list[str] = []
    after = ""
    while page := reader.records(states.STATE, after_key=after, limit=500):
        names += [record.key for record in page]
        after = page[-1].key
        if len(names) > LIMIT:
            raise FhirError(Issue("error", "too-costly", f"There are more than {LIMIT} subscriptions: name them with id=.", rule="icops-subscription-status",
                                  french=f"Il y a plus de {LIMIT} abonnements : nommez-les avec id=."), status=403)
    return names


def _state(reader: Reader, id_: str) -> State | None:
    record = reader.record(states.STATE, id_)
    return states.loads(record.body) if record else None
