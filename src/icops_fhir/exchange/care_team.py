"""ROL joins the patient's existing CareTeam: who comes in, who leaves, and what town wrote stays.

PAM-FR §6.8: ROL-2 (AD, DE, UC, UP), ROL-5/6 (period). https://hl7.org/fhir/R4/careteam.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icops_fhir.exchange import feed, keys
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.json import Resource, canonical, dumps
from icops_fhir.mappers.v2.er7 import Message

LEAVES = ("DE", "UN", "CA")  # tables 0287, 0206: deleted, unlinked
Person = Callable[[str], str]  # the practitioner behind a reference


def roles(participant: Resource) -> set[str]:
    """The role codes of a participant."""
    return {str(coding.get("code")) for role in participant.get("role", ()) for coding in role.get("coding", ()) if coding.get("code")}


def member(participant: Resource) -> str:
    return str(participant.get("member", {}).get("reference", ""))


def joined(team: Resource, was: Resource | None, now: Resource, gone: str, person: Person) -> Resource:
    """The team with what one ROL says. `was`: what this feed last said of it; `gone`: the end date of a ROL-2 DE."""
    now = {name: value for name, value in now.items() if name != "id"}
    if gone:
        now["period"] = {**now.get("period", {}), "end": now.get("period", {}).get("end") or gone}
    people: list[Resource] = [dict(p) for p in team.get("participant", ())]
    at = next((n for n, p in enumerate(people) if _fits(p, was or now, person)), None)
    if at is None:
        if was is not None and feed.same(was, now):
            return team
        return {**team, "participant": [*people, now]}
    end = now.get("period", {}).get("end")
    if was is not None:
        people[at] = feed.edited(was, now, people[at])
    if end and people[at].get("period", {}).get("end") != end and (was is None or gone):
        people[at]["period"] = {**people[at].get("period", {}), "end": end}
    return {**team, "participant": people}


def _fits(participant: Resource, said: Resource, person: Person) -> bool:
    mine, theirs = roles(said), roles(participant)
    return person(member(participant)) == person(member(said)) and bool(mine & theirs or not mine or not theirs)


def of(work: Work, patient: str, file: str, made: Resource) -> Resource:
    """The team of the patient's active plan, else his own active team, else a new one, named by his file."""
    teams = {f"CareTeam/{t['id']}": t for t in work.search("CareTeam", ("subject", patient))}
    plans = [p for p in work.search("CarePlan", ("subject", patient)) if p.get("status") == "active"]
    for plan in sorted(plans, key=lambda p: str(p["id"])):
        for reference in plan.get("careTeam", ()):
            if (team := work.get(str(reference.get("reference", "")))) is not None:
                return team
    living = sorted((t for t in teams.values() if t.get("status") not in ("inactive", "entered-in-error")), key=lambda t: str(t["id"]))
    if living:
        return living[0]
    new = f"CareTeam/{work.id('CareTeam', file)}"
    seed: Resource = {name: made[name] for name in ("name", "category", "telecom") if name in made}
    return work.get(new) or {"resourceType": "CareTeam", "id": new.partition("/")[2], "status": "active", **seed, "subject": {"reference": patient}}


def apply(work: Work, message: Message, made: Resource, patient: str, file: str) -> str:
    """Joins the participants of the message to the patient's team; "" when there is nothing to join."""
    participants: list[Resource] = made.get("participant", [])
    if not participants:
        return ""
    team = of(work, patient, file, made)
    reference = f"CareTeam/{team['id']}"
    sent = dict(work.sent(reference)) if work.get(reference) else {}
    said = message.named("ROL")
    for item in participants:
        bare = feed.bare(item)
        key = _key(work, bare)
        was = sent.get(key)
        if was is not None and was[0] > work.stamp:
            continue
        rank = str(item.get("id", "")).partition(".")[2]
        action = said[int(rank) - 1].get("2") if rank.isdigit() and int(rank) <= len(said) else ""
        gone = work.stamp.partition("|")[0] if action in LEAVES else ""
        team = joined(team, was[1] if was else None, bare, gone, lambda r: _person(work, r))
        sent[key] = [work.stamp, bare]
    if not team.get("participant"):
        return ""
    work.put(team)
    work.note(keys.FEED, f"{work.sender}|{reference}", dumps(sent), owner=patient)
    return reference


def _key(work: Work, participant: Resource) -> str:
    return "participant@" + canonical([_person(work, member(participant)), sorted(roles(participant))]).decode()


def _person(work: Work, reference: str) -> str:
    """The practitioner behind a role: town and hospital may name either."""
    role: Any = work.get(reference) if reference.startswith("PractitionerRole/") else None
    return str((role or {}).get("practitioner", {}).get("reference", reference))
