"""The durable half of notifying: changes become numbered events in the transaction that moves the cursor.

Store first, send after (docs/decisions): a crash before the commit leaves nothing, after it everything.

    feed ─ look (a snapshot, no lock) ─► steps ─ keep (one job of the writer) ─► states, events, cursor
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from icops_fhir.fhir import json
from icops_fhir.fhir.issue import FhirError
from icops_fhir.store.engine import prepare
from icops_fhir.store.protocol import Change, Reader, Transaction, Version
from icops_fhir.subscriptions import notification
from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions import subscription as subscriptions
from icops_fhir.subscriptions.notification import Item
from icops_fhir.subscriptions.state import Limits, State
from icops_fhir.subscriptions.subscription import Subscription
from icops_fhir.subscriptions.topic import Topic

log = logging.getLogger(__name__)
BATCH = 200     # changes of one look
SUBSCRIPTIONS = 10_000  # served at one time; one more is in error and says so
STEPS = 2000    # and no change more once it has given so many steps, so that the writer is never held for long


@dataclass(frozen=True, slots=True)
class Live:
    """A subscription as the worker knows it: what it says (None when it cannot be served) and where it stands."""

    subscription: Subscription | None
    state: State


class Follow(NamedTuple):
    """A Subscription was written or deleted."""

    id: str
    version: int
    subscription: Subscription | None
    refused: str
    deleted: bool
    verified: bool      # same channel as the version before


class Fire(NamedTuple):
    """A change that a subscription is to hear of."""

    id: str
    subscription: Subscription
    sequence: int
    focus: Item
    context: tuple[Item, ...]


class Plan(NamedTuple):
    """What a stretch of the feed means; `upto` is its last number."""

    upto: int
    steps: list[Follow | Fire]


def load(reader: Reader) -> dict[str, Live]:
    """Every stored subscription, after a start."""
    found: dict[str, Live] = {}
    after = ""
    while page := reader.records(states.STATE, after_key=after, limit=500):
        for record in page:
            state = states.loads(record.body)
            found[record.key] = Live(_served(reader.vread("Subscription", record.key, state.version))[0], state)
        after = page[-1].key
    return found


def look(reader: Reader, after: int, known: Mapping[str, Live]) -> Plan:
    """The steps of the next changes, evaluated against each subscription as it is at that point of the feed."""
    changes = reader.changes(after, BATCH)
    now = {id_: live.subscription for id_, live in known.items() if live.subscription is not None}
    steps: list[Follow | Fire] = []
    upto = after
    for change in changes:
        if len(steps) >= STEPS:
            break
        upto = change.sequence
        if change.type == "Subscription":
            steps.append(_follow(reader, change, now, known))
        elif any(change.type in one.topic.types for one in now.values()):
            steps += _fires(reader, change, now)
    return Plan(upto, steps)


def keep(transaction: Transaction, plan: Plan, limits: Limits, base: str) -> dict[str, Live]:
    """Numbers, notifications, states and cursor, all or nothing; answers the subscriptions touched."""
    touched: dict[str, Live] = {}
    for step in plan.steps:
        record = transaction.record(states.STATE, step.id)
        before = states.loads(record.body) if record else None
        if isinstance(step, Follow):
            after = _followed(transaction, step, before)
            subscription = step.subscription
        elif before is None or not before.counted:
            continue
        else:
            after = _numbered(transaction, step, before, limits, base)
            subscription = step.subscription
        if after is not None:
            touched[step.id] = Live(subscription, _put(transaction, step.id, after))
    transaction.advance(states.CURSOR, plan.upto)
    return touched


def settle(transaction: Transaction, id_: str, change: Callable[[State], State], limits: Limits) -> State | None:
    """One change of one state (delivered, failed, ended …), with the Subscription that shows it; None when it is gone."""
    record = transaction.record(states.STATE, id_)
    if record is None:
        return None
    before = states.loads(record.body)
    after = change(before)
    if after.status != before.status:
        after = _shown(transaction, id_, after)
    after, forgotten = states.prune(after, limits)
    for number in forgotten:
        transaction.drop(states.EVENT, states.key(id_, number))
    return before if after == before else _put(transaction, id_, after)


def events(reader: Reader, id_: str, first: int, last: int) -> list[dict[str, Any]]:
    """The kept notifications of these numbers, in order."""
    found = (reader.record(states.EVENT, states.key(id_, number)) for number in range(first, last + 1))
    return [json.loads(record.body)["bundle"] for record in found if record is not None]


def _follow(reader: Reader, change: Change, now: dict[str, Subscription], known: Mapping[str, Live]) -> Follow:
    before = now.pop(change.id, None)
    if change.method == "delete":
        return Follow(change.id, change.version, None, "", True, False)
    found, refused = _served(reader.vread("Subscription", change.id, change.version))
    if found is not None and len(now) >= SUBSCRIPTIONS:
        found, refused = None, f"this server serves {SUBSCRIPTIONS} subscriptions at most / ce serveur sert {SUBSCRIPTIONS} abonnements au plus"
    if found is not None:
        now[change.id] = found
    verified = found is not None and before is not None and found.channel == before.channel
    return Follow(change.id, change.version, found, refused, False, verified)


def _fires(reader: Reader, change: Change, now: Mapping[str, Subscription]) -> list[Fire]:
    version = reader.vread(change.type, change.id, change.version)
    if version is None:
        return []
    current = _resource(version)
    previous = _resource(reader.vread(change.type, change.id, change.version - 1)) if change.version > 1 else None
    focus = Item(change.type, change.id, change.version, change.method, version.updated, current)
    shown = (previous if current is None else current) or {}
    context: dict[str, tuple[Item, ...] | None] = {}    # per topic what goes along, None when it does not fire: asked once for all subscribers
    fires = []
    for id_, subscription in now.items():
        topic = subscription.topic
        if topic.url not in context:
            context[topic.url] = _along(reader, topic, shown) if topic.triggered(previous, current) else None
        along = context[topic.url]
        if along is not None and subscription.stands(version.updated).fires and subscription.admits(shown).fires:
            fires.append(Fire(id_, subscription, change.sequence, focus, along))
    return fires


def _along(reader: Reader, topic: Topic, shown: dict[str, Any]) -> tuple[Item, ...]:
    return tuple(_item(found) for local in topic.related(shown) if (found := reader.read(*local.split("/"))))


def _followed(transaction: Transaction, step: Follow, before: State | None) -> State | None:
    if before is not None and step.version <= before.version:
        return None     # written by us, with the state that says it
    for number in range(before.oldest, before.events + 1) if before is not None and before.deleted else ():
        transaction.drop(states.EVENT, states.key(step.id, number))     # what was still to be pruned
    if step.deleted:
        return states.remove(before, step.version) if before else None
    if step.subscription is None:
        return _shown(transaction, step.id, states.refuse(before, step.version, step.refused))
    after = states.follow(before, step.version, step.subscription.status, verified=step.verified)
    return after if after.status == step.subscription.status else _shown(transaction, step.id, after)


def _numbered(transaction: Transaction, step: Fire, before: State, limits: Limits, base: str) -> State:
    after = states.count(before, limits)
    if after.events == before.events:
        return _shown(transaction, step.id, after)
    bundle = notification.event(base, step.subscription, after.events, step.focus, step.context)
    focus = f"{step.focus.local}/_history/{step.focus.version}"
    body = json.dumps({"number": after.events, "sequence": step.sequence, "focus": focus, "bundle": bundle})
    transaction.put(states.EVENT, states.key(step.id, after.events), body, owner=step.id)
    return after if after.due else replace(after, due=transaction.instant)


def _shown(transaction: Transaction, id_: str, state: State) -> State:
    """The stored Subscription never contradicts its state: status and error are written with it."""
    current = transaction.read("Subscription", id_)
    if current is None or current.deleted or current.version != state.version:
        return state    # a newer version is on its way through the feed
    resource = json.loads(current.body)
    told = {**resource, "status": state.status}
    told.pop("error", None)
    if state.error and state.status in ("error", "off"):
        told["error"] = state.error
    if json.same(told, resource):
        return state
    return replace(state, version=transaction.write(prepare(told, id=id_), expected=current.version).version)


def _put(transaction: Transaction, id_: str, state: State) -> State:
    state = replace(state, revision=state.revision + 1)
    transaction.put(states.STATE, id_, states.dumps(state), due=state.due)
    return state


def _served(version: Version | None) -> tuple[Subscription | None, str]:
    resource = _resource(version)
    if resource is None:
        return None, ""
    try:
        return subscriptions.read(resource), ""
    except FhirError as error:
        return None, " ".join(f"{issue.diagnostics} / {issue.french}" for issue in error.issues)


def _resource(version: Version | None) -> dict[str, Any] | None:
    return None if version is None or version.deleted else json.loads(version.body)


def _item(version: Version) -> Item:
    return Item(version.type, version.id, version.version, "read", version.updated, _resource(version))
