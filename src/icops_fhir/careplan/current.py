"""The pathway of one patient as it stands: the current resources a reaction reads, and what it would leave.

https://hl7.org/fhir/R4/careplan.html. Immutable: `put` answers the pathway after a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from icops_fhir.careplan.when import before
from icops_fhir.fhir.reference import parse

Resource = dict[str, Any]

# Where each type of resource stands in a Pathway.
PLACES = {
    "CarePlan": "care_plans",
    "CareTeam": "care_teams",
    "Task": "tasks",
    "Communication": "communications",
    "Encounter": "encounters",
    "CommunicationRequest": "reminders",
}
OVER = ("finished", "cancelled", "entered-in-error")


@dataclass(frozen=True, slots=True)
class Pathway:
    """Current resources of one patient. `definitions` are PlanDefinitions and ConceptMaps by canonical url.

    `persons`: town names a role, the hospital the practitioner behind it; one person is told once.
    """

    patient: Resource
    care_plans: Sequence[Resource] = ()
    care_teams: Sequence[Resource] = ()
    tasks: Sequence[Resource] = ()
    communications: Sequence[Resource] = ()
    encounters: Sequence[Resource] = ()  # venues and their movements
    reminders: Sequence[Resource] = ()  # CommunicationRequests
    definitions: Mapping[str, Resource] = field(default_factory=dict)
    persons: Mapping[str, str] = field(default_factory=dict)  # "PractitionerRole/x" -> "Practitioner/y"

    def put(self, resources: Iterable[Resource]) -> Pathway:
        """The pathway with these resources written."""
        new: dict[str, dict[str, Resource]] = {}
        for resource in resources:
            new.setdefault(PLACES[resource["resourceType"]], {})[resource["id"]] = resource
        changed: dict[str, Any] = {
            place: (*(found.pop(r["id"], r) for r in getattr(self, place)), *found.values()) for place, found in new.items()
        }
        return replace(self, **changed) if changed else self

    def plans(self) -> list[Resource]:
        """The active CarePlans; without one a patient gets no Task, no notice, no alert."""
        return [plan for plan in self.care_plans if plan.get("status") == "active"]

    def tasks_of(self, plan: Resource) -> list[Resource]:
        """The Tasks based on a plan."""
        return [task for task in self.tasks if refers(task.get("basedOn"), plan)]

    def notices_of(self, plan: Resource) -> list[Resource]:
        """The Communications based on a plan."""
        return [notice for notice in self.communications if refers(notice.get("basedOn"), plan)]

    @property
    def dead(self) -> bool:
        """Patient.deceased[x] says so."""
        return bool(self.patient.get("deceasedBoolean")) or "deceasedDateTime" in self.patient

    def venue(self, reference: str) -> Resource | None:
        """The Encounter a reference means, when it is loaded."""
        return next((e for e in self.encounters if reference and local(reference) == f"Encounter/{e['id']}"), None)

    def over(self, reference: str, at: str = "") -> bool:
        """Whether that venue is known to have ended (at or after `at`)."""
        venue = self.venue(reference)
        if venue is None or venue.get("status") not in OVER:
            return False
        return not before(venue.get("period", {}).get("end", ""), at)

    def movement(self, reference: str, key: str) -> Resource | None:
        """The Encounter of a movement of that venue, by the number in its key (ZBE-1)."""
        number = key.partition("^")[0]
        return next(
            (
                e
                for e in self.encounters
                if local(e.get("partOf", {}).get("reference", "")) == local(reference) != ""
                and any(i.get("value") == number for i in e.get("identifier", ()))
            ),
            None,
        )

    def undone(self, reference: str, key: str) -> bool:
        """Whether the venue, or that movement of it, is known to be cancelled."""
        return any((e or {}).get("status") in OVER[1:] for e in (self.venue(reference), self.movement(reference, key)))

    def moved_since(self, reference: str, at: str) -> bool:
        """Whether a movement of that venue later than `at` is known."""
        return any(
            before(at, e.get("period", {}).get("start", "")) and e.get("status") not in ("cancelled", "entered-in-error")
            for e in self.encounters
            if local(e.get("partOf", {}).get("reference", "")) == local(reference) != ""
        )

    def dossier(self, reference: str) -> set[str]:
        """The venue and every other venue of its Account (the French dossier)."""
        venue = self.venue(reference)
        accounts = {local(a.get("reference", "")) for a in (venue or {}).get("account", ())} - {""}
        return {local(reference)} | {
            f"Encounter/{e['id']}"
            for e in self.encounters
            if accounts & {local(a.get("reference", "")) for a in e.get("account", ())}
        }


@lru_cache(maxsize=8192)
def local(reference: str) -> str:
    """"Type/id" of a reference to a resource of ours, whatever its base or version."""
    return parse(reference).local if reference else ""


def refers(references: Iterable[Mapping[str, Any]] | None, resource: Resource) -> bool:
    """Whether one of the references means the resource."""
    wanted = f"{resource['resourceType']}/{resource['id']}"
    return any(local(r.get("reference", "")) == wanted for r in references or ())
