"""One resourceTrigger of a topic: the type, the interactions, and what the resource was or has become.

https://hl7.org/fhir/R5/subscriptiontopic-definitions.html#SubscriptionTopic.resourceTrigger.queryCriteria
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from icops_fhir.fhir import packages
from icops_fhir.fhir.issue import Issue
from icops_fhir.subscriptions import filter as filters
from icops_fhir.subscriptions.filter import Condition
from icops_fhir.subscriptions.parameter import Parameter

Resource = dict[str, Any]

INTERACTIONS = ("create", "update", "delete")
_TEST = {"test-passes": True, "test-fails": False}


@dataclass(frozen=True, slots=True)
class Trigger:
    """The two sides of queryCriteria, and what each is worth when there is no such side."""

    type: str
    interactions: frozenset[str]
    previous: tuple[Condition, ...] = ()
    current: tuple[Condition, ...] = ()
    created: bool = True        # what `previous` is worth when there was nothing before
    deleted: bool = True        # what `current` is worth when there is nothing left
    both: bool = False
    criteria: str = ""          # as written, for the reason

    def passes(self, previous: Resource | None, current: Resource | None) -> bool:
        if not self.previous and not self.current:
            return True
        sides = []
        if self.previous:
            sides.append(self.created if previous is None else all(one.matches(previous) for one in self.previous))
        if self.current:
            sides.append(self.deleted if current is None else all(one.matches(current) for one in self.current))
        return all(sides) if self.both else any(sides)


def read(item: Resource, parameters: Mapping[tuple[str, str], Parameter], issues: list[Issue]) -> Trigger:
    """The trigger of this definition; what would keep it from ever firing goes to `issues`."""
    type_ = type_name(item.get("resource", ""))
    interactions = frozenset(item.get("supportedInteraction") or INTERACTIONS)
    if type_ not in packages.definitions().types():
        issues.append(issue(f"the trigger watches {type_!r}, which is no type of R4"))
    if unknown := interactions - set(INTERACTIONS):
        issues.append(issue(f"the trigger of {type_} watches {', '.join(sorted(unknown))}, not one of {', '.join(INTERACTIONS)}"))
    if item.get("fhirPathCriteria"):
        issues.append(issue(f"the trigger of {type_} has a fhirPathCriteria; write it as queryCriteria"))
    criteria = item.get("queryCriteria") or {}
    sides = {side: tuple(_conditions(type_, str(criteria.get(side, "")), parameters, issues)) for side in ("previous", "current")}
    for side in sides.values():
        issues.extend(filters.contradictions(side))
    said = (" and " if criteria.get("requireBoth") else " or ").join(f"{side} {criteria[side]}" for side in sides if criteria.get(side))
    return Trigger(
        type_, interactions, sides["previous"], sides["current"], _TEST[criteria.get("resultForCreate", "test-passes")],
        _TEST[criteria.get("resultForDelete", "test-passes")], bool(criteria.get("requireBoth")), said,
    )


def type_name(text: str) -> str:
    return text.removeprefix("http://hl7.org/fhir/StructureDefinition/")


def issue(problem: str) -> Issue:
    return Issue("error", "invalid", f"This topic can never fire as it is: {problem}.", ("SubscriptionTopic",), rule="icops-topic",
                 french=f"Ce sujet ne peut jamais se déclencher ainsi : {problem}.")


def _conditions(type_: str, text: str, parameters: Mapping[tuple[str, str], Parameter], issues: list[Issue]) -> Iterator[Condition]:
    for name, modifier, value in filters.split(text)[1] if text else ():
        parameter = parameters.get((type_, name))
        if parameter is None:
            issues.append(issue(f"queryCriteria {name} is not in canFilterBy of {type_}"))
            continue
        # A trigger may say missing or not, whatever its subscribers may.
        one, found = filters.condition(replace(parameter, modifiers=frozenset({"missing", "not"})), modifier, value)
        issues.extend(found)
        yield one
