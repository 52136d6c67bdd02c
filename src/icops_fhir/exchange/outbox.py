"""Messages that wait for their destination: one lane per patient, the head of a lane first, never two at once.

A message stays here until its acknowledgment is committed: after a crash the same bytes leave again, with the same
MSH-10, so that the receiver recognises them. What cannot be delivered becomes a Task for an operator.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from icops_fhir.exchange.outbound import Outgoing
from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import Resource, dumps, loads
from icops_fhir.store.protocol import Prepared, Reader, Record, Transaction

FAILED = "outbound-failed"  # messages given up, with the reason; owner = route
ALWAYS = "9999-12-31T23:59:59.999Z"
TASKS = "https://icops-fhir.org/fhir/CodeSystem/operator-task"
_NAMESPACE = uuid.UUID("5d0c9a1e-6d0b-5c0e-9d53-2f6a4c1b7e88")


@dataclass(frozen=True, slots=True)
class Item:
    """One message that waits."""

    key: str
    route: str
    patient: str
    resource: str
    event: str
    control_id: str
    sender: str
    body: bytes
    created: str
    attempts: int = 0
    refusals: int = 0

    def json(self) -> bytes:
        names = ("route", "patient", "resource", "event", "control_id", "sender", "created", "attempts", "refusals")
        return dumps({**{name: getattr(self, name) for name in names}, "message": base64.b64encode(self.body).decode()})


def kind(route: str) -> str:
    """The records of one route's queue."""
    return f"outbound-{route}"


def item(record: Record) -> Item:
    said: dict[str, Any] = dict(loads(record.body))
    body = base64.b64decode(said.pop("message"))
    return Item(key=record.key, body=body, **said)


def put(tx: Transaction, outgoing: Outgoing, sequence: int) -> None:
    """At the end of its patient's lane; due at once when the lane is empty."""
    o = outgoing
    new = Item(f"{o.patient}|{sequence:015d}|{o.resource}", o.route, o.patient, o.resource, o.event, o.control_id, o.sender, o.body, tx.instant)
    waiting = tx.records(kind(o.route), owner=o.patient, limit=1)
    tx.put(kind(o.route), new.key, new.json(), owner=o.patient, due="" if waiting else tx.instant)


def due(route: str, now: str, reader: Reader, limit: int = 50) -> list[Item]:
    """The heads of the lanes whose time has come, the longest waiting first."""
    return [item(record) for record in reader.records(kind(route), due_before=now, limit=limit)]


def next_due(route: str, reader: Reader) -> str:
    """When the next head is due, "" when nothing waits."""
    found = reader.records(kind(route), due_before=ALWAYS, limit=1)
    return found[0].due if found else ""


def keep(tx: Transaction, waiting: Item, due: str) -> None:
    """It waits on: tried again when due, with whatever changed in it."""
    if tx.record(kind(waiting.route), waiting.key) is not None:
        tx.put(kind(waiting.route), waiting.key, waiting.json(), owner=waiting.patient, due=due)


def done(tx: Transaction, sent: Item) -> None:
    """Acknowledged: the next of its lane is due."""
    tx.drop(kind(sent.route), sent.key)
    for record in tx.records(kind(sent.route), owner=sent.patient, limit=1):
        tx.put(kind(sent.route), record.key, record.body, owner=record.owner, due=tx.instant)


def give_up(tx: Transaction, lost: Item, task: Prepared) -> None:
    """Kept with its reason, shown to an operator; the next of its lane, which holds its edit too, is tried."""
    tx.put(FAILED, f"{lost.route}|{lost.key}", lost.json(), owner=lost.route)
    tx.write(task)
    done(tx, lost)


def task(route: str, resource: str, patient: str, event: str, name: str, issues: Iterable[Issue], now: str) -> Resource:
    """The Task of an operator for a message that could not be told. `name` makes it the same Task when asked twice."""
    said = list(issues)
    current = resource.partition("/_history/")[0]
    english = f"{event} for {current} was not delivered to {route}: " + "; ".join(i.diagnostics for i in said)
    french = f"{event} pour {current} non remis à {route} : " + "; ".join(i.french or i.diagnostics for i in said)
    out: Resource = {
        "resourceType": "Task", "id": str(uuid.uuid5(_NAMESPACE, f"{route}|{name}")), "status": "requested", "intent": "order", "priority": "urgent",
        "code": {"coding": [{"system": TASKS, "code": "outbound-failed", "display": "Message not delivered"}], "text": "Message non remis / Message not delivered"},
        "description": f"{english} / {french}",
        "focus": {"reference": resource},
        "authoredOn": now, "lastModified": now,
        "reasonCode": {"coding": [{"system": TASKS, "code": i.rule or i.code} for i in said[:1]], "text": "; ".join(i.diagnostics for i in said) or event},
        "input": [{"type": {"text": "route"}, "valueString": route}, {"type": {"text": "MSH-10"}, "valueString": name}],
    }  # fmt: skip
    if patient:
        out["for"] = {"reference": patient}
    return out
