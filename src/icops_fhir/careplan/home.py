"""What an event does to home Tasks: hold them, give them back, or leave them, as the definition's group says.

The holds follow where the person is: in hospital or at the emergency department, on leave, or back home.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from icops_fhir.careplan import event as e
from icops_fhir.careplan.current import Pathway, Resource, local
from icops_fhir.careplan.event import Event
from icops_fhir.careplan.hold import ABSENCE, STAY, is_home, resumed, suspended

INSIDE = ("I", "E")  # classes during which nobody is at home


def _tasks(plan: Resource, pathway: Pathway) -> list[Resource]:
    return [task for task in pathway.tasks_of(plan) if is_home(task)]


def hold(event: Event, cause: str, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """The home Tasks that this venue puts on hold."""
    if not event.encounter:
        return []
    return [t for task in _tasks(plan, pathway) if (t := suspended(task, cause, event.encounter, now))]


def _free(lifted: Callable[[str, str], bool], plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    return [t for task in _tasks(plan, pathway) if (t := resumed(task, lifted, now))]


def inserted(event: Event, effect: str, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """After a movement: `effect` is its group's."""
    here = local(event.encounter)
    if event.kind in (e.ABSENCE, e.RETURN):
        if pathway.moved_since(event.encounter, event.at):
            return []
        if effect == "suspend":
            return hold(event, ABSENCE, plan, pathway, now)
        return _free(lambda cause, venue: cause == ABSENCE and venue == here, plan, pathway, now)
    if event.kind == e.CLASS_CHANGE:
        if event.patient_class in INSIDE:
            return hold(event, STAY, plan, pathway, now)
        return _free(lambda cause, venue: venue == here, plan, pathway, now)
    if effect == "suspend":
        return hold(event, STAY, plan, pathway, now)
    if effect == "resume":
        return _free(lambda cause, venue: venue == here or pathway.over(venue), plan, pathway, now)
    return []


def left(event: Event, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """After the venue alone is closed (A03 of an outpatient or an emergency): its own holds go."""
    return _free(lambda cause, venue: venue == local(event.encounter), plan, pathway, now)


def cancelled(event: Event, venues: set[str], live: bool, plan: Resource, pathway: Pathway, now: datetime) -> list[Resource]:
    """After a cancellation: as if the movement had not been. `live`: its effects were still there."""
    here = local(event.encounter)
    inside = event.patient_class in INSIDE
    if event.kind in (e.ADMISSION, e.PLANNED_ADMISSION):
        if event.scope == "movement" and inside:
            return []
        return _free(lambda cause, venue: venue in venues, plan, pathway, now)
    if event.kind == e.ABSENCE:
        return _free(lambda cause, venue: cause == ABSENCE and venue == here, plan, pathway, now)
    if pathway.over(event.encounter, event.at):
        return []
    known = pathway.movement(event.encounter, event.movement) is not None
    if event.kind == e.RETURN and known and not pathway.moved_since(event.encounter, event.at):
        return hold(event, ABSENCE, plan, pathway, now)
    if event.kind == e.CLASS_CHANGE and inside and known:
        return hold(event, STAY, plan, pathway, now)
    if event.kind == e.DISCHARGE and inside and live:
        return hold(event, STAY, plan, pathway, now)
    return []

