"""Notifications: a Bundle of type history whose first entry is the status of the subscription, as Parameters.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html, StructureDefinition/backport-subscription-status-r4
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from icops_fhir.subscriptions.backport import BACKPORT
from icops_fhir.subscriptions.channel import CONTENTS
from icops_fhir.subscriptions.state import State
from icops_fhir.subscriptions.subscription import Subscription

Resource = dict[str, Any]

ERRORS = "http://terminology.hl7.org/CodeSystem/subscription-error"
# How a change reads as an entry of a history bundle: request.method, response.status
ENTRY = {"create": ("POST", "201"), "update": ("PUT", "200"), "delete": ("DELETE", "204"), "read": ("GET", "200")}


@dataclass(frozen=True, slots=True)
class Item:
    """One resource of an event: the focus, or what the topic includes (method "read")."""

    type: str
    id: str
    version: int
    method: str         # create | update | delete | read
    updated: str
    resource: Resource | None = None

    @property
    def local(self) -> str:
        return f"{self.type}/{self.id}"


def event(base: str, subscription: Subscription, number: int, focus: Item, context: Sequence[Item] = ()) -> Resource:
    """The notification of one event, for ever the same: it holds nothing but its arguments."""
    told = subscription.content != "empty"
    parts: list[Resource] = [{"name": "event-number", "valueString": str(number)}, {"name": "timestamp", "valueInstant": focus.updated}]
    if told:
        parts.append({"name": "focus", "valueReference": {"reference": _url(base, focus.local)}})
        parts += [{"name": "additional-context", "valueReference": {"reference": _url(base, item.local)}} for item in context]
    bundle = _bundle(base, subscription, "event-notification", "active", number, focus.updated, f"{number}")
    bundle["entry"][0]["resource"]["parameter"].append({"name": "notification-event", "part": parts})
    if told:
        bundle["entry"] += [_entry(base, item, subscription.content == "full-resource") for item in (focus, *context)]
    return bundle


def batch(bundles: Sequence[Resource]) -> Resource:
    """Several events of one subscription as one notification, in order; one alone is itself."""
    if len(bundles) == 1:
        return bundles[0]
    last = bundles[-1]
    status = last["entry"][0]
    parameters = [one for one in status["resource"]["parameter"] if one["name"] != "notification-event"]
    parameters += [one for bundle in bundles for one in bundle["entry"][0]["resource"]["parameter"] if one["name"] == "notification-event"]
    entries, seen = [], set()
    for entry in (entry for bundle in bundles for entry in bundle["entry"][1:]):
        if entry["request"]["method"] == "GET":     # what goes along goes along once
            mark = (entry["fullUrl"], entry["response"].get("etag"))
            if mark in seen:
                continue
            seen.add(mark)
        entries.append(entry)
    id_ = _id(*(bundle["id"] for bundle in bundles))
    return {**last, "id": id_, "entry": [_identified(status, {**status["resource"], "parameter": parameters}, id_), *entries]}


def handshake(base: str, subscription: Subscription, state: State, at: str) -> Resource:
    return _bundle(base, subscription, "handshake", "requested", state.events, at, f"handshake {state.version}")


def heartbeat(base: str, subscription: Subscription, state: State, at: str) -> Resource:
    return _bundle(base, subscription, "heartbeat", state.status, state.events, at, f"heartbeat {at}")


def query_events(base: str, subscription: Subscription, state: State, bundles: Sequence[Resource], content: str, at: str, missing: str = "") -> Resource:
    """`$events`: the kept events as they were notified, or with less content; `missing` says which are no longer kept."""
    answer = _bundle(base, subscription, "query-event", state.status, state.events, at, f"query-event {at}")
    parameters = answer["entry"][0]["resource"]["parameter"]
    if missing:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": missing}})
    if bundles:
        whole = batch([_less(bundle, content) for bundle in bundles])
        parameters += [one for one in whole["entry"][0]["resource"]["parameter"] if one["name"] == "notification-event"]
        answer["entry"] += whole["entry"][1:]
    return answer


def status(base: str, id_: str, topic: str, state: State, kind: str = "query-status") -> Resource:
    """The status Parameters of `$status`, from the durable state alone."""
    parameters: list[Resource] = [{"name": "subscription", "valueReference": {"reference": _url(base, f"Subscription/{id_}")}}]
    if topic:
        parameters.append({"name": "topic", "valueCanonical": topic})
    parameters += [
        {"name": "status", "valueCode": state.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(state.events)},
    ]
    if state.error:
        coding = {"coding": [{"system": ERRORS, "code": state.code}]} if state.code else {}
        parameters.append({"name": "error", "valueCodeableConcept": {**coding, "text": state.error}})
    return {"resourceType": "Parameters", "id": _id(id_, kind, str(state.events)),
            "meta": {"profile": [BACKPORT + "backport-subscription-status-r4"]}, "parameter": parameters}


def _bundle(base: str, subscription: Subscription, kind: str, state: str, events: int, at: str, mark: str) -> Resource:
    # The topic is not told with empty content (payloads.html#empty).
    topic = "" if subscription.content == "empty" else subscription.topic.url
    id_ = _id(base, subscription.id, mark)
    parameters = status(base, subscription.id, topic, State(0, state, events), kind)
    entry = {"request": {"method": "GET", "url": _url(base, f"Subscription/{subscription.id}/$status")}, "response": {"status": "200"}}
    return {"resourceType": "Bundle", "id": id_, "meta": {"profile": [BACKPORT + "backport-subscription-notification-r4"]},
            "type": "history", "timestamp": at, "entry": [_identified(entry, parameters, id_)]}


def _identified(entry: Resource, parameters: Resource, id_: str) -> Resource:
    own = _id(id_, "status")
    rest = {name: value for name, value in entry.items() if name not in ("fullUrl", "resource")}
    return {"fullUrl": f"urn:uuid:{own}", "resource": {**parameters, "id": own}, **rest}


def _entry(base: str, item: Item, full: bool) -> Resource:
    method, code = ENTRY[item.method]
    entry: Resource = {"fullUrl": _url(base, item.local)}
    if full and item.resource is not None:
        entry["resource"] = item.resource
    entry["request"] = {"method": method, "url": item.type if method == "POST" else item.local}
    entry["response"] = {"status": code, "etag": f'W/"{item.version}"', "lastModified": item.updated}
    return entry


def _less(bundle: Resource, content: str) -> Resource:
    """The same notification with no more than this content."""
    if content not in CONTENTS[:2]:
        return bundle
    status_entry = bundle["entry"][0]
    if content == "id-only":
        return {**bundle, "entry": [status_entry, *({k: v for k, v in entry.items() if k != "resource"} for entry in bundle["entry"][1:])]}
    parameters = [
        {**one, "part": [part for part in one["part"] if part["name"] in ("event-number", "timestamp")]} if one["name"] == "notification-event" else one
        for one in status_entry["resource"]["parameter"] if one["name"] != "topic"
    ]
    return {**bundle, "entry": [{**status_entry, "resource": {**status_entry["resource"], "parameter": parameters}}]}


def _url(base: str, local: str) -> str:
    return f"{base}/{local}" if base else local


def _id(*parts: str) -> str:
    return str(uuid5(NAMESPACE_URL, "\n".join(("https://icops-fhir.org/fhir/notification", *parts))))
