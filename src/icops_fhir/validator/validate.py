"""Validation of a resource: the phases, in order, and what they found as issues.

https://hl7.org/fhir/R4/validation.html. A phase is one file and one line of PHASES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icops_fhir.fhir.issue import Issue
from icops_fhir.validator import structure
from icops_fhir.validator.finding import Findings, issue

Resource = dict[str, Any]
Phase = Callable[[Resource], Findings | None]

PHASES: tuple[Phase, ...] = (
    structure.resource,     # members, bounds, primitive types, required codes
)
MOST = 100                  # issues told of one resource


def validate(resource: Resource) -> list[Issue]:
    """Every issue of a resource, the first hundred told; [] when it is as R4 wants it."""
    found = [finding for phase in PHASES for finding in phase(resource) or ()]
    root = str(resource.get("resourceType", ""))[:64] if isinstance(resource, dict) else ""
    return [issue(root, finding) for finding in found[:MOST]]
