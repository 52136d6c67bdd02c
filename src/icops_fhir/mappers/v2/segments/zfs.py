"""ZFS, legal mode of psychiatric care ↔ Flag, labelled restricted.  IHE PAM FR §6.19.

Nothing of this segment ever stands on Patient.
"""

from icops_fhir.mappers.v2.codes import coded, ours
from icops_fhir.mappers.v2.composite import only
from icops_fhir.mappers.v2.concept import one_coding
from icops_fhir.mappers.v2.datatypes import EI
from icops_fhir.mappers.v2.primitives import text, timestamp
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import ACT_CODE, CONFIDENTIALITY

MODE, RIM = ours("pam-fr-zfs-6"), ours("pam-fr-zfs-7")

ACTION = {"INSERT": "active", "UPDATE": "active", "CANCEL": "entered-in-error"}


ZFS = Segment(
    "ZFS",
    {
        "LegalMode": resource(
            "Flag",
            {
                "meta": {"security": [{"system": CONFIDENTIALITY, "code": "R"}, {"system": ACT_CODE, "code": "PSY"}]},
                "status": "active",
                "category": [{"text": "Mode légal de soins en psychiatrie"}],
                "code": {},
                "subject": "@Patient!",
            },
        )
    },
    field(2, "LegalMode.identifier[0]", EI),
    field(3, "LegalMode.period.start", only(timestamp)),
    field(4, "LegalMode.period.end", only(timestamp)),
    field(5, "LegalMode", only(coded("status", ACTION, ours("pam-fr-zfs-5"), default="active", implied="active"))),
    field(6, f"LegalMode.code.coding[system={MODE}]", one_coding(MODE)),
    field(7, f"LegalMode.code.coding[system={RIM}]", one_coding(RIM)),
    field(8, "LegalMode.code.text", only(text)),
    spelled=(3, 4),
)
