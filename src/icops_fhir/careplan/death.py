"""Death: no new Task; open Tasks and reminders are cancelled, automatic messages stop, the coordinator is told once."""

from __future__ import annotations

from datetime import datetime

from icops_fhir.careplan import communication as c
from icops_fhir.careplan.activity import covers
from icops_fhir.careplan.codes import NOTICE_ID, reason
from icops_fhir.careplan.current import Pathway, Resource, local, refers
from icops_fhir.careplan.definition import group
from icops_fhir.careplan.event import DEATH, Event
from icops_fhir.careplan.task import closed, is_open, part
from icops_fhir.careplan.team import told
from icops_fhir.careplan.when import before


def die(event: Event, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """What remains to be stopped in one plan; nothing for a death that was taken back since."""
    why = reason(DEATH)
    notices = pathway.notices_of(plan)
    told_of = [n for n in c.firsts(notices) if part(c.maker(n), "event") == DEATH]
    standing = [n for n in c.standing(notices) if part(c.maker(n), "event") == DEATH]
    undone = [n for n in told_of if n not in standing and covers(event.movement, c.maker_identifier(n))]
    if any(not before(part(c.maker(n), "recorded"), event.recorded) for n in undone):
        return []
    out = [closed(t, now, why) for t in pathway.tasks_of(plan) if is_open(t)]
    out += [
        {**n, "status": "stopped", "statusReason": why}
        for n in notices
        if n.get("status") in c.PENDING and _automatic(n) and not _of_death(n, standing)
    ]
    out += [
        {**r, "status": "revoked", "statusReason": why}
        for r in pathway.reminders
        if r.get("status") in ("draft", "active", "on-hold") and (refers(r.get("basedOn"), plan) or not r.get("basedOn"))
    ]
    asked = group(DEATH, plan, pathway)
    if asked.text and not standing and not event.historic:
        again = [event.recorded] if undone else []
        people = told(asked.told, plan, pathway, now)
        out += [c.notice(event, DEATH, plan, person, asked.text, event.at, *again) for person in people]
    return out


def _automatic(notice: Resource) -> bool:
    return any(i.get("system") == NOTICE_ID for i in notice.get("identifier", ()))


def _of_death(notice: Resource, standing: list[Resource]) -> bool:
    ids = {f"Communication/{n['id']}" for n in standing}
    return f"Communication/{notice['id']}" in ids or any(local(r["reference"]) in ids for r in notice.get("inResponseTo", ()))
