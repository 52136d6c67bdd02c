"""`$events`: the notifications of a subscription as they were made, by number.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-events.html
"""

from __future__ import annotations

from typing import Any

from icops_fhir.fhir import json
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.operations.registry import operation
from icops_fhir.operations.status import not_found, standing, values
from icops_fhir.store.protocol import Reader
from icops_fhir.subscriptions import notification
from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions import subscription as subscriptions
from icops_fhir.subscriptions.channel import CONTENTS
from icops_fhir.subscriptions.state import State
from icops_fhir.subscriptions.subscription import Subscription

LIMIT = 500             # events of one answer
BYTES = 32 * 2**20      # of one answer


@operation("events", on="Subscription", at="instance",
           definition="http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-events")
async def events(service: Service, request: Request) -> Answer:
    """A history Bundle: the status first, then what was notified; never more content than the subscription asked for."""
    since, until = _number(request, "eventsSinceNumber"), _number(request, "eventsUntilNumber")
    content = next(iter(values(request, "content")), CONTENTS[-1])
    if content not in CONTENTS:
        raise _wrong("content", content, ", ".join(CONTENTS))

    def job(reader: Reader) -> tuple[Subscription, State, list[dict[str, Any]], int, int]:
        version = reader.read("Subscription", request.id)
        if version is None or version.deleted:
            raise not_found(request.id)
        record = reader.record(states.STATE, request.id)
        resource = json.loads(version.body)
        state = standing(resource, version.version, states.loads(record.body) if record else None)
        first, last = max(1, since or 1), min(state.events, until or state.events)
        kept = max(first, state.oldest)
        if last - kept >= LIMIT:
            raise _too_many(kept, kept + LIMIT - 1)
        return subscriptions.read(resource), state, _kept(reader, request.id, kept, last), first, kept

    subscription, state, bundles, first, kept = await service.store.read(job)
    lost = f"events {first} to {kept - 1} are no longer kept / les événements {first} à {kept - 1} ne sont plus gardés" if kept > first else ""
    at = subscriptions.instant(service.clock())
    return Answer(body=json.dumps(notification.query_events(request.base, subscription, state, bundles, content, at, lost)))


def _kept(reader: Reader, id_: str, first: int, last: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    size = 0
    for number in range(first, last + 1):
        record = reader.record(states.EVENT, states.key(id_, number))
        if record is None:
            continue
        size += len(record.body)
        if size > BYTES and found:
            raise _too_many(first, number - 1)
        found.append(json.loads(record.body)["bundle"])
    return found


def _number(request: Request, name: str) -> int | None:
    text = next(iter(values(request, name)), "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise _wrong(name, text, "1, 2, 3 …")
    return int(text)


def _wrong(name: str, value: str, expected: str) -> FhirError:
    return FhirError(Issue("error", "value", f"{name}={value[:40]!r} is not understood; write one of {expected}.", (name,), rule="icops-events",
                           french=f"{name}={value[:40]!r} n'est pas compris ; écrivez parmi {expected}."), status=400)


def _too_many(first: int, last: int) -> FhirError:
    return FhirError(Issue("error", "too-costly", f"That is too much for one answer; ask from eventsSinceNumber={first} to eventsUntilNumber={last}.",
                           ("eventsUntilNumber",), rule="icops-events",
                           french=f"C'est trop pour une réponse ; demandez de eventsSinceNumber={first} à eventsUntilNumber={last}."), status=403)
