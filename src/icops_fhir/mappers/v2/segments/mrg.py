"""MRG, Merge Patient Information ↔ the former Patient.  HL7 v2.5.1 §3.4.9; IHE PAM FR §4.4.

The former identity is a Patient of its own, inactive and replaced by the one in PID. An INS named here is on its way
out (A47) or of an unqualified identity: it is withheld.
"""

from icops_fhir.mappers.codec import Context
from icops_fhir.mappers.v2.datatypes import CX, XPN
from icops_fhir.mappers.v2.identity import is_ins, withheld
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import never
from icops_fhir.mappers.v2.view import Fields


def hide(fields: Fields, context: Context) -> set[tuple[int, int]]:
    """The INS of MRG-1, unless a merge of qualified identities names it."""
    status = context.facts.get("reliability", "")
    reps = fields[1] if len(fields) > 1 else []
    return {(1, r) for r, rep in enumerate(reps, 1) if withheld(rep, status) or (context.event == "A47" and is_ins(rep))}


MRG = Segment(
    "MRG",
    {
        "Former": resource("Patient", {"active": False, "link": [{"other": "@Patient!", "type": "replaced-by"}]}),
        "FormerAccount": resource("Account", {"status": "inactive", "subject": ["@Former"]}),
        "FormerEncounter": resource("Encounter", {"status": "unknown", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}, "subject": "@Former!"}),
    },
    field(1, "Former.identifier[]", CX),
    field(2, "Former.identifier[]", CX, fresh=never),
    field(4, "Former.identifier[]", CX, fresh=never),
    field(3, "FormerAccount.identifier[]", CX),
    field(5, "FormerEncounter.identifier[]", CX),
    field(6, "FormerEncounter.identifier[]", CX, fresh=never),
    field(7, "Former.name[]", XPN),
    withhold=hide,
)
