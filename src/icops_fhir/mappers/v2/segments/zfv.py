"""ZFV, additional information on the venue ↔ Encounter.  IHE PAM FR §6.16."""

from icops_fhir.mappers.codec import Context
from icops_fhir.mappers.v2.codes import ours
from icops_fhir.mappers.v2.composite import composite, leaf, row
from icops_fhir.mappers.v2.concept import concept, one_coding
from icops_fhir.mappers.v2.datatypes import CX, XAD
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.row import field, shared
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import encounter, never

LEAVING, RIM, CARE = ours("pam-fr-zfv-9"), ours("pam-fr-zfv-10"), ours("pam-fr-zfv-11")
_STAY = "Encounter.hospitalization"


def _from(rep: Repetition, _: Context) -> bool:
    return leaf(rep, 6) == "ORI"


ZFV = Segment(
    "ZFV",
    {"Encounter": shared("Encounter", encounter)},
    field(1, f"{_STAY}.origin->Location", composite(row(1, "identifier[0].value"))),
    field(2, f"{_STAY}.specialArrangement[]", concept("0430"), fresh=never),
    field(6, f"{_STAY}.origin->Location.address", XAD, when=_from),
    field(8, "Encounter.identifier[]", CX, fresh=never),
    field(9, f"{_STAY}.dischargeDisposition.coding[system={LEAVING}]", one_coding(LEAVING)),
    field(10, f"Encounter.type[coding.system={RIM}].coding[system={RIM}]", one_coding(RIM)),
    field(11, f"{_STAY}.specialArrangement[]", concept(CARE), fresh=never),
)
