"""ZFA, status of the shared record (DMP, Mon espace santé) ↔ Consent × 2 and Observation.  IHE PAM FR §6.14.

ZFA-9 IO = opposition to feeding (deny), INO = none (permit); ZFA-11 INC = no consent to consultation (deny), IC = consent
(permit). NA or empty = not collected: no provision, never a refusal.
"""

from icops_fhir.mappers.v2.codes import ours
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import one_coding
from icops_fhir.mappers.v2.consent import agreement, consent
from icops_fhir.mappers.v2.primitives import timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment

STATUS, FEEDING, CONSULTATION = ours("pam-fr-zfa-1"), ours("pam-fr-zfa-9"), ours("pam-fr-zfa-11")

ZFA = Segment(
    "ZFA",
    {
        "RecordStatus": resource(
            "Observation",
            {"status": "final", "code": {"text": "Statut du dossier médical partagé"}, "subject": "@Patient!"},
        ),
        "Feeding": resource("Consent", consent("https://www.legifrance.gouv.fr/codes/id/LEGIARTI000043895798", "Alimentation du DMP")),
        "Consultation": resource("Consent", consent("https://www.legifrance.gouv.fr/codes/id/LEGIARTI000043895798", "Consultation du DMP")),
    },
    field(1, f"RecordStatus.valueCodeableConcept.coding[system={STATUS}]", one_coding(STATUS)),
    field(2, "RecordStatus.effectiveDateTime", only(timestamp)),
    field(9, "Feeding", agreement(FEEDING, {"IO": "deny", "INO": "permit"})),
    field(10, "Feeding.dateTime", only(timestamp)),
    field(11, "Consultation", agreement(CONSULTATION, {"INC": "deny", "IC": "permit"})),
    field(12, "Consultation.dateTime", only(timestamp)),
    spelled=(2, 10, 12),
)
