"""The codes a pathway is told in: our own small code systems (profiles/code-systems) and the French ones.

TRE_R85#330 is the official coordinator of pathways; TRE_R254 the events of "notification d'événements" (ADM, SOR).
"""

from __future__ import annotations

from typing import Any

BASE = "https://icops-fhir.org/fhir/"
EXTENSIONS = BASE + "StructureDefinition/"
HOME_TASKS = EXTENSIONS + "pathway-home-tasks"  # PlanDefinition.action: suspend | resume | keep
MADE_BY = EXTENSIONS + "pathway-movement"  # Task, Communication: the movement that made it, its date, when it was said
HOLD = EXTENSIONS + "task-hold"  # Task: why it is on hold and the status it had

REASON = BASE + "CodeSystem/pathway-reason"
SETTING = BASE + "CodeSystem/task-setting"
TASK_ID = BASE + "NamingSystem/pathway-task"
NOTICE_ID = BASE + "NamingSystem/pathway-notice"

TRE_R85 = "https://mos.esante.gouv.fr/NOS/TRE_R85-RolePriseCharge/FHIR/TRE-R85-RolePriseCharge"
TRE_R254 = "https://mos.esante.gouv.fr/NOS/TRE_R254-TypeEvenement/FHIR/TRE-R254-TypeEvenement"
CATEGORY = "http://terminology.hl7.org/CodeSystem/communication-category"

COORDINATOR = "330"
HOME = "home"  # meta.tag of a Task done where the person lives: suspended while they are in hospital

# Why a Task is on hold or cancelled, why a message is sent or stopped.
REASONS = {
    "admission": "Hospitalisation ou passage aux urgences",
    "planned-admission": "Hospitalisation programmée",
    "announced-discharge": "Sortie d'hospitalisation annoncée",
    "discharge": "Sortie d'hospitalisation",
    "stay": "Personne hospitalisée",
    "absence": "Absence temporaire",
    "death": "Décès de la personne",
    "movement-cancelled": "Mouvement annulé par l'établissement",
    "movement-corrected": "Mouvement rectifié par l'établissement",
    "destination-changed": "Destination de sortie rectifiée",
    "superseded": "Remplacé par un mouvement plus récent de la même venue",
    "task-cancelled": "Tâche annulée",
    "task-rescheduled": "Tâche à reprogrammer",
}
# The event types of the national notification service; the others have no official code.
NATIONAL = {"admission": ("ADM", "Admission"), "discharge": ("SOR", "Sortie")}


def reason(code: str, text: str = "") -> dict[str, Any]:
    """A reason as CodeableConcept, with the national event type beside ours where there is one."""
    coding = [{"system": REASON, "code": code, "display": REASONS[code]}]
    if code in NATIONAL:
        national, display = NATIONAL[code]
        coding.append({"system": TRE_R254, "code": national, "display": display})
    return {"coding": coding, "text": text or REASONS[code]}


def has_code(concept: dict[str, Any] | None, code: str) -> bool:
    """Whether a CodeableConcept holds one of our reasons."""
    return any(c.get("system") == REASON and c.get("code") == code for c in (concept or {}).get("coding", ()))
