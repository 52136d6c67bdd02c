"""CareTeam: who is in the circle of care today, and who holds a role in it.

https://hl7.org/fhir/R4/careteam.html; profile cds-ihe-careteam (one row per member and period, roles as codes).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from icops_fhir.careplan.codes import COORDINATOR, TRE_R85
from icops_fhir.careplan.current import Pathway, Resource, local, refers
from icops_fhir.careplan.when import moment

# Types that may own a Task, send or receive a Communication.
PEOPLE = ("Practitioner", "PractitionerRole", "Organization", "RelatedPerson", "Patient", "HealthcareService", "Device")
COORDINATING = {"coding": [{"system": TRE_R85, "code": COORDINATOR, "display": "Coordonnateur de parcours"}]}


def _codes(concept: dict[str, Any]) -> set[tuple[str, str]]:
    return {(c.get("system", ""), c["code"]) for c in concept.get("coding", ()) if c.get("code")}


def _now_in(period: dict[str, Any], now: datetime) -> bool:
    start, end = moment(period.get("start", "")), moment(period.get("end", ""))
    return (start is None or start <= now) and (end is None or now < end)


def teams(plan: Resource, pathway: Pathway) -> list[Resource]:
    """The active teams of a plan: those it names, else all of the patient's."""
    active = [t for t in pathway.care_teams if t.get("status", "active") == "active"]
    named = [t for t in active if refers(plan.get("careTeam"), t)]
    return named or active


def participants(plan: Resource, pathway: Pathway, now: datetime) -> Iterator[dict[str, Any]]:
    """The rows of the teams in force."""
    for team in teams(plan, pathway):
        for row in team.get("participant", ()):
            if row.get("member") and _now_in(row.get("period", {}), now):
                yield row


def members(role: dict[str, Any], plan: Resource, pathway: Pathway, now: datetime) -> list[dict[str, Any]]:
    """The members (References) holding a role, each person once; any shared coding will do."""
    wanted = _codes(role)
    found: dict[str, dict[str, Any]] = {}
    for row in participants(plan, pathway, now):
        if any(wanted & _codes(concept) for concept in row.get("role", ())):
            found.setdefault(person(row["member"], pathway), row["member"])
    return list(found.values())


def told(roles: tuple[dict[str, Any], ...], plan: Resource, pathway: Pathway, now: datetime) -> list[dict[str, Any]]:
    """The recipients for some roles, each once; when none is held, the author of the plan."""
    found: dict[str, dict[str, Any]] = {}
    for role in roles:
        for member in members(role, plan, pathway, now):
            found.setdefault(person(member, pathway), member)
    if not found and roles and (author := plan.get("author")):
        found[person(author, pathway)] = author
    return [member for member in found.values() if may_receive(member)]


def owner(role: dict[str, Any] | None, plan: Resource, pathway: Pathway, now: datetime) -> dict[str, Any] | None:
    """Who is asked to do the work of a role: its holder, else the coordinator, else the author of the plan."""
    for wanted in (role, COORDINATING):
        if wanted and (found := members(wanted, plan, pathway, now)):
            return found[0]
    author: dict[str, Any] | None = plan.get("author")
    return author


def key(reference: dict[str, Any]) -> str:
    """What tells two References apart: the resource, else the identifier, else the name shown."""
    identifier = reference.get("identifier", {})
    return (
        local(reference.get("reference", ""))
        or reference.get("reference", "")
        or f"{identifier.get('system', '')}|{identifier.get('value', '')}".strip("|")
        or reference.get("display", "")
    )


def person(reference: dict[str, Any], pathway: Pathway) -> str:
    """The person behind a member: a role's practitioner, else the member itself."""
    return pathway.persons.get(key(reference), key(reference))


def may_receive(reference: dict[str, Any]) -> bool:
    """Whether the type may be a recipient; a type that is not said is trusted."""
    type = local(reference.get("reference", "")).partition("/")[0] or reference.get("type", "")
    return not type or type in PEOPLE
