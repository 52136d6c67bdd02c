"""The pathway of one patient, read from the store: what `careplan.pathway.react` needs, and nothing for the others.

https://hl7.org/fhir/R4/careplan-operations.html (search by subject and based-on)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from icops_fhir.careplan.current import Pathway, Resource, local
from icops_fhir.careplan.definition import COORDINATION, ORIENTATION
from icops_fhir.exchange.stored import asking, value
from icops_fhir.fhir import packages
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.store.protocol import Reader

PAGE, MOST = 500, 10_000  # resources read at once, and of one type for one patient


def load(tx: Reader, patient: str) -> Pathway:
    """The current resources of `patient` ("Patient/x"). Without an active CarePlan only the Patient is read."""
    version = tx.read(*patient.split("/", 1)) if patient else None
    who: Resource = value(version.body) if version and version.body else {"resourceType": "Patient", "id": patient.partition("/")[2]}
    plans = _all(tx, "CarePlan", ("subject", patient), ("status", "active")) if version and version.body else []
    if not plans:
        return Pathway(who)
    teams = _all(tx, "CareTeam", ("subject", patient))
    based = ("based-on", ",".join(f"CarePlan/{plan['id']}" for plan in plans))
    return Pathway(
        patient=who,
        care_plans=tuple(plans),
        care_teams=tuple(teams),
        tasks=tuple(_all(tx, "Task", based)),
        communications=tuple(_all(tx, "Communication", based)),
        encounters=tuple(_all(tx, "Encounter", ("subject", patient))),
        reminders=tuple(_all(tx, "CommunicationRequest", ("subject", patient), ("status", "draft,active,on-hold"))),
        definitions=_definitions(tx, plans),
        persons=dict(_persons(tx, teams)),
    )


def _all(tx: Reader, type: str, *params: tuple[str, str]) -> list[Resource]:
    query = asking(type, *params, count=PAGE)
    out: list[Resource] = []
    cursor: str | None = ""
    while cursor is not None and len(out) < MOST:
        page = tx.search(query.at(cursor) if cursor else query)
        out += [value(version.body) for version in page.versions]
        cursor = page.next
    if cursor is not None:
        asked = "&".join(f"{name}={value}" for name, value in params)
        raise FhirError(
            Issue(
                "error", "too-costly", f"more than {MOST} resources: {type}?{asked}. Close what is over, or split the plan.",
                rule="icops-pathway-too-large", french=f"plus de {MOST} ressources : {type}?{asked}. Clore ce qui est terminé, ou scinder le plan.",
            ),
            status=500,
        )  # fmt: skip
    return out


@cache
def _ours() -> dict[str, Resource]:
    """The PlanDefinitions and ConceptMaps of profiles/pathways."""
    profiles = packages.profiles()
    return {
        url: found
        for kind in ("PlanDefinition", "ConceptMap")
        for url in profiles.urls(kind)
        if (found := profiles.get(kind, url)) is not None
    }


def _definitions(tx: Reader, plans: Iterable[Resource]) -> dict[str, Resource]:
    """What the plans follow: an active definition in the store comes before the one shipped in profiles/."""
    urls = {str(url).partition("|")[0] for plan in plans for url in plan.get("instantiatesCanonical", ())}
    out = dict(_ours())
    for type, wanted in (("PlanDefinition", urls | {COORDINATION}), ("ConceptMap", {ORIENTATION})):
        for found in _all(tx, type, ("url", ",".join(sorted(map(_escaped, wanted)))), ("status", "active")):
            out[found["url"]] = found
    return out


def _escaped(url: str) -> str:
    return url.replace("\\", "\\\\").replace(",", "\\,").replace("$", "\\$").replace("|", "\\|")


def _persons(tx: Reader, teams: Iterable[Resource]) -> Iterable[tuple[str, str]]:
    """The practitioner behind each PractitionerRole of the teams."""
    members = {local(p.get("member", {}).get("reference", "")) for team in teams for p in team.get("participant", ())}
    for reference in sorted(m for m in members if m.startswith("PractitionerRole/")):
        version = tx.read(*reference.split("/", 1))
        role = value(version.body) if version and version.body else {}
        if person := local(role.get("practitioner", {}).get("reference", "")):
            yield reference, person
