"""Conditions that name a resource by a search: If-None-Exist, `PUT /Patient?identifier=…`, references `Patient?identifier=…`.

https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, https://hl7.org/fhir/R4/http.html#trules (conditional references)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qsl

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.reference import walk
from icops_fhir.interactions.content import known_type
from icops_fhir.interactions.request import Request, Resource
from icops_fhir.search.query import Query, parse
from icops_fhir.store.protocol import Reader, Version

# "POST Patient?identifier=…" or the text of a conditional reference → the id found, "" when nothing matches
Matches = dict[str, str]


class Condition(NamedTuple):
    """A search that must match at most one resource."""

    key: str
    query: Query


def of(request: Request) -> Condition | None:
    """The condition of this request, None when it names its target itself."""
    if request.method == "POST" and request.if_none_exist is not None:
        text = request.if_none_exist.partition("?")[2] if "?" in request.if_none_exist else request.if_none_exist
        params = tuple(parse_qsl(text, keep_blank_values=True))
    elif request.method in ("PUT", "DELETE") and not request.id:
        params = request.params
    else:
        return None
    return _condition(request.method, request.type, params)


def one(reader: Reader, condition: Condition) -> str:
    """The id of the only match, "" when there is none; 412 when there are several."""
    found = reader.search(condition.query).versions
    if len(found) > 1:
        raise _refused("multiple-matches", f"{condition.key} matches several resources ({_ids(found)}…): make the condition narrower or merge them.",
                       f"{condition.key} correspond à plusieurs ressources ({_ids(found)}…) : précisez la condition ou fusionnez-les.", 412)
    return found[0].id if found else ""


def in_references(resources: Iterable[Resource | None]) -> dict[str, str]:
    """The conditional references, each with where it stands first."""
    found: dict[str, str] = {}
    for number, resource in enumerate(resources):
        for element, path in walk(resource) if resource is not None else ():
            text = element["reference"]
            head, mark, _ = text.partition("?")
            if mark and head.isalpha() and head[:1].isupper():
                found.setdefault(text, f"Bundle.entry[{number}].resource.{path.partition('.')[2]}.reference")
    return found


def referenced(reader: Reader, text: str, where: str) -> str:
    """The id a conditional reference means; 412 unless exactly one."""
    type_, _, query = text.partition("?")
    try:
        known_type(type_)
        found = one(reader, _condition("", type_, tuple(parse_qsl(query, keep_blank_values=True))))
    except FhirError as error:
        raise FhirError([Issue(issue.severity, issue.code, f"{where}: {issue.diagnostics}", (where,), (), issue.rule, f"{where} : {issue.french}")
                         for issue in error.issues], status=412) from error
    if not found:
        raise FhirError(Issue("error", "not-found", f"{where}: {text[:200]} matches nothing.", expression=(where,), rule="icops-conditional-reference",
                              french=f"{where} : {text[:200]} ne correspond à rien."), status=412)
    return found


def _condition(method: str, type_: str, params: tuple[tuple[str, str], ...]) -> Condition:
    asked = [(name, value) for name, value in params if name not in ("_format", "_count", "_pretty")]
    text = "&".join(f"{name}={value}" for name, value in asked)
    key = f"{method} {type_}?{text}".strip()
    if not asked or not all(value for _, value in asked):
        raise _refused("required", f"{key}: a condition needs at least one search parameter with a value.",
                       f"{key} : une condition demande au moins un paramètre de recherche avec une valeur.", 412)
    return Condition(key, parse(type_, [*asked, ("_count", "2")], strict=True))


def _ids(found: list[Version]) -> str:
    return ", ".join(f"{version.type}/{version.id}" for version in found[:2])


def _refused(code: str, english: str, french: str, status: int) -> FhirError:
    return FhirError(Issue("error", code, english, rule="icops-conditional-ambiguous" if status == 412 and code == "multiple-matches" else "icops-conditional",
                           french=french), status=status)
