"""ZBE, movement ↔ Encounter (the movement, part of the venue) and Provenance (what is done with it).  IHE PAM FR §6.13."""

from icops_fhir.mappers.codec import Context
from icops_fhir.mappers.v2.codes import BASE, ours, v2
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import one_coding
from icops_fhir.mappers.v2.datatypes import EI, ORGANIZATION, XON
from icops_fhir.mappers.v2.primitives import code, timestamp, yes_no
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import encounter, provenance

HISTORIC = f"{BASE}/StructureDefinition/movement-historic"
ACTION = ours("pam-fr-zbe-4")
NATURE = ours("pam-fr-zbe-9")


def _movement(context: Context) -> dict[str, object]:
    return {**encounter(context), "partOf": "@Encounter"}


ZBE = Segment(
    "ZBE",
    {"Movement": resource("Encounter", _movement), "Action": resource("Provenance", provenance("Movement"))},
    field(1, "Movement.identifier[]", EI),
    field(2, "Movement.period.start", only(timestamp)),
    field(3, "Movement.period.end", only(timestamp)),
    field(4, f"Action.activity.coding[system={ACTION}].code", only(code)),
    field(5, f"Movement.extension[url={HISTORIC}].valueBoolean", only(yes_no)),
    field(6, f"Action.activity.coding[system={v2('0003')}].code", only(code)),
    field(7, "Movement.serviceProvider", XON),
    field(8, "Movement.location[0].location->Location.managingOrganization->Organization", ORGANIZATION),
    field(9, f"Movement.type[coding.system={NATURE}].coding[system={NATURE}]", one_coding(NATURE)),
)
