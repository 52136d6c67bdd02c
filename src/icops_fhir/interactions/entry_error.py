"""A refusal inside a Bundle says which entry: `Bundle.entry[3].resource.birthDate`.

https://hl7.org/fhir/R4/http.html#transaction-response
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from icops_fhir.fhir.issue import FhirError, Issue

Namer = Callable[[int], AbstractContextManager[None]]


@contextmanager
def named(number: int) -> Iterator[None]:
    """Whatever is refused inside is refused at this entry."""
    try:
        yield
    except FhirError as error:
        error.issues = tuple(_placed(issue, number) for issue in error.issues)
        raise


@contextmanager
def plain(number: int) -> Iterator[None]:
    """Outside a Bundle there is no entry to name."""
    yield


def overlap(first: int, second: int, target: str) -> FhirError:
    """Two entries that write one resource."""
    return FhirError(
        Issue("error", "duplicate", f"Bundle.entry[{first}] and Bundle.entry[{second}] both write {target}: keep one of them.",
              expression=(f"Bundle.entry[{first}]", f"Bundle.entry[{second}]"), rule="icops-transaction-overlap",
              french=f"Bundle.entry[{first}] et Bundle.entry[{second}] écrivent tous deux {target} : gardez-en une."), status=400)


def refused(code: str, english: str, french: str) -> FhirError:
    """An entry that asks what a transaction does not do."""
    return FhirError(Issue("error", code, f"The interaction {english}.", rule="icops-entry", french=f"L'interaction {french}."), status=400)


def _placed(issue: Issue, number: int) -> Issue:
    place = f"Bundle.entry[{number}]"
    if any(text.startswith("Bundle.entry[") for text in issue.expression):
        return issue
    below = tuple(_below(text) for text in issue.expression) or ("",)
    return replace(
        issue, expression=tuple(place + text for text in below), diagnostics=f"{place}: {issue.diagnostics}",
        french=f"{place} : {issue.french}" if issue.french else "")


def _below(expression: str) -> str:
    """`Patient.birthDate` → `.resource.birthDate`; `Bundle.entry.request` → `.request`."""
    if expression.startswith("Bundle.entry"):
        return expression.removeprefix("Bundle.entry")
    _, dot, rest = expression.partition(".")
    return f".resource.{rest}" if dot else ".resource"
