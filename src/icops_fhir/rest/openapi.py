"""The OpenAPI of FHIR, generated from the registries of interactions and operations.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Any

from icops_fhir.interactions.address import SHAPES
from icops_fhir.interactions.content import types
from icops_fhir.interactions.registry import Interaction, interactions
from icops_fhir.operations.registry import Operation, operations

MEDIA = "application/fhir+json"
HEADERS = {
    "read": ("If-None-Match", "If-Modified-Since"),
    "update": ("If-Match", "If-None-Match", "Prefer"),
    "delete": ("If-Match",),
    "create": ("If-None-Exist", "Prefer"),
    "search-type": ("Prefer",),
}
QUERY = {"search-type": ("_id", "_lastUpdated", "_count", "_sort", "_summary"), "history-instance": ("_count", "_since"),
         "history-type": ("_count", "_since"), "history-system": ("_count", "_since")}


def paths(prefix: str) -> dict[str, Any]:
    """Every address of FHIR with its methods."""
    found: dict[str, dict[str, Any]] = {}
    for row in interactions().values():
        if row.shape != "operation":
            found.setdefault(prefix + SHAPES[row.shape], {})[row.method.lower()] = _interaction(row)
    for item in operations():
        for method in sorted(item.methods):
            found.setdefault(prefix + _place(item), {})[method.lower()] = _operation(item)
    return found


def _interaction(row: Interaction) -> dict[str, Any]:
    names = [name for name in ("type", "id", "version") if "{" + name + "}" in SHAPES[row.shape]]
    said: dict[str, Any] = {
        "tags": ["FHIR"], "summary": f"{row.code}: {row.help}",
        "operationId": f"{row.code}-{row.shape}-{row.method}".lower(),
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _schema(name)} for name in names),
            *({"name": name, "in": "header", "schema": {"type": "string"}} for name in HEADERS.get(row.code, ())),
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in QUERY.get(row.code, ()) if row.method == "GET"),
        ],
        "responses": {"200": _content("the answer"), "default": _content("OperationOutcome: what is wrong and how to mend it")},
    }
    if row.shape == "type-search":
        said["requestBody"] = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}
    elif row.method in ("POST", "PUT"):
        said["requestBody"] = {"required": True, "content": {MEDIA: {"schema": {"type": "object"}}}}
    return said


def _operation(item: Operation) -> dict[str, Any]:
    names = ["id"] if item.level == "instance" else []
    return {
        "tags": ["FHIR operations"], "summary": f"${item.name}", "operationId": f"{item.name}-{item.type}-{item.level}".lower(),
        "parameters": [{"name": name, "in": "path", "required": True, "schema": _schema(name)} for name in names],
        "responses": {"200": _content("the answer"), "default": _content("OperationOutcome")},
    }


def _place(item: Operation) -> str:
    return "/" + "/".join(part for part in (item.type, "{id}" if item.level == "instance" else "", f"${item.name}") if part)


def _schema(name: str) -> dict[str, Any]:
    if name == "type":
        return {"type": "string", "enum": sorted(types())}
    return {"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"}


def _content(text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA: {"schema": {"type": "object"}}}}
