"""A client's edit of a Patient qualified by its INS: strict traits stay, and the identity cell gets a Task.

RNIV 1 §3; https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import NAMESPACE_URL, uuid5

from icops_fhir.exchange.doubts import CELL, SYSTEM
from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import canonical, loads
from icops_fhir.interactions.request import Resource, Service
from icops_fhir.store.engine import prepare
from icops_fhir.store.protocol import Prepared, Reader, Transaction, Version
from icops_fhir.validator.identity_traits import changed, restored

T = TypeVar("T")
SHOWN = frozenset({"name", "birthDate", "gender"})


class IdentityRefused(FhirError):
    """422, and the Task to write once the refused edit is undone."""

    def __init__(self, error: FhirError, task: Resource) -> None:
        super().__init__(error.issues, status=422)
        self.task = task


def guard(reader: Reader, resource: Resource, id_: str) -> Resource:
    """The resource to write in place of the current version; IdentityRefused when it changes a strict trait."""
    if resource["resourceType"] != "Patient":
        return resource
    previous = _previous(reader, id_)
    if previous is None:
        return resource
    body = loads(previous.body)
    issues = changed(body, resource)
    if issues:
        raise IdentityRefused(FhirError(issues, status=422), _task(resource, previous, [issue.expression[0] for issue in issues]))
    return restored(body, resource)


def put(tx: Transaction, prepared: Prepared, resource: Resource, *, expected: int | None, absent: bool) -> Version:
    """Writes a client's version of a resource, guarded."""
    kept = guard(tx, resource, prepared.id)
    return tx.write(prepared if kept is resource else prepare(kept, id=prepared.id), expected=expected, absent=absent)


async def guarded(service: Service, job: Callable[[Transaction], T]) -> T:
    """Runs the job; when it is refused for a strict trait, nothing of it is kept but the Task for the identity cell."""
    try:
        return await service.store.write(job)
    except IdentityRefused as refusal:
        task = refusal.task

        def tell(tx: Transaction) -> None:
            if tx.read("Task", task["id"]) is None:
                tx.write(prepare({**task, "authoredOn": tx.instant}))

        await service.store.write(tell)
        raise


def _previous(reader: Reader, id_: str) -> Version | None:
    """The current version, or the one before the deletion: deleting and creating again changes no trait either."""
    version = reader.read("Patient", id_)
    if version is not None and version.method == "delete":
        version = reader.vread("Patient", id_, version.version - 1)
    return version if version is not None and version.body else None


def _task(edited: Resource, previous: Version, paths: list[str]) -> Resource:
    """One Task for one asked edit: asking again makes no second one."""
    asked = {name: edited[name] for name in ("identifier", "name", "birthDate", "gender", "extension") if name in edited}
    key = f"icops-identity:{previous.id}/{previous.version}:".encode() + canonical(asked)
    return {
        "resourceType": "Task",
        "id": str(uuid5(NAMESPACE_URL, key.hex())),
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"coding": [{"system": SYSTEM, "code": "strict-trait-edit", "display": "Edit of a strict trait asked by a FHIR client"}],
                 "text": "Identité qualifiée : correction d'un trait strict demandée par un client FHIR"},
        "description": "Vérifier auprès du patient et de sa pièce d'identité, puis corriger à la source (A31, A47) ou rejeter.",
        "focus": {"reference": f"Patient/{previous.id}"},
        "for": {"reference": f"Patient/{previous.id}"},
        "performerType": [CELL],
        "input": [{"type": {"text": path}, "valueString": _shown(edited, path)} for path in dict.fromkeys(paths)],
    }


def _shown(edited: Resource, path: str) -> str:
    """What was asked, for a person to judge; an unproven INS is never repeated."""
    member = path.split(".")[1]
    return canonical(edited[member]).decode()[:4000] if member in SHOWN and member in edited else "—"
