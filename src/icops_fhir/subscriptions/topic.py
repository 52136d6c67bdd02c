"""A topic read as data: which changes fire it, which filters it allows, what goes along in a notification.

https://hl7.org/fhir/R5/subscriptiontopic.html, named by its canonical in Subscription.criteria (R4 backport).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from icops_fhir.fhir import packages, reference
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.subscriptions import parameter, trigger
from icops_fhir.subscriptions.explain import FIRED, Reason
from icops_fhir.subscriptions.parameter import KINDS, Parameter
from icops_fhir.subscriptions.trigger import Trigger, issue, type_name

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Topic:
    """A SubscriptionTopic ready to be asked."""

    url: str
    version: str
    title: str
    triggers: tuple[Trigger, ...]
    parameters: Mapping[tuple[str, str], Parameter]     # (type, name) → what it reads
    includes: Mapping[str, tuple[Parameter, ...]]       # type → references whose targets go along

    @property
    def types(self) -> frozenset[str]:
        return frozenset(one.type for one in self.triggers)

    def triggered(self, previous: Resource | None, current: Resource | None) -> bool:
        return self.decide(previous, current).fires

    def decide(self, previous: Resource | None, current: Resource | None) -> Reason:
        """Whether this change fires, and why not; a deletion has no `current`, a creation no `previous`."""
        type_ = str((current or previous or {}).get("resourceType", ""))
        interaction = "delete" if current is None else "create" if previous is None else "update"
        reason = Reason("other-type", type_)
        for one in self.triggers:
            if one.type != type_:
                continue
            if interaction not in one.interactions:
                reason = Reason("other-interaction", f"{type_} {interaction}")
            elif not one.passes(previous, current):
                reason = Reason("criteria", one.criteria)
            else:
                return FIRED
        return reason

    def related(self, resource: Resource) -> list[str]:
        """`Type/id` of what the notification shape includes beside this focus."""
        found: dict[str, None] = {}
        for one in self.includes.get(str(resource.get("resourceType")), ()):
            for value in one.values(resource):
                target = reference.parse(str(value.get("reference", "")) if isinstance(value, dict) else "")
                if target.relative and (not one.targets or target.type in one.targets):
                    found[target.local] = None
        return list(found)


def read(definition: Resource) -> Topic:
    """The topic of this SubscriptionTopic; FhirError says all that would keep it from ever firing."""
    issues: list[Issue] = []
    contained = {f"#{one.get('id')}": one for one in definition.get("contained", ())}
    parameters: dict[tuple[str, str], Parameter] = {}
    for item in definition.get("canFilterBy", ()):
        type_, name = type_name(item.get("resource", "")), str(item.get("filterParameter", ""))
        found = contained.get(item.get("filterDefinition", "")) or parameter.named(type_, name)
        if found is None or found.get("type") not in KINDS or not found.get("expression"):
            issues.append(issue(f"canFilterBy {type_}?{name} is no {' or '.join(KINDS)} search parameter"))
            continue
        parameters[type_, name] = parameter.read(type_, name, found, frozenset(item.get("modifier", ())))
    triggers = tuple(trigger.read(item, parameters, issues) for item in definition.get("resourceTrigger", ()))
    if not definition.get("url"):
        issues.append(issue("it has no url"))
    if not triggers:
        issues.append(issue("it has no resourceTrigger, so nothing can fire it"))
    includes: dict[str, tuple[Parameter, ...]] = {}
    for shape in definition.get("notificationShape", ()):
        type_ = type_name(shape.get("resource", ""))
        names = [str(text).partition(":")[2] for text in shape.get("include", ())]
        issues.extend(issue(f"notificationShape includes {type_}:{name}, which is not in canFilterBy") for name in names if (type_, name) not in parameters)
        includes[type_] = tuple(parameters[type_, name] for name in names if (type_, name) in parameters)
    if issues:
        raise FhirError(issues, status=500)
    return Topic(definition["url"], str(definition.get("version", "")), str(definition.get("title", "")), triggers, parameters, includes)


def catalogue(definitions: Iterable[Resource]) -> Mapping[str, Topic]:
    """url → topic, of the active ones."""
    found = (read(one) for one in definitions if one.get("resourceType") == "SubscriptionTopic" and one.get("status") == "active")
    return {topic.url: topic for topic in found}


@cache
def topics() -> Mapping[str, Topic]:
    """The topics of profiles/topics."""
    ours = packages.profiles()
    return catalogue(found for url in ours.urls("SubscriptionTopic") if (found := ours.get("SubscriptionTopic", url)) is not None)
