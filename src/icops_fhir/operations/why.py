"""`$why`: why a change did, or did not, notify a subscription. `change=Task/5` or `change=Task/5/_history/2`.

No standard has it; the reasons are those of subscriptions/explain.py, found again from stored versions alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from icops_fhir.fhir import json, reference
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.operations.registry import operation
from icops_fhir.operations.status import values
from icops_fhir.store.protocol import Reader, Version
from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions import subscription as subscriptions
from icops_fhir.subscriptions.explain import Reason, explain


class Why(NamedTuple):
    """The answer: the reason, the event number when there is one, the Subscription version it was judged by."""

    reason: Reason
    number: int | None
    subscription: int | None


@operation("why", on="Subscription", at="instance", methods=("GET",))
async def why(service: Service, request: Request) -> Answer:
    asked = next(iter(values(request, "change")), "")
    change = reference.parse(asked)
    if not change.relative or (change.version and not change.version.isdigit()):
        raise FhirError(Issue("error", "value", f"change={asked[:80]!r} names no change; write change=Task/5 or change=Task/5/_history/2.", ("change",), rule="icops-why",
                              french=f"change={asked[:80]!r} ne nomme aucun changement ; écrivez change=Task/5 ou change=Task/5/_history/2."), status=400)
    found = await service.store.read(lambda reader: reason(reader, request.id, change.type, change.id, int(change.version or 0)))
    parameters: list[dict[str, Any]] = [
        {"name": "fired", "valueBoolean": found.reason.fires},
        {"name": "reason", "valueCode": found.reason.code},
        {"name": "text", "valueString": found.reason.text(request.language)},
    ]
    if found.number:
        parameters.append({"name": "event-number", "valueString": str(found.number)})
    if found.subscription:
        parameters.append({"name": "judged-by", "valueReference": {"reference": f"Subscription/{request.id}/_history/{found.subscription}"}})
    return Answer(body=json.dumps({"resourceType": "Parameters", "parameter": parameters}))


def reason(reader: Reader, id_: str, type_: str, resource: str, version: int = 0) -> Why:
    """Judged as the worker did: by the Subscription as it was at that place of the feed."""
    change = reader.vread(type_, resource, version) if version else reader.read(type_, resource)
    if change is None:
        raise FhirError(Issue("error", "not-found", f"There is no {type_}/{resource} of that version.", ("change",), rule="icops-why",
                              french=f"Il n'y a pas de {type_}/{resource} de cette version."), status=404)
    judge = next(iter(reader.history("Subscription", id_, before=change.sequence, count=1)), None)
    if judge is None:
        return Why(Reason("before"), None, None)
    if judge.deleted:
        return Why(Reason("deleted"), None, None)
    try:
        subscription = subscriptions.read(json.loads(judge.body))
    except FhirError as error:
        return Why(Reason("refused", " ".join(issue.diagnostics for issue in error.issues)), None, judge.version)
    previous = _resource(reader.vread(type_, resource, change.version - 1)) if change.version > 1 else None
    found = explain(subscription, previous, _resource(change), change.updated)
    if not found.fires:
        return Why(found, None, judge.version)
    record = reader.record(states.STATE, id_)
    state = states.loads(record.body) if record else states.State(0)
    number, last = _event(reader, id_, state, change)
    if number is None and change.sequence > max(last, reader.cursor(states.CURSOR)):
        return Why(Reason("pending"), None, judge.version)
    return Why(found, number, judge.version)


def _event(reader: Reader, id_: str, state: states.State, change: Version) -> tuple[int | None, int]:
    """The number this change got, found by halves since numbers follow the feed; and the last sequence looked at."""
    low, high, last = state.oldest, state.events, 0
    while low <= high:
        middle = (low + high) // 2
        record = reader.record(states.EVENT, states.key(id_, middle))
        sequence = json.loads(record.body)["sequence"] if record else 0
        last = max(last, sequence)
        if sequence == change.sequence:
            return middle, last
        low, high = (middle + 1, high) if sequence < change.sequence else (low, middle - 1)
    return None, last


def _resource(version: Version | None) -> dict[str, Any] | None:
    return None if version is None or version.deleted else json.loads(version.body)
