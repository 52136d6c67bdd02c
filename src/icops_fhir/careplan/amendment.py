"""A movement corrected (Z99): untouched Tasks are moved to the new date, takers are told, no second set is made.

A corrected destination (ZFM-2, ZFM-4) exchanges the Tasks that no longer fit for those that do; an admission corrected to
a consultation (PV1-2) is taken back. IHE PAM-FR §5.3.2.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from icops_fhir.careplan import communication as c
from icops_fhir.careplan import event as e
from icops_fhir.careplan import home
from icops_fhir.careplan.activity import anchor, is_of, kind_of, linked, made, rescheduled
from icops_fhir.careplan.cancellation import cancel
from icops_fhir.careplan.codes import has_code, reason
from icops_fhir.careplan.current import Pathway, Resource
from icops_fhir.careplan.definition import Group, group, named_event
from icops_fhir.careplan.event import Event
from icops_fhir.careplan.hold import STAY
from icops_fhir.careplan.home import INSIDE
from icops_fhir.careplan.insertion import insert
from icops_fhir.careplan.task import closed, is_open, is_untouched, part
from icops_fhir.careplan.when import before, french


def amend(event: Event, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """What the correction changes in one plan; nothing for a movement that brought it nothing, or was cancelled."""
    mine = [t for t in pathway.tasks_of(plan) if is_of(event, t, plan, pathway)]
    tasks = [t for t in mine if not has_code(t.get("statusReason"), c.COUNTER)]  # the others were taken back
    notices = pathway.notices_of(plan)
    firsts = [n for n in c.standing(notices) if is_of(event, n, plan, pathway)]
    if false_deaths := [n for n in firsts if part(c.maker(n), "event") == e.DEATH]:
        out = [c.counter_notice(n, plan) for n in false_deaths]
        return out + insert(replace(event, action=e.INSERT), plan, pathway.put(out), now)
    if event.kind == e.ADMISSION and event.patient_class not in ("", *INSIDE):
        return cancel(event, plan, pathway, now)  # it was a consultation after all
    if not (tasks or firsts) or (len(tasks) < len(mine) and not any(is_open(t) for t in tasks)):
        return []
    if any(before(event.recorded, part(c.maker(r), "recorded")) for r in (*tasks, *firsts)):
        return []
    kind = kind_of((*tasks, *firsts)[0], plan, pathway)
    event = event if event.kind else replace(event, kind="discharge" if kind.startswith("discharge-") else kind)
    was = c.told_last(firsts[0], notices)[0] if firsts else kind
    turned = event.kind == e.DISCHARGE and bool(event.discharge_mode or event.destination)
    asked = group(named_event(event, pathway) if turned else was, plan, pathway)
    out = _tasks(event, tasks, asked, turned, plan, pathway, now)
    for first in firsts:
        before_, on = c.told_last(first, notices)
        date = anchor(event) or on
        if (before_, on) != (asked.event, date):
            out.append(c.correction(first, event, asked.event, plan, date))
    if turned:
        after = pathway.put(r for r in out if r["resourceType"] in ("Task", "CarePlan"))
        out += _homes(event, asked, plan, after, now)
    return out


def _tasks(event: Event, tasks: list[Resource], asked: Group, turned: bool, plan: Resource, pathway: Pathway,
           now: datetime) -> list[Resource]:  # fmt: skip
    out: list[Resource] = []
    words: list[Resource | None] = []
    wanted = {a.uri for a in asked.activities}
    for task in filter(is_open, tasks):
        title = task.get("description", "")
        if turned and task.get("instantiatesUri") not in wanted:
            out.append(closed(task, now, reason("destination-changed")))
            if not is_untouched(task):
                words.append(c.to_owner(task, plan, "task-cancelled", f"La destination de sortie a été rectifiée : la tâche « {title} » est annulée."))
        elif is_untouched(task):
            if later := rescheduled(task, event, plan, pathway, now):
                out.append(later)
        elif (date := anchor(event)) and date != part(c.maker(task), "date"):
            words.append(c.to_owner(task, plan, "task-rescheduled", f"La date a été rectifiée ({french(date)}) : la tâche « {title} » est à reprogrammer.", date))
    if turned:
        standing = {t.get("instantiatesUri") for t in tasks if t["status"] != "cancelled"}
        ids = {t["id"] for t in tasks}
        for activity in asked.activities:
            if activity.uri not in standing:
                new = made(event, activity, plan, pathway, now)
                out.append(new if new["id"] not in ids else made(event, activity, plan, pathway, now, event.recorded))
        out += linked(plan, [t for t in out if t["id"] not in ids])
    known = {n["id"] for n in pathway.communications}
    return out + [w for w in words if w is not None and w["id"] not in known]


def _homes(event: Event, asked: Group, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    if asked.home == "keep":
        return home.hold(event, STAY, plan, pathway, now)
    return home.inserted(event, asked.home, plan, pathway, now)
