"""A topic read as data: which changes fire it, which filters it allows, what goes along in a notification.

https://hl7.org/fhir/R5/subscriptiontopic.html, named by its canonical in Subscription.criteria (R4 backport).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from icops_fhir.fhir import packages, reference
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.subscriptions import filter as filters
from icops_fhir.subscriptions.explain import FIRED, Reason
from icops_fhir.subscriptions.filter import Condition, Parameter

Resource = dict[str, Any]

INTERACTIONS = ("create", "update", "delete")
_TEST = {"test-passes": True, "test-fails": False}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One resourceTrigger: a type, its interactions and the two sides of queryCriteria."""

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
        return frozenset(trigger.type for trigger in self.triggers)

    def triggered(self, previous: Resource | None, current: Resource | None) -> bool:
        return self.decide(previous, current).fires

    def decide(self, previous: Resource | None, current: Resource | None) -> Reason:
        """Whether this change fires, and why not; a deletion has no `current`, a creation no `previous`."""
        type_ = str((current or previous or {}).get("resourceType", ""))
        interaction = "delete" if current is None else "create" if previous is None else "update"
        reason = Reason("other-type", type_)
        for trigger in self.triggers:
            if trigger.type != type_:
                continue
            if interaction not in trigger.interactions:
                reason = Reason("other-interaction", f"{type_} {interaction}")
            elif not trigger.passes(previous, current):
                reason = Reason("criteria", trigger.criteria)
            else:
                return FIRED
        return reason

    def related(self, resource: Resource) -> list[str]:
        """`Type/id` of what the notification shape includes beside this focus."""
        found: dict[str, None] = {}
        for parameter in self.includes.get(str(resource.get("resourceType")), ()):
            for value in parameter.values(resource):
                text = str(value.get("reference", "")) if isinstance(value, dict) else ""
                target = reference.parse(text)
                if target.relative and (not parameter.targets or target.type in parameter.targets):
                    found[target.local] = None
        return list(found)


def read(definition: Resource) -> Topic:
    """The topic of this SubscriptionTopic; FhirError says all that would keep it from ever firing."""
    issues: list[Issue] = []
    contained = {f"#{one.get('id')}": one for one in definition.get("contained", ())}
    parameters: dict[tuple[str, str], Parameter] = {}
    for item in definition.get("canFilterBy", ()):
        type_, name = _type(item.get("resource", "")), str(item.get("filterParameter", ""))
        found = contained.get(item.get("filterDefinition", "")) or _search_parameter(type_, name)
        if found is None or found.get("type") not in filters.KINDS or not found.get("expression"):
            issues.append(_issue(f"canFilterBy {type_}?{name} is no {' or '.join(filters.KINDS)} search parameter"))
            continue
        parameters[type_, name] = _parameter(type_, name, found, frozenset(item.get("modifier", ())))
    triggers = [_trigger(item, parameters, issues) for item in definition.get("resourceTrigger", ())]
    if not definition.get("url"):
        issues.append(_issue("it has no url"))
    if not triggers:
        issues.append(_issue("it has no resourceTrigger, so nothing can fire it"))
    includes: dict[str, tuple[Parameter, ...]] = {}
    for shape in definition.get("notificationShape", ()):
        type_ = _type(shape.get("resource", ""))
        names = [str(text).partition(":")[2] for text in shape.get("include", ())]
        issues.extend(_issue(f"notificationShape includes {type_}:{name}, which is not in canFilterBy") for name in names if (type_, name) not in parameters)
        includes[type_] = tuple(parameters[type_, name] for name in names if (type_, name) in parameters)
    if issues:
        raise FhirError(issues, status=500)
    return Topic(definition["url"], str(definition.get("version", "")), str(definition.get("title", "")), tuple(triggers), parameters, includes)


def catalogue(definitions: Iterable[Resource]) -> Mapping[str, Topic]:
    """url → topic, of the active ones."""
    found = (read(one) for one in definitions if one.get("resourceType") == "SubscriptionTopic" and one.get("status") == "active")
    return {topic.url: topic for topic in found}


@cache
def topics() -> Mapping[str, Topic]:
    """The topics of profiles/topics."""
    ours = packages.profiles()
    return catalogue(found for url in ours.urls("SubscriptionTopic") if (found := ours.get("SubscriptionTopic", url)) is not None)


