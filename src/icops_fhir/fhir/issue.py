"""What went wrong, said once: the `Issue`, the error that carries it, the OperationOutcome that shows it.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# The code system of our stable rule ids ("icops-conditional-ambiguous").
RULES = "urn:icops-fhir:rules"

# Worst first: `worst` and the doors (HTTP, MLLP, CLI) rank by it.
SEVERITIES = ("fatal", "error", "warning", "information")


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding: whose place, what is wrong, how to mend it."""

    severity: str  # fatal | error | warning | information
    code: str  # http://hl7.org/fhir/issue-type
    diagnostics: str  # English: what, where, how to mend
    expression: tuple[str, ...] = ()  # FHIRPath or v2 path ("PID-3.1")
    location: tuple[str, ...] = ()  # "line 3, column 7", "PID[1]-3[2].1"
    rule: str = ""  # stable rule id
    french: str = ""  # the same sentence in French

    def text(self, language: str = "en") -> str:
        """The sentence in the language asked for, English when there is no other."""
        return self.french if self.french and language.lower().startswith("fr") else self.diagnostics

    @property
    def refuses(self) -> bool:
        """Whether this finding stops the interaction."""
        return self.severity in ("fatal", "error")


class FhirError(Exception):
    """A request or a message that cannot be done, and why. `ack`: AE ours or worth a retry, AR the sender's fault."""

    def __init__(self, issues: Sequence[Issue] | Issue, status: int = 400, ack: str = "AE") -> None:
        self.issues: tuple[Issue, ...] = (issues,) if isinstance(issues, Issue) else tuple(issues)
        self.status = status
        self.ack = ack
        super().__init__("; ".join(issue.diagnostics for issue in self.issues))

    def __reduce__(self) -> tuple[Any, ...]:
        return FhirError, (self.issues, self.status, self.ack)


def worst(issues: Iterable[Issue]) -> str | None:
    """The gravest severity among the issues, None when there are none."""
    return min((issue.severity for issue in issues), key=SEVERITIES.index, default=None)


def _component(issue: Issue, language: str) -> dict[str, Any]:
    out: dict[str, Any] = {"severity": issue.severity, "code": issue.code}
    details: dict[str, Any] = {"coding": [{"system": RULES, "code": issue.rule}]} if issue.rule else {}
    if text := issue.text(language):
        details["text"] = text
    if details:
        out["details"] = details
    if issue.diagnostics:
        out["diagnostics"] = issue.diagnostics
    if issue.location:
        out["location"] = list(issue.location)
    if issue.expression:
        out["expression"] = list(issue.expression)
    return out


def outcome(issues: Iterable[Issue], language: str = "en") -> dict[str, Any]:
    """The issues as an OperationOutcome; without any, the one that says all went well."""
    found = tuple(issues) or (Issue("information", "informational", "No issue found.", french="Aucune anomalie."),)
    return {"resourceType": "OperationOutcome", "issue": [_component(issue, language) for issue in found]}
