"""How the pathway of one patient reacts to an event.

https://hl7.org/fhir/R4/careplan.html; IHE PAM-FR §5.3. Pure: the caller loads the pathway and writes what comes back.

    event ─┬─ CANCEL ──────────────► cancellation      Tasks and notices taken back
           ├─ dead ────────────────► death             everything stops, the coordinator is told
           ├─ historic, patient dead ► nothing
           ├─ UPDATE ──────────────► amendment         untouched Tasks take the new date
           └─ INSERT ──────────────► insertion         Tasks, notices, home Tasks held or given back
                   └─ PV2-9 ───────► announcement      of a discharge, told by another movement
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from icops_fhir.careplan.amendment import amend
from icops_fhir.careplan.cancellation import cancel
from icops_fhir.careplan.current import PLACES, Pathway, Resource
from icops_fhir.careplan.death import die
from icops_fhir.careplan.event import CANCEL, UPDATE, Event
from icops_fhir.careplan.insertion import announce, announcement, insert
from icops_fhir.fhir.json import same

__all__ = ["Pathway", "Resource", "react"]

Reaction = Callable[[Event, Resource, Pathway, datetime], list[Resource]]


def react(event: Event, pathway: Pathway, now: datetime) -> list[Resource]:
    """The resources to write, whole (new ones have deterministic ids); [] when no CarePlan of the patient is active.

    Law: applied again to what it left, it gives [].
    """
    after = pathway
    for what, reaction in _reactions(event, pathway):
        for plan in after.plans():
            after = after.put(reaction(what, plan, after, now))
    return list(_changed(pathway, after))


def _reactions(event: Event, pathway: Pathway) -> Iterator[tuple[Event, Reaction]]:
    if event.action == CANCEL:
        yield event, cancel
    elif event.dead:
        yield event, die
    elif event.historic:
        return
    elif event.action == UPDATE:
        yield event, amend  # also corrects a death told by mistake, whatever Patient.deceased still says
    elif not pathway.dead:
        yield event, insert
    if event.dead or pathway.dead or event.historic:
        return
    if told := announcement(event, pathway):
        yield told, cancel if told.action == CANCEL else announce


def _changed(before: Pathway, after: Pathway) -> Iterator[Resource]:
    for place in PLACES.values():
        was = {r["id"]: r for r in getattr(before, place)}
        for resource in getattr(after, place):
            old = was.get(resource["id"])
            if old is not resource and (old is None or not same(old, resource)):
                yield resource
