"""Required bindings, where the value set is a plain list of codes: gender, status and the like.

https://hl7.org/fhir/R4/terminologies.html#required
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from icops_fhir.fhir.packages import definitions
from icops_fhir.validator.finding import Check, Findings, one

Resource = dict[str, Any]
LIMIT = 2000        # codes; a larger set is a matter for a terminology server


def check(element: Resource) -> Check | None:
    """The check of a coded element; None when nothing is required or the list cannot be known here."""
    binding = element.get("binding", {})
    if binding.get("strength") != "required" or [item["code"] for item in element.get("type", [])] != ["code"]:
        return None
    url = binding.get("valueSet", "").partition("|")[0]
    codes = _codes(url)
    if codes is None:
        return None

    def bound(value: Any) -> Findings | None:
        if type(value) is not str or value in codes:
            return None
        known = ", ".join(sorted(codes)[:12])
        return one("code-invalid", "icops-binding", f"the code is not one of {url} ({known})", f"le code n'est pas l'un de {url} ({known})")

    return bound


@cache
def _codes(url: str) -> frozenset[str] | None:
    """The codes of a value set that only lists; None for one that filters, imports or excludes."""
    found = definitions().value_set(url)
    compose = (found or {}).get("compose", {})
    if not compose.get("include") or compose.get("exclude"):
        return None
    codes: set[str] = set()
    for include in compose["include"]:
        if include.get("filter") or include.get("valueSet") or "system" not in include:
            return None
        listed = include.get("concept")
        if listed is None:
            system = definitions().code_system(include["system"])
            if system is None or system.get("content") != "complete":
                return None
            listed = _concepts(system)
        codes.update(concept["code"] for concept in listed)
        if len(codes) > LIMIT:
            return None
    return frozenset(codes) or None


def _concepts(node: Resource) -> Iterator[Resource]:
    for concept in node.get("concept", ()):
        yield concept
        yield from _concepts(concept)