def _trigger(item: Resource, parameters: Mapping[tuple[str, str], Parameter], issues: list[Issue]) -> Trigger:
    type_ = _type(item.get("resource", ""))
    interactions = frozenset(item.get("supportedInteraction") or INTERACTIONS)
    if type_ not in packages.definitions().types():
        issues.append(_issue(f"the trigger watches {type_!r}, which is no type of R4"))
    if unknown := interactions - set(INTERACTIONS):
        issues.append(_issue(f"the trigger of {type_} watches {', '.join(sorted(unknown))}, not one of {', '.join(INTERACTIONS)}"))
    if item.get("fhirPathCriteria"):
        issues.append(_issue(f"the trigger of {type_} has a fhirPathCriteria; write it as queryCriteria"))
    criteria = item.get("queryCriteria") or {}
    sides = {side: tuple(_conditions(type_, str(criteria.get(side, "")), parameters, issues)) for side in ("previous", "current")}
    for side in sides.values():
        issues.extend(filters.contradictions(side))
    return Trigger(
        type_, interactions, sides["previous"], sides["current"], _TEST[criteria.get("resultForCreate", "test-passes")],
        _TEST[criteria.get("resultForDelete", "test-passes")], bool(criteria.get("requireBoth")),
        (" and " if criteria.get("requireBoth") else " or ").join(dict.fromkeys(f"{side} {criteria[side]}" for side in sides if criteria.get(side))),
    )


def _conditions(type_: str, text: str, parameters: Mapping[tuple[str, str], Parameter], issues: list[Issue]) -> Iterator[Condition]:
    for name, modifier, value in filters.split(text)[1] if text else ():
        parameter = parameters.get((type_, name))
        if parameter is None:
            issues.append(_issue(f"queryCriteria {name} is not in canFilterBy of {type_}"))
            continue
        # A trigger may say missing or not whatever the subscribers are allowed to.
        free = Parameter(parameter.type, parameter.code, parameter.kind, parameter.expression, parameter.targets, parameter.codes, parameter.single,
                         frozenset({"missing", "not"}))
        one, found = filters.condition(free, modifier, value)
        issues.extend(found)
        yield one


def _parameter(type_: str, name: str, definition: Resource, modifiers: frozenset[str]) -> Parameter:
    expression = str(definition["expression"])
    element = _element(type_, expression)
    only = re.search(rf"\b{type_}\.\w+\.where\(resolve\(\) is (\w+)\)", expression)
    targets = frozenset({only[1]} if only else definition.get("target", ()))
    return Parameter(type_, name, str(definition["type"]), expression, targets, _codes(element), element.get("max") == "1", modifiers)


def _search_parameter(type_: str, name: str) -> Resource | None:
    return next((one for one in packages.definitions().search_parameters(type_) if one.get("code") == name), None)


def _element(type_: str, expression: str) -> Resource:
    """The definition of the element that an expression reads: its leading path on that type."""
    leading = re.search(rf"\b{type_}\.[a-z][A-Za-z]*", expression)
    structure = packages.definitions().structure(type_) or {}
    elements = structure.get("snapshot", {}).get("element", ())
    return next((one for one in elements if leading and one.get("path") == leading[0]), {})


def _codes(element: Resource) -> frozenset[str]:
    """The codes of a required binding to a value set that lists them; empty when it is open."""
    binding = element.get("binding") or {}
    if binding.get("strength") != "required" or not binding.get("valueSet"):
        return frozenset()
    value_set = packages.definitions().value_set(binding["valueSet"].partition("|")[0]) or {}
    codes: set[str] = set()
    for include in value_set.get("compose", {}).get("include", ()):
        system = packages.definitions().code_system(include.get("system", "")) or {}
        concepts = include.get("concept") or system.get("concept") or ()
        if not concepts or include.get("filter") or include.get("valueSet"):
            return frozenset()
        codes.update(_flat(concepts))
    return frozenset(codes)


def _flat(concepts: Iterable[Resource]) -> Iterator[str]:
    for concept in concepts:
        yield str(concept.get("code", ""))
        yield from _flat(concept.get("concept", ()))


def _type(text: str) -> str:
    return text.removeprefix("http://hl7.org/fhir/StructureDefinition/")


def _issue(problem: str) -> Issue:
    return Issue("error", "invalid", f"This topic can never fire as it is: {problem}.", ("SubscriptionTopic",), rule="icops-topic",
                 french=f"Ce sujet ne peut jamais se déclencher ainsi : {problem}.")
