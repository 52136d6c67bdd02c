"""Tasks for the identity cell: what a person must look at, because no rule may decide it.

RNIV 1 §5 (signalling); https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from icops_fhir.fhir.json import Resource

SYSTEM = "https://icops-fhir.org/fhir/CodeSystem/identity-doubt"
CELL = {"text": "Cellule d'identitovigilance"}
DOUBTS = {
    "ins-traits-differ": ("Même INS, traits stricts différents ou incomplets : dossiers laissés séparés.",
                          "Same INS, strict traits different or incomplete: files kept apart."),
    "ins-ambiguous": ("Plusieurs dossiers ont cet INS et ces traits : aucun rapprochement.",
                      "Several files have this INS and these traits: none was joined."),
    "ins-twice-in-one-hospital": ("Deux dossiers d'un même établissement ont le même INS : fusion à faire à la source (A40).",
                                  "Two files of one hospital have the same INS: to be merged at the source (A40)."),
    "ins-conflict": ("Un autre INS que celui connu est reçu sans A47 : il n'est pas repris.",
                     "Another INS than the known one came without an A47: it was not taken."),
    "ins-withdrawn": ("INS retiré : prévenir les destinataires qui l'ont reçu.",
                      "INS withdrawn: warn those who received it."),
    "merge-refused": ("Fusion d'un dossier avec lui-même, ou dans l'autre sens d'une fusion déjà faite : sans effet.",
                      "Merge of a file with itself, or the reverse of a merge already done: no effect."),
}  # fmt: skip


def task(id_: str, doubt: str, patient: str, others: Iterable[str], now: str, inputs: Iterable[tuple[str, str]] = ()) -> Resource:
    """The Task of one doubt about one patient; the same doubt gets the same id. No identifier is repeated in it."""
    french, english = DOUBTS[doubt]
    listed: list[dict[str, Any]] = [
        {"type": {"text": "patient"}, "valueReference": {"reference": other}} for other in others
    ] + [{"type": {"text": label}, "valueReference": {"reference": reference}} for label, reference in inputs]
    out: Resource = {
        "resourceType": "Task", "id": id_, "status": "requested", "intent": "order", "priority": "urgent",
        "code": {"coding": [{"system": SYSTEM, "code": doubt, "display": english}], "text": french},
        "description": f"{french} / {english}",
        "focus": {"reference": patient}, "for": {"reference": patient}, "authoredOn": now,
        "performerType": [CELL],
    }  # fmt: skip
    if listed:
        out["input"] = listed
    return out
