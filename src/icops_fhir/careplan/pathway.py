"""The pathway of one patient, and how it reacts to an event.

https://hl7.org/fhir/R4/careplan.html; IHE PAM-FR §5.3. Pure: the caller loads the pathway and writes what comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from icops_fhir.careplan.event import Event

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pathway:
    """Current resources of one patient, as stored. `definitions` are the PlanDefinitions by canonical url."""

    patient: Resource
    care_plans: Sequence[Resource] = ()
    care_teams: Sequence[Resource] = ()
    tasks: Sequence[Resource] = ()
    communications: Sequence[Resource] = ()
    encounters: Sequence[Resource] = ()  # venues and movements
    reminders: Sequence[Resource] = ()  # CommunicationRequests
    definitions: Mapping[str, Resource] = field(default_factory=dict)


def react(event: Event, pathway: Pathway, now: datetime) -> list[Resource]:
    """The resources to write, whole (new ones have deterministic ids); [] when no CarePlan of the patient is active."""
    raise NotImplementedError
