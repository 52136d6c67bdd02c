"""PV2, Patient Visit Additional Information ↔ Encounter.  HL7 v2.5.1 §3.4.4; v2-to-FHIR PV2[Encounter]."""

from icops_fhir.mappers.codec import Codec
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.datatypes import EXT, FR, participant
from icops_fhir.mappers.v2.primitives import number, text, timestamp
from icops_fhir.mappers.v2.row import field, shared
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import encounter, many_of, never
from icops_fhir.mappers.v2.segments.pid import coding
from icops_fhir.mappers.v2.segments.pv1 import place

PLANNED_START = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedStartDate"
PLANNED_END = f"{FR}fr-core-estimated-discharge-date"

DAYS = Codec(  # PV2-11, days ↔ Duration
    lambda value, context: (
        {"value": found, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"} if (found := number.decode(value, context)) is not None else None
    ),
    lambda one, context: found if (found := number.encode(one.get("value"), context)) and one.get("code") == "d" else None,
    exact=True,
)

PV2 = Segment(
    "PV2",
    {"Encounter": shared("Encounter", encounter)},
    field(1, "Encounter.location[]", place("planned"), fresh=never),
    field(3, "Encounter.reasonCode[]", concept()),
    field(12, "Encounter.reasonCode[]", many_of("text", only(text)), fresh=never),
    field(7, "Encounter.type[]", concept("0130"), fresh=never),
    field(8, f"Encounter.extension[url={PLANNED_START}].valueDateTime", only(timestamp)),
    field(9, f"Encounter.extension[url={PLANNED_END}].valueDateTime", only(timestamp)),
    field(11, "Encounter.length", only(DAYS)),
    field(13, "Encounter.participant[]", participant("REF"), fresh=never),
    field(25, "Encounter.priority", concept("0217")),
    field(38, f"Encounter.extension[url={EXT}encounter-modeOfArrival].valueCoding", coding("0430")),
)
