"""ZFM, PMSI modes of entry and exit ↔ Encounter.hospitalization.  IHE PAM FR §6.17."""

from icops_fhir.mappers.v2.codes import ours
from icops_fhir.mappers.v2.concept import one_coding
from icops_fhir.mappers.v2.row import field, shared
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import encounter

ENTRY, EXIT, ORIGIN, DESTINATION, EMERGENCY = (ours(f"pam-fr-zfm-{n}") for n in range(1, 6))
_IN, _OUT = "Encounter.hospitalization.admitSource", "Encounter.hospitalization.dischargeDisposition"

ZFM = Segment(
    "ZFM",
    {"Encounter": shared("Encounter", encounter)},
    field(1, f"{_IN}.coding[system={ENTRY}]", one_coding(ENTRY)),
    field(2, f"{_OUT}.coding[system={EXIT}]", one_coding(EXIT)),
    field(3, f"{_IN}.coding[system={ORIGIN}]", one_coding(ORIGIN)),
    field(4, f"{_OUT}.coding[system={DESTINATION}]", one_coding(DESTINATION)),
    field(5, f"{_IN}.coding[system={EMERGENCY}]", one_coding(EMERGENCY)),
)
