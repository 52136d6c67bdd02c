"""Value sets of the definitions: is this code in it? Expanded from `compose` on first use, never over the network.

https://hl7.org/fhir/R4/valueset.html#compositions

The answer is True, False, or None: it cannot be told here (SNOMED CT, LOINC, an unknown value set or filter).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from icops_fhir.fhir.packages import known
from icops_fhir.terminology import codesystem

# system -> its codes in the set; None stands for "all of a system we do not hold"
Expansion = dict[str, frozenset[str] | None]


class _Unknown(Exception):
    """The set cannot be expanded here."""


def _system(include: dict[str, Any]) -> Expansion:
    url = include["system"]
    if "concept" in include:
        return {url: frozenset(concept["code"] for concept in include["concept"])}
    codes = codesystem.concepts(url)
    if codes is None:
        if include.get("filter"):
            raise _Unknown(url)
        return {url: None}
    chosen = frozenset(codes)
    for rule in include.get("filter", ()):
        chosen &= _filter(url, chosen, rule)
    return {url: chosen}


def _filter(url: str, codes: Iterable[str], rule: dict[str, Any]) -> frozenset[str]:
    how, value = rule["op"], rule["value"]
    if rule["property"] in ("concept", "code") and how in ("is-a", "descendent-of", "is-not-a"):
        below = codesystem.under(url, value) or frozenset()
        match how:
            case "is-a":
                return below
            case "descendent-of":
                return below - {value}
            case _:
                return frozenset(codes) - below
    if rule["property"] in ("concept", "code") and how in ("=", "in"):
        return frozenset(part.strip() for part in value.split(","))
    raise _Unknown(f"{url}: {rule['property']} {how}")


def _both(a: Expansion, b: Expansion) -> Expansion:
    out: Expansion = {}
    for system in a.keys() & b.keys():
        mine, theirs = a[system], b[system]
        out[system] = theirs if mine is None else mine if theirs is None else mine & theirs
    return out


def _include(include: dict[str, Any], seen: tuple[str, ...]) -> Expansion:
    out = _system(include) if "system" in include else None
    for url in include.get("valueSet", ()):
        other = _expand(url, seen)
        out = other if out is None else _both(out, other)
    return out or {}


def _expand(url: str, seen: tuple[str, ...]) -> Expansion:
    url = url.partition("|")[0]
    value_set = known().value_set(url)
    if value_set is None or url in seen:
        raise _Unknown(url)
    compose = value_set.get("compose")
    if compose is None:
        return _listed(value_set)
    out: Expansion = {}
    for include in compose.get("include", ()):
        for system, codes in _include(include, (*seen, url)).items():
            before = out.get(system, frozenset())
            out[system] = None if codes is None or before is None else before | codes
    for exclude in compose.get("exclude", ()):
        for system, codes in _include(exclude, (*seen, url)).items():
            before = out.get(system, frozenset())
            if before is None or codes is None:
                raise _Unknown(system)
            out[system] = before - codes
    return out


def _listed(value_set: dict[str, Any]) -> Expansion:
    out: dict[str, set[str]] = {}
    for item in value_set.get("expansion", {}).get("contains", ()):
        out.setdefault(item["system"], set()).add(item["code"])
    if not out:
        raise _Unknown(value_set["url"])
    return {system: frozenset(codes) for system, codes in out.items()}


@cache
def expand(url: str) -> Expansion | None:
    """The codes by system; None when it cannot be told here."""
    try:
        return _expand(url, ())
    except _Unknown:
        return None


def contains(url: str, system: str | None, code: str) -> bool | None:
    """Whether the code is in the value set; `system` None for an element of type code, whose system is implied."""
    found = expand(url.partition("|")[0])
    if found is None:
        return None
    if system is not None:
        if system not in found:
            return False
        codes = found[system]
        return None if codes is None else code in codes
    if any(codes is not None and code in codes for codes in found.values()):
        return True
    return None if any(codes is None for codes in found.values()) else False


def codes(url: str) -> tuple[str, ...] | None:
    """Every code of a set whose systems are all held here (to say them in an error); None otherwise."""
    found = expand(url.partition("|")[0])
    if found is None or any(part is None for part in found.values()):
        return None
    return tuple(sorted({code for part in found.values() for code in part or ()}))


def implied_system(url: str, code: str) -> str | None:
    """The system of a bare code in a value set; None when none or several hold it."""
    found = [system for system, part in (expand(url.partition("|")[0]) or {}).items() if part is not None and code in part]
    return found[0] if len(found) == 1 else None
