"""Task: its twelve statuses, the moves between them, and what a movement made of it.

https://hl7.org/fhir/R4/task.html#statemachine; https://hl7.org/fhir/R4/valueset-task-status.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from icops_fhir.careplan.codes import HOLD
from icops_fhir.careplan.current import Resource
from icops_fhir.careplan.when import instant

OPEN = ("draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold")
CLOSED = ("rejected", "cancelled", "failed", "completed", "entered-in-error")
UNTOUCHED = ("draft", "requested", "received")  # nobody has taken it yet
TAKEN = ("accepted", "ready", "in-progress")  # somebody counts on doing it

# From each status, where a Task may go. A hold keeps the status it interrupts and gives it back, whichever it was.
TRANSITIONS: dict[str, frozenset[str]] = {
    "draft": frozenset({"requested", "ready", "cancelled", "on-hold", "entered-in-error"}),
    "requested": frozenset({"received", "accepted", "rejected", "ready", "in-progress", "cancelled", "on-hold", "entered-in-error"}),
    "received": frozenset({"accepted", "rejected", "ready", "in-progress", "cancelled", "on-hold", "entered-in-error"}),
    "accepted": frozenset({"ready", "in-progress", "completed", "failed", "cancelled", "on-hold", "entered-in-error"}),
    "ready": frozenset({"in-progress", "completed", "failed", "cancelled", "on-hold", "entered-in-error"}),
    "in-progress": frozenset({"completed", "failed", "cancelled", "on-hold", "entered-in-error"}),
    "on-hold": frozenset({"draft", "requested", "received", "accepted", "ready", "in-progress", "failed", "cancelled", "entered-in-error"}),
    "rejected": frozenset({"entered-in-error"}),
    "cancelled": frozenset({"entered-in-error"}),
    "failed": frozenset({"entered-in-error"}),
    "completed": frozenset({"entered-in-error"}),
    "entered-in-error": frozenset(),
}  # fmt: skip


def own_status(task: Resource) -> str:
    """The status a Task has, or had before our hold; a hold put by a person counts as taken."""
    status = str(task.get("status", ""))
    if status != "on-hold":
        return status
    return next((before for hold in holds(task) if (before := part(hold, "status"))), "in-progress")


def is_open(task: Resource) -> bool:
    return task.get("status") in OPEN


def is_untouched(task: Resource) -> bool:
    return is_open(task) and own_status(task) in UNTOUCHED


def holds(task: Resource) -> list[dict[str, Any]]:
    """Our reasons to keep it on hold."""
    return [x for x in task.get("extension", ()) if x.get("url") == HOLD]


def part(extension: dict[str, Any], url: str) -> str:
    """The code, string, dateTime or reference under a part of a complex extension."""
    for x in extension.get("extension", ()):
        if x.get("url") == url:
            value = next((v for k, v in x.items() if k.startswith("value")), "")
            return str(value.get("reference", "") if isinstance(value, dict) else value)
    return ""


def without(resource: Resource, name: str, url: str) -> Resource:
    """The resource without the extensions of that url; the member goes when nothing is left in it."""
    left = [x for x in resource.get(name, ()) if x.get("url") != url]
    rest = {k: v for k, v in resource.items() if k != name}
    return {**rest, name: left} if left else rest


def moved(task: Resource, status: str, now: datetime, reason: dict[str, Any] | None) -> Resource:
    """The Task in another status, with its reason (None takes the reason away); a move the table forbids is refused."""
    if status not in TRANSITIONS[task["status"]]:
        raise ValueError(f"Task/{task['id']}: {task['status']} -> {status} is no move of the Task state machine")
    out = {k: v for k, v in task.items() if k != "statusReason"}
    out |= {"status": status, "lastModified": instant(now)}
    return {**out, "statusReason": reason} if reason else out


def closed(task: Resource, now: datetime, reason: dict[str, Any]) -> Resource:
    """The Task cancelled for a reason, no longer on hold."""
    return without(moved(task, "cancelled", now, reason), "extension", HOLD)
