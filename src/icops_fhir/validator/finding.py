"""What a check found, before it knows where it stands: paths grow on the way up, so that a valid resource pays for none.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from icops_fhir.fhir.issue import Issue


class Finding(NamedTuple):
    """A fault, at a path below the element that was checked (`.name[0].use`)."""

    path: str
    code: str
    rule: str
    english: str
    french: str


Findings = list[Finding]
Check = Callable[[Any], Findings | None]        # None: nothing to say


def one(code: str, rule: str, english: str, french: str, path: str = "") -> Findings:
    """A single fault, here."""
    return [Finding(path, code, rule, english, french)]


def below(step: str, findings: Findings) -> Findings:
    """The same faults, seen from one level up."""
    return [Finding(step + item.path, *item[1:]) for item in findings]


def issue(root: str, item: Finding, severity: str = "error") -> Issue:
    """The fault as an issue of the whole resource."""
    place = root + item.path
    return Issue(severity, item.code, f"{place}: {item.english}.", expression=(place,), rule=item.rule, french=f"{place} : {item.french}.")
