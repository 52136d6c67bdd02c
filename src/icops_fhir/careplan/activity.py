"""Activities: the Tasks a movement makes from a group, their dates, and CarePlan.activity that refers to them.

https://hl7.org/fhir/R4/careplan-definitions.html#CarePlan.activity (cpl-3: a reference or a detail, never both)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from icops_fhir.careplan import team
from icops_fhir.careplan.codes import MADE_BY, TASK_ID
from icops_fhir.careplan.communication import made_by, maker, maker_identifier
from icops_fhir.careplan.current import Pathway, Resource, local
from icops_fhir.careplan.definition import Activity, activity
from icops_fhir.careplan.event import (
    ANNOUNCED_DISCHARGE,
    DEATH,
    MOVEMENT,
    PLANNED_ADMISSION,
    Event,
    identifier,
    made_id,
)
from icops_fhir.careplan.task import part, without
from icops_fhir.careplan.when import before, instant


def anchor(event: Event) -> str:
    """The date the work of an event is counted from."""
    if event.kind == ANNOUNCED_DISCHARGE:
        return event.planned
    if event.kind == PLANNED_ADMISSION:
        return event.planned or event.at
    return event.at


def made(event: Event, wanted: Activity, plan: Resource, pathway: Pathway, now: datetime, *salt: str) -> Resource:
    """The Task of one activity for one movement."""
    action, date = wanted.action, anchor(event)
    id = made_id(event.movement, plan["id"], wanted.uri, *salt)
    role = next((p["role"] for p in action.get("participant", ()) if "role" in p), None)
    out: Resource = {
        "resourceType": "Task",
        "id": id,
        "extension": [made_by(event, wanted.group, date)],
        "identifier": [{"system": TASK_ID, "value": id}],
        "instantiatesCanonical": wanted.definition,
        "instantiatesUri": wanted.uri,
        "basedOn": [{"reference": f"CarePlan/{plan['id']}"}],
        "groupIdentifier": identifier(event.movement),
        "status": "requested",
        "intent": "order",
        "priority": action.get("priority", "routine"),
        "description": action.get("title", wanted.id),
        "for": plan["subject"],
        "authoredOn": instant(now),
        "lastModified": instant(now),
        "requester": plan.get("author") or {"type": "Device", "display": "icops-fhir"},
    }
    if "code" in action:
        out["code"] = action["code"][0]
    if event.encounter:
        out["encounter"] = {"reference": event.encounter}
    if owner := team.owner(role, plan, pathway, now):
        out["owner"] = owner
    if role:
        out["performerType"] = [role]
    if text := action.get("description"):
        out["note"] = [{"text": text}]
    if period := wanted.period(date):
        out["restriction"] = {"period": period}
    return out


def linked(plan: Resource, tasks: Iterable[Resource]) -> list[Resource]:
    """The plan whose activities refer to the Tasks; nothing when they all did."""
    there = {local(a.get("reference", {}).get("reference", "")) for a in plan.get("activity", ())}
    new = [{"reference": {"reference": ref}} for t in tasks if (ref := f"Task/{t['id']}") not in there]
    return [{**plan, "activity": [*plan.get("activity", ()), *new]}] if new else []


def rescheduled(task: Resource, event: Event, plan: Resource, pathway: Pathway, now: datetime) -> Resource | None:
    """The Task counted from the event's date; a period somebody chose by hand stays. None when nothing changes.

    The caller has seen that the event is not older than what the Task knows.
    """
    wanted = activity(task.get("instantiatesUri", ""), plan, pathway)
    old, new = part(maker(task), "date"), anchor(event) or part(maker(task), "date")
    if wanted is None:
        return None
    if new == old and not before(part(maker(task), "recorded"), event.recorded):
        return None
    parts = [x for x in maker(task).get("extension", ()) if x["url"] not in ("date", "recorded")]
    parts += [{"url": "date", "valueDateTime": new}] if new else []
    parts += [{"url": "recorded", "valueDateTime": event.recorded}] if event.recorded else []
    out = without(task, "extension", MADE_BY)
    out = {**out, "extension": [{"url": MADE_BY, "extension": parts}, *out.get("extension", ())]}
    if new == old:
        return out
    limits = task.get("restriction", {})
    if limits.get("period", {}) == wanted.period(old):
        limits = {k: v for k, v in limits.items() if k != "period"}
        period = wanted.period(new)
        out = {k: v for k, v in out.items() if k != "restriction"}
        if limits or period:
            out["restriction"] = {**limits, **({"period": period} if period else {})}
    return {**out, "lastModified": instant(now)}


def family(kind: str) -> str:
    """The kind of movement behind a named event: "discharge-home" -> "discharge"."""
    return "discharge" if kind.startswith("discharge-") else kind


def kind_of(resource: Resource, plan: Resource, pathway: Pathway) -> str:
    """The named event that made a Task or a notice, "" when none did."""
    if found := part(maker(resource), "event"):
        return found
    wanted = activity(resource.get("instantiatesUri", ""), plan, pathway)
    return wanted.group if wanted else ""


def covers(movement: str, other: dict[str, Any]) -> bool:
    """Whether a movement key means that identifier; a key of ours may leave the date open ("A03/visit/*^sender^")."""
    if movement and identifier(movement) == {k: other[k] for k in ("system", "value") if k in other}:
        return True
    if not is_open_key(movement) or other.get("system") != MOVEMENT:
        return False
    head, _, tail = movement.partition("*^")
    heads = (head, "A04" + head.removeprefix("A01")) if head.startswith("A01/") else (head,)  # A11 cancels both
    value = str(other.get("value", ""))
    return value.startswith(heads) and value.endswith(f"^{tail}")


def is_open_key(movement: str) -> bool:
    """Whether a key of ours leaves the date open."""
    return "/*^" in movement


def is_of(event: Event, resource: Resource, plan: Resource, pathway: Pathway) -> bool:
    """Whether the movement of the event made that Task or notice (some senders give one number to two movements)."""
    made = resource.get("groupIdentifier") or maker_identifier(resource)
    if not made or not covers(event.movement, made):
        return False
    return not event.kind or family(kind_of(resource, plan, pathway)) in (event.kind, DEATH, "")
