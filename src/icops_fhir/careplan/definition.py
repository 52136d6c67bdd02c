"""The pathway's definition: PlanDefinitions say which event asks for which work, for whom and by when.

https://hl7.org/fhir/R4/plandefinition.html. A group is a top-level action with a named-event trigger; its actions are the
Tasks, its participants those who are told, its textEquivalent what they are told. Data in profiles/pathways, never code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from icops_fhir.careplan.codes import BASE, HOME_TASKS
from icops_fhir.careplan.current import Pathway, Resource
from icops_fhir.careplan.event import DISCHARGE, Event
from icops_fhir.careplan.when import UNITS, shifted

COORDINATION = BASE + "PlanDefinition/coordination"  # what every pathway does at its hospital ↔ town crossings
ORIENTATION = BASE + "ConceptMap/discharge-orientation"  # ZFM-2, with ZFM-4 -> where the person goes


class Activity(NamedTuple):
    """One action of a group: what becomes a Task."""

    uri: str  # PlanDefinition url#action id
    definition: str
    group: str  # the named event
    action: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.action["id"])

    def period(self, anchor: str) -> dict[str, str]:
        """When the work is wanted, from the date of the event: relatedAction of the group, before or after."""
        for related in self.action.get("relatedAction", ()):
            offset = related.get("offsetDuration")
            if not anchor or not offset:
                continue
            by = float(offset["value"]) * UNITS.get(offset.get("code", ""), timedelta(days=1))
            if related["relationship"].startswith("before"):
                end = shifted(anchor, -by)
                return {"end": end} if end else {}
            end = shifted(anchor, by)
            return {"start": anchor, "end": end} if end else {}
        return {}


class Group(NamedTuple):
    """What one named event asks for, from every definition the plan follows."""

    event: str
    activities: tuple[Activity, ...] = ()
    told: tuple[dict[str, Any], ...] = ()  # roles, CodeableConcepts
    text: str = ""  # with {date}
    home: str = ""  # suspend | resume | keep


def _definitions(plan: Resource, pathway: Pathway) -> Iterator[Resource]:
    """The common definition, then those the CarePlan names."""
    urls = dict.fromkeys([COORDINATION, *(str(c).partition("|")[0] for c in plan.get("instantiatesCanonical", ()))])
    return (found for url in urls if (found := pathway.definitions.get(url)) is not None)


def _named(action: dict[str, Any], event: str) -> bool:
    return any(t.get("type") == "named-event" and t.get("name") == event for t in action.get("trigger", ()))


def group(event: str, plan: Resource, pathway: Pathway) -> Group:
    """The group of a named event for a plan; an empty one when nothing is asked."""
    out = Group(event)
    for definition in _definitions(plan, pathway):
        for action in definition.get("action", ()):
            if not _named(action, event):
                continue
            url = definition["url"]
            made = tuple(Activity(f"{url}#{a['id']}", url, event, a) for a in action.get("action", ()))
            told = tuple(p["role"] for p in action.get("participant", ()) if "role" in p)
            home = next((x["valueCode"] for x in action.get("extension", ()) if x["url"] == HOME_TASKS), "")
            out = Group(
                event, out.activities + made, out.told + told, out.text or action.get("textEquivalent", ""), out.home or home
            )
    return out


def activity(uri: str, plan: Resource, pathway: Pathway) -> Activity | None:
    """The activity a Task was made from (Task.instantiatesUri)."""
    for definition in _definitions(plan, pathway):
        for top in definition.get("action", ()):
            for action in top.get("action", ()):
                if f"{definition['url']}#{action['id']}" == uri:
                    names = [t["name"] for t in top.get("trigger", ()) if t.get("type") == "named-event"]
                    return Activity(uri, definition["url"], names[0], action)
    return None


def named_event(event: Event, pathway: Pathway) -> str:
    """The named event of a movement: its kind; a discharge also says where the person goes."""
    if event.kind != DISCHARGE:
        return event.kind
    return f"{DISCHARGE}-{_orientation(event, pathway.definitions.get(ORIENTATION, {}))}"


def _orientation(event: Event, table: Resource) -> str:
    for part in table.get("group", ()):
        for element in part.get("element", ()):
            if element.get("code") != (event.discharge_mode or "unsaid"):
                continue
            for target in element.get("target", ()):
                if all(d["value"] == event.destination for d in target.get("dependsOn", ())):
                    return str(target["code"])
        if "unmapped" in part:
            return str(part["unmapped"]["code"])
    return "home"
