"""The example pathway as a `Pathway`, events of its stay, and what inbound does around `react`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from icops_fhir.careplan import event as e
from icops_fhir.careplan.current import Pathway, Resource
from icops_fhir.careplan.event import Event
from icops_fhir.careplan.hold import is_home
from icops_fhir.careplan.pathway import react
from icops_fhir.fhir import packages

EXAMPLE = Path(__file__).parents[2] / "examples" / "pathway"
NOW = datetime(2026, 9, 2, 8, 20, tzinfo=UTC)
STAY = "Encounter/stay"
OPEN = ("requested", "received", "accepted", "ready", "in-progress", "on-hold")


def definitions() -> dict[str, Resource]:
    ours = packages.profiles()
    kinds = ("PlanDefinition", "ConceptMap")
    return {url: found for kind in kinds for url in ours.urls(kind) if (found := ours.get(kind, url)) is not None}


def example() -> Pathway:
    """pathway.json as a server would store it."""
    entries = json.loads((EXAMPLE / "pathway.json").read_text("utf-8"))["entry"]
    names = {x["fullUrl"]: f"{x['resource']['resourceType']}/{x['fullUrl'].removeprefix('urn:uuid:')}" for x in entries}

    def rewritten(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: names[v] if k == "reference" and isinstance(v, str) else rewritten(v) for k, v in value.items()}
        return [rewritten(v) for v in value] if isinstance(value, list) else value

    of: dict[str, list[Resource]] = {}
    for x in entries:
        id = names[x["fullUrl"]].partition("/")[2]
        of.setdefault(x["resource"]["resourceType"], []).append({**rewritten(x["resource"]), "id": id})
    return Pathway(
        patient=of["Patient"][0], care_plans=tuple(of["CarePlan"]), care_teams=tuple(of["CareTeam"]), tasks=tuple(of["Task"]),
        definitions=definitions(),
        persons={f"PractitionerRole/{r['id']}": r["practitioner"]["reference"] for r in of["PractitionerRole"]},
    )  # fmt: skip


def event(kind: str, movement: str, day: int, **more: Any) -> Event:
    """An event of the stay, on a day of September 2026 at 10:00 in Paris."""
    at = f"2026-09-{day:02}T10:00:00+02:00"
    said: dict[str, Any] = {"recorded": at, "encounter": STAY, "patient_class": "I", "patient": "Patient/x", **more}
    return Event(kind=kind, movement=f"{movement}^CHU^1.2.250.1.999.1", at=said.pop("at", at), **said)


def cancelled(of: Event, day: int, trigger: str, **more: Any) -> Event:
    return replace(of, action=e.CANCEL, trigger=trigger, original="A03", recorded=f"2026-09-{day:02}T18:00:00+02:00", **more)


def amended(of: Event, day: int, **more: Any) -> Event:
    return replace(of, **{"action": e.UPDATE, "trigger": "Z99", "recorded": f"2026-09-{day:02}T18:00:00+02:00", **more})


def after(pathway: Pathway, *events: Event, now: datetime = NOW) -> Pathway:
    """The pathway once it has reacted to each event."""
    for one in events:
        pathway = pathway.put(react(one, pathway, now))
    return pathway


def arrive(pathway: Pathway, *events: Event) -> Pathway:
    """Each event as inbound hands it over: the venue and the movement are stored first, then the pathway reacts."""
    for one in events:
        pathway = pathway.put(_stay(pathway, one))
        pathway = pathway.put(react(one, pathway, NOW))
    return pathway


def _stay(pathway: Pathway, one: Event) -> list[Resource]:
    venue = pathway.venue(one.encounter) or {"resourceType": "Encounter", "id": one.encounter[10:], "status": "planned"}
    if one.action == e.CANCEL and one.kind == e.ADMISSION:
        venue = {**venue, "status": "cancelled"}
    elif one.kind == e.DISCHARGE:
        venue = {**venue, "status": "finished", "period": {"end": one.at}} if one.action != e.CANCEL else {**venue, "status": "in-progress", "period": {}}
    elif venue["status"] == "planned":
        venue = {**venue, "status": "in-progress"}
    status = "cancelled" if one.action == e.CANCEL else "in-progress"
    movement = {
        "resourceType": "Encounter", "id": e.made_id(one.movement, one.encounter), "identifier": [e.identifier(one.movement)],
        "status": status, "partOf": {"reference": one.encounter}, "period": {"start": one.at},
    }  # fmt: skip
    return [venue, movement]


def made(pathway: Pathway) -> dict[str, str]:
    """Title -> status of the Tasks that movements made (the last of each title)."""
    return {t["description"]: t["status"] for t in pathway.tasks if "groupIdentifier" in t}


def opened(pathway: Pathway) -> set[str]:
    return {t["description"] for t in pathway.tasks if "groupIdentifier" in t and t["status"] in OPEN}


def homes(pathway: Pathway) -> list[Resource]:
    """The home Tasks, their clock aside."""
    return [{k: v for k, v in t.items() if k != "lastModified"} for t in pathway.tasks if is_home(t)]


def with_status(pathway: Pathway, title: str, status: str) -> Pathway:
    """The pathway after somebody moved a Task by hand."""
    return pathway.put({**t, "status": status} for t in pathway.tasks if t["description"] == title and t["status"] in OPEN)


def recipients(messages: list[Resource]) -> list[str]:
    return sorted(r.get("reference", "") for m in messages for r in m["recipient"])
