"""capabilities: what this server can do, said from the very registries that do it.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from icops_fhir.fhir.json import dumps
from icops_fhir.interactions.content import types
from icops_fhir.interactions.registry import interactions
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.operations.registry import Operation, operations
from icops_fhir.search.parameters import COLUMNS, parameters
from icops_fhir.search.types import TYPES
from icops_fhir.subscriptions.topic import topics as subscription_topics

SYSTEM_CODES = ("transaction", "batch", "history-system")


async def capabilities(service: Service, request: Request) -> Answer:
    """GET /metadata"""
    mode = dict(request.params).get("mode", "full")
    if mode == "terminology":
        return Answer(body=dumps(_terminology(request.base)))
    return Answer(body=dumps(statement(request.base)))


def statement(base: str) -> dict[str, Any]:
    """The CapabilityStatement of the server at this address."""
    return {
        "resourceType": "CapabilityStatement", "status": "active", "date": RELEASED, "kind": "instance",
        "software": {"name": "icops-fhir", "version": release()},
        "implementation": {"description": "icops-fhir", "url": base},
        "fhirVersion": "4.0.1", "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "documentation": "JSON only. Prefer: return=minimal|representation|OperationOutcome, handling=strict|lenient.",
            "security": {"cors": False, "description": "Bearer token (ICOPS_TOKEN) when the server asks for one."},
            "resource": [_resource(type_) for type_ in sorted(types())],
            "interaction": [{"code": code} for code in SYSTEM_CODES if code == "transaction" or code in codes()],
            **_operations([item for item in operations() if item.level == "system"]),
        }],
    }


# http://hl7.org/fhir/uv/subscriptions-backport/conformance.html
TOPIC = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
RELEASED = "2026-11-22"


@cache
def release() -> str:
    """The installed version."""
    try:
        return version("icops-fhir")
    except PackageNotFoundError:
        return "0"


@cache
def codes() -> frozenset[str]:
    """The interaction codes that some row of the registry does."""
    return frozenset(row.code for row in interactions().values())


@cache
def _resource(type_: str) -> dict[str, Any]:
    typed = [code for code in ("read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type") if code in codes()]
    topics = [{"url": TOPIC, "valueCanonical": url} for url in subscription_topics()] if type_ == "Subscription" else []
    return {
        **({"extension": topics} if topics else {}),
        "type": type_, "profile": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "interaction": [{"code": code} for code in typed],
        "versioning": "versioned-update", "readHistory": True, "updateCreate": True,
        "conditionalCreate": True, "conditionalRead": "full-support", "conditionalUpdate": True, "conditionalDelete": "single",
        "searchParam": _search_parameters(type_),
        **_operations([item for item in operations() if item.type == type_]),
    }


def _search_parameters(type_: str) -> list[dict[str, Any]]:
    return [
        {"name": item.code, "definition": item.definition["url"], "type": item.kind}
        for item in parameters(type_).values() if item.kind in TYPES or item.code in COLUMNS
    ]


def _operations(found: list[Operation]) -> dict[str, Any]:
    named = {item.name: item.definition for item in found}
    return {"operation": [{"name": name, "definition": url} for name, url in sorted(named.items())]} if named else {}


def _terminology(base: str) -> dict[str, Any]:
    return {
        "resourceType": "TerminologyCapabilities", "status": "active", "date": RELEASED, "kind": "instance",
        "software": {"name": "icops-fhir", "version": release()}, "implementation": {"description": "icops-fhir", "url": base},
        "codeSearch": "explicit",
    }
