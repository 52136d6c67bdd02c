"""Search-style criteria evaluated on one resource in memory: `Task?patient=Patient/1&status:not=draft`.

https://hl7.org/fhir/R5/subscriptiontopic.html#criteria, https://hl7.org/fhir/R4/search.html (reference, token)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from icops_fhir.fhir import reference
from icops_fhir.fhir.issue import Issue
from icops_fhir.subscriptions.parameter import Parameter

Resource = dict[str, Any]

_TYPED = re.compile(r"([A-Z][A-Za-z]*)\?(.*)", re.DOTALL)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One `name:modifier=a,b`: any of the values will do."""

    parameter: Parameter
    modifier: str
    values: tuple[str, ...]

    def matches(self, resource: Resource) -> bool:
        found = self.parameter.values(resource)
        if self.modifier == "missing":
            return (not found) == (self.values == ("true",))
        hit = any(_MATCH[self.parameter.kind](value, wanted) for value in found for wanted in self.values)
        return hit != (self.modifier == "not")

    def __str__(self) -> str:
        modifier = f":{self.modifier}" if self.modifier else ""
        return f"{self.parameter.type}?{self.parameter.code}{modifier}={','.join(self.values)}"


def split(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The type ("" when the filter names none) and each (name, modifier, value) of a criteria."""
    typed = _TYPED.fullmatch(text.strip())
    type_, query = (typed[1], typed[2]) if typed else ("", text.strip())
    pairs = parse_qsl(query, keep_blank_values=True)
    return type_, [(*_named(name), value) for name, value in pairs]


def condition(parameter: Parameter, modifier: str, text: str) -> tuple[Condition, list[Issue]]:
    """The condition, and what is wrong with it: a filter that can match nothing is an error, never a silence."""
    values = tuple(_unescaped(part) for part in re.split(r"(?<!\\),", text))
    here = Condition(parameter, modifier, values)
    if modifier and modifier not in parameter.modifiers:
        allowed = ", ".join(sorted(parameter.modifiers)) or "none"
        return here, [_issue(f"the topic does not allow the modifier :{modifier} on {parameter.type}.{parameter.code} (allowed: {allowed})",
                             f"le sujet n'accepte pas le modificateur :{modifier} sur {parameter.type}.{parameter.code} (acceptés : {allowed})")]
    if modifier == "missing":
        wrong = () if values in (("true",), ("false",)) else (_issue(f"{here}: write true or false", f"{here} : écrivez true ou false"),)
        return here, list(wrong)
    return here, [issue for value in values for issue in _CHECK[parameter.kind](here, value)]


def contradictions(conditions: tuple[Condition, ...]) -> Iterator[Issue]:
    """Two conditions on an element that holds one value, with no value in common, can never both pass."""
    kept: dict[str, Condition] = {}
    for one in conditions:
        if one.modifier or not one.parameter.single:
            continue
        other = kept.setdefault(one.parameter.code, one)
        if other is not one and not set(other.values) & set(one.values):
            yield _issue(f"{other} and {one} can never pass together; separate values with a comma to mean one or the other",
                         f"{other} et {one} ne peuvent jamais passer ensemble ; séparez les valeurs par une virgule pour dire l'un ou l'autre")


def _named(name: str) -> tuple[str, str]:
    code, _, modifier = name.partition(":")
    return code, modifier


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\,$|])", r"\1", text)


def _issue(english: str, french: str) -> Issue:
    return Issue("error", "value", f"Filter: {english}.", ("Subscription.criteria.extension",), rule="icops-subscription-filter",
                 french=f"Filtre : {french}.")


def _reference_matches(value: Any, wanted: str) -> bool:
    text = value.get("reference", "") if isinstance(value, dict) else str(value)
    found, asked = reference.parse(text), reference.parse(wanted)
    if not found.literal:       # CarePlan.id: the resource itself
        return text == (asked.id or wanted)
    return not found.base and found.id == (asked.id or wanted) and asked.type in ("", found.type)


def _token_matches(value: Any, wanted: str) -> bool:
    system, bar, code = wanted.rpartition("|")
    for one_system, one_code in _tokens(value):
        if code and code != one_code:
            continue
        if not bar or one_system is None or system == one_system:
            return True
    return False


def _tokens(value: Any) -> Iterator[tuple[str | None, str]]:
    """(system, code); system None when the type implies it (code, boolean, id)."""
    if isinstance(value, bool):
        yield None, str(value).lower()
    elif isinstance(value, dict):
        concept = "coding" in value or set(value) <= {"text", "id", "extension"}
        for coding in value.get("coding", ()) if concept else (value,):
            yield str(coding.get("system", "")), str(coding.get("code", coding.get("value", "")))
    else:
        yield None, str(value)


def _check_reference(here: Condition, value: str) -> Iterator[Issue]:
    asked, targets = reference.parse(value), here.parameter.targets
    if asked.base or asked.urn:
        yield _issue(f"{here}: write the reference relative to this server (Type/id)", f"{here} : écrivez la référence relative à ce serveur (Type/id)")
    elif not asked.literal and not _ID.fullmatch(value):
        yield _issue(f"{here}: {value!r} is no reference; write Type/id", f"{here} : {value!r} n'est pas une référence ; écrivez Type/id")
    elif asked.type and targets and asked.type not in targets:
        names = ", ".join(sorted(targets))
        yield _issue(f"{here} can never pass: this element refers to {names}", f"{here} ne peut jamais passer : cet élément renvoie à {names}")


def _check_token(here: Condition, value: str) -> Iterator[Issue]:
    code = value.rpartition("|")[2]
    if value in ("", "|"):
        yield _issue(f"{here} has no value", f"{here} n'a pas de valeur")
    elif code and here.parameter.codes and code not in here.parameter.codes:
        names = ", ".join(sorted(here.parameter.codes))
        yield _issue(f"{here} can never pass: {code!r} is not one of {names}", f"{here} ne peut jamais passer : {code!r} n'est pas parmi {names}")


_MATCH: dict[str, Callable[[Any, str], bool]] = {"reference": _reference_matches, "token": _token_matches}
_CHECK: dict[str, Callable[[Condition, str], Iterator[Issue]]] = {"reference": _check_reference, "token": _check_token}
