"""ROL, Role ↔ CareTeam.participant.  HL7 v2.5.1 §15.4.7; IHE PAM FR §6.8; cds-ihe-careteam.

A member is a PractitionerRole (the cercle de soins wants one) with its Practitioner, organization and place.
"""

from __future__ import annotations

from typing import Any

from icops_fhir.mappers.codec import Context
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.datatypes import EI, ORGANIZATION, PLACE, PRACTITIONER, XAD, XCN_IDENTIFIER
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import timestamp
from icops_fhir.mappers.v2.row import field, item, nowhere, shared
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import never
from icops_fhir.mappers.v2.telecom import XTN

_ROLE = "Member.member->PractitionerRole"
_PERSON = f"{_ROLE}.practitioner->Practitioner"



def _first_written(person: Any, context: Context) -> Repetition | None:
    """The first repetition of ROL-4: an identifier that came with another repetition is not its own."""
    if isinstance(person, dict) and isinstance(identifiers := person.get("identifier"), list):
        own = [one for one in identifiers if not (isinstance(one, dict) and str(one.get("id", "")).startswith("ROL-4."))]
        person = {**person, "identifier": own}
    found: Repetition | None = PRACTITIONER.encode(person, context)
    return found


FIRST = PRACTITIONER._replace(encode=_first_written)

ROL = Segment(
    "ROL",
    {"Member": item("CareTeam", "participant"), "CareTeam": shared("CareTeam", {"status": "active", "subject": "@Patient"})},
    field(3, "Member.role[0]", concept("0443")),
    field(4, _PERSON, FIRST),
    field(4, "Member.member->Practitioner", PRACTITIONER, when=nowhere),
    field(4, f"{_PERSON}.identifier[]", XCN_IDENTIFIER, which="rest", fresh=never),
    field(1, f"{_ROLE}.identifier[0]", EI),
    field(5, "Member.period.start", only(timestamp)),
    field(6, "Member.period.end", only(timestamp)),
    field(9, f"{_ROLE}.code[]", concept("0182"), fresh=never),
    field(10, f"{_ROLE}.organization->Organization.type[]", concept("0406"), fresh=never),
    field(11, f"{_PERSON}.address[]", XAD, fresh=never),
    field(12, f"{_ROLE}.telecom[]", XTN, fresh=never),
    field(13, f"{_ROLE}.location[0]->Location", PLACE),
    field(14, f"{_ROLE}.organization->Organization", ORGANIZATION),
)
