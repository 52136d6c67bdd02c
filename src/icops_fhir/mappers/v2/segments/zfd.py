"""ZFD, additional demographic information ↔ Patient, Consent (SMS) and Provenance (how the identity was checked).  IHE PAM FR §6.18."""

from icops_fhir.mappers.v2.codes import ours
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import one_coding
from icops_fhir.mappers.v2.consent import agreement, consent
from icops_fhir.mappers.v2.datatypes import FR
from icops_fhir.mappers.v2.primitives import timestamp, yes_no
from icops_fhir.mappers.v2.row import field, resource, shared
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import provenance

SMS, MEANS, PROOF = ours("pam-fr-zfd-3"), ours("pam-fr-zfd-5"), ours("pam-fr-zfd-7")

ZFD = Segment(
    "ZFD",
    {
        "Patient": shared("Patient"),
        "Messages": resource("Consent", consent("https://www.legifrance.gouv.fr/loda/id/JORFTEXT000000886460", "Messages courts (SMS)")),
        "IdentityCheck": resource("Provenance", provenance("Patient")),
    },
    field(3, "Messages", agreement(SMS, {"N": "deny", "Y": "permit"})),
    field(4, f"Patient.extension[url={FR}fr-core-patient-birthdate-update-indicator].valueBoolean", only(yes_no)),
    field(5, f"IdentityCheck.activity.coding[system={MEANS}]", one_coding(MEANS)),
    field(6, "IdentityCheck.occurredDateTime", only(timestamp)),
    field(7, f"IdentityCheck.reason[coding.system={PROOF}].coding[system={PROOF}]", one_coding(PROOF)),
    spelled=(4, 6),
)
