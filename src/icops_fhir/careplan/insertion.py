"""A movement that happened: new Tasks, notices to the circle of care, home Tasks held or given back. Once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from icops_fhir.careplan import event as e
from icops_fhir.careplan import home
from icops_fhir.careplan.activity import anchor, family, is_of, kind_of, linked, made, rescheduled
from icops_fhir.careplan.codes import has_code, reason
from icops_fhir.careplan.communication import COUNTER, correction, firsts, maker, notice, standing, told_last
from icops_fhir.careplan.current import Pathway, Resource, local
from icops_fhir.careplan.definition import group, named_event
from icops_fhir.careplan.event import Event
from icops_fhir.careplan.task import closed, is_open, is_untouched, part
from icops_fhir.careplan.team import told
from icops_fhir.careplan.when import before

# A later one of these, in the same venue, takes the place of the one before it.
REPLACING = (e.DISCHARGE, e.ANNOUNCED_DISCHARGE)
# These mean nothing once the venue has ended.
BEFORE_THE_END = (e.ADMISSION, e.PLANNED_ADMISSION, e.ANNOUNCED_DISCHARGE, e.ABSENCE, e.RETURN, e.CLASS_CHANGE)


def patient_class(event: Event, pathway: Pathway) -> str:
    """PV1-2, else what the venue says."""
    venue = pathway.venue(event.encounter) or {}
    return event.patient_class or {"IMP": "I", "EMER": "E", "AMB": "O"}.get(venue.get("class", {}).get("code", ""), "I")


def insert(event: Event, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """What the movement brings to one plan; nothing when it was said before, or comes too late to mean anything."""
    if pathway.undone(event.encounter, event.movement):
        return []
    if event.kind in BEFORE_THE_END and pathway.over(event.encounter, event.at):
        return []
    if event.kind == e.DISCHARGE and patient_class(event, pathway) != "I":
        return home.left(event, plan, pathway, now)
    seen = _seen(event, plan, pathway)
    if seen and not _taken_back(event, seen, plan, pathway):
        return []
    again = [event.recorded] if seen else []  # cancelled, then inserted under the same number: a movement of its own
    there = _beside(event, plan, pathway)
    if any(before(event.recorded, part(maker(r), "recorded")) for r in there) and event.kind in REPLACING:
        return []
    asked = group(named_event(event, pathway), plan, pathway)
    if event.kind == e.ADMISSION:
        kept = [t for t in there if t["resourceType"] == "Task" and t["status"] not in ("cancelled", "entered-in-error")]
        quiet = any(n["resourceType"] == "Communication" for n in there)
        out = []
    else:
        kept = [t for t in there if t["resourceType"] == "Task" and is_open(t) and not is_untouched(t)]
        quiet = False
        out = [closed(t, now, reason("superseded")) for t in there if event.kind in REPLACING and is_untouched(t)]
    done = {t.get("instantiatesUri") for t in (*kept, *seen) if t.get("status") != "cancelled"}
    tasks = [made(event, a, plan, pathway, now, *again) for a in asked.activities if a.uri not in done]
    people = told(asked.told, plan, pathway, now) if asked.text and not quiet else []
    notices = [notice(event, asked.event, plan, person, asked.text, anchor(event), *again) for person in people]
    after = pathway.put([*out, *tasks])
    return [*out, *tasks, *linked(plan, tasks), *notices, *home.inserted(event, asked.home, plan, after, now)]


def _seen(event: Event, plan: Resource, pathway: Pathway) -> list[Resource]:
    """What this movement brought already."""
    return [r for r in (*pathway.tasks_of(plan), *firsts(pathway.notices_of(plan))) if is_of(event, r, plan, pathway)]


def _taken_back(event: Event, seen: list[Resource], plan: Resource, pathway: Pathway) -> bool:
    """Whether a cancellation took all of it back, and the movement was said anew since."""
    told_still = {n["id"] for n in standing(pathway.notices_of(plan))}
    tasks = [r for r in seen if r["resourceType"] == "Task"]
    undone = [t for t in tasks if has_code(t.get("statusReason"), COUNTER)]
    stands = any(is_open(t) for t in tasks) or any(r["id"] in told_still for r in seen if r["resourceType"] == "Communication")
    return not stands and (bool(undone) or not tasks) and all(before(part(maker(r), "recorded"), event.recorded) for r in seen)


def _beside(event: Event, plan: Resource, pathway: Pathway) -> list[Resource]:
    """Tasks and standing notices of other movements of that kind in the same venue."""
    if not event.encounter:
        return []
    return [
        r
        for r in (*pathway.tasks_of(plan), *standing(pathway.notices_of(plan)))
        if maker(r)
        and family(kind_of(r, plan, pathway)) == event.kind
        and local(r.get("encounter", {}).get("reference", "")) == local(event.encounter)
    ]


# ---------------------------------------------------------------- PV2-9 of any message of a hospital stay


def announcement(event: Event, pathway: Pathway) -> Event | None:
    """The announced discharge that another movement tells by its PV2-9; its key is the venue's, for it is one value."""
    said = event.kind in (e.ADMISSION, e.TRANSFER, e.RETURN, e.CLASS_CHANGE, "") and event.action != e.CANCEL
    if not said or not event.planned or not event.encounter or patient_class(event, pathway) != "I":
        return None
    key = f"PV2-9/{local(event.encounter)}^^"
    withdrawn = event.planned == '""'
    return replace(
        event, kind=e.ANNOUNCED_DISCHARGE, movement=key, action=e.CANCEL if withdrawn else e.INSERT,
        original="A16", planned="" if withdrawn else event.planned, scope="movement",
    )  # fmt: skip


def announce(event: Event, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """An announcement by PV2-9: one already made in this venue takes the new date, else it is a new one."""
    if pathway.over(event.encounter, event.at):
        return []
    there = _beside(event, plan, pathway)
    if not there:
        return insert(event, plan, pathway, now)
    notices = pathway.notices_of(plan)
    out: list[Resource] = []
    for r in there:
        if before(event.recorded, part(maker(r), "recorded")):
            continue
        if r["resourceType"] == "Communication":
            if told_last(r, notices)[1] != event.planned:
                out.append(correction(r, event, e.ANNOUNCED_DISCHARGE, plan, event.planned))
        elif is_untouched(r) and (later := rescheduled(r, event, plan, pathway, now)):
            out.append(later)
    return out
