"""A movement cancelled: its Tasks and its notices are taken back, what was done stays done.

Untouched Tasks are cancelled; those accepted or in progress are cancelled and their owners told; completed ones stay; the
counter-notice goes to exactly the recipients of the first. Scenario S3.
"""

from __future__ import annotations

from datetime import datetime

from icops_fhir.careplan import communication as c
from icops_fhir.careplan import event as e
from icops_fhir.careplan import home
from icops_fhir.careplan.activity import is_of, is_open_key
from icops_fhir.careplan.codes import REASONS, reason
from icops_fhir.careplan.current import Pathway, Resource, local
from icops_fhir.careplan.event import Event
from icops_fhir.careplan.task import closed, is_open, is_untouched, part
from icops_fhir.careplan.when import before


def cancel(event: Event, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """What the cancellation takes back from one plan; nothing for a movement that brought it nothing."""
    venues = pathway.dossier(event.encounter) if event.scope == "dossier" else {local(event.encounter)}

    def concerned(made: Resource) -> bool:
        if (event.kind == e.DEATH or is_open_key(event.movement)) and before(event.recorded, part(c.maker(made), "recorded")):
            return False  # said after this cancellation, which names no movement
        if event.kind == e.DEATH:
            return part(c.maker(made), "event") == e.DEATH
        if event.scope == "movement":
            return is_of(event, made, plan, pathway)
        venue = local(made.get("encounter", {}).get("reference", ""))
        return is_of(event, made, plan, pathway) or bool(c.maker(made) and venue and venue in venues)

    notices = pathway.notices_of(plan)
    tasks = [t for t in pathway.tasks_of(plan) if is_open(t) and concerned(t)]
    firsts = [n for n in c.standing(notices) if concerned(n)]
    why = reason(c.COUNTER, f"{REASONS[c.COUNTER]} ({event.trigger})" if event.trigger else "")
    out = [closed(t, now, why) for t in tasks]
    if not event.historic:
        words = (
            c.to_owner(t, plan, "task-cancelled", f"L'établissement a annulé le mouvement : la tâche « {t.get('description', '')} » est annulée.")
            for t in tasks
            if not is_untouched(t)
        )
        out += [w for w in words if w is not None]
        out += [c.counter_notice(n, plan) for n in firsts]
    live = bool(tasks or firsts)
    after = pathway.put(r for r in out if r["resourceType"] == "Task")
    return out + home.cancelled(event, venues, live, plan, after, now)
