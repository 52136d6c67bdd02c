"""PV1, Patient Visit ↔ Encounter (the venue).  HL7 v2.5.1 §3.4.3; IHE PAM FR §6.10; v2-to-FHIR PV1[Encounter]."""

from __future__ import annotations

from collections.abc import Callable

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import coded, v2
from icops_fhir.mappers.v2.composite import composite, only, row
from icops_fhir.mappers.v2.concept import any_coding, concept, one_coding
from icops_fhir.mappers.v2.datatypes import CX, PL, has_role, participant
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import code, timestamp
from icops_fhir.mappers.v2.row import Row, field, nowhere, resource, shared
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import encounter, encounter_class, never


def _class(value: str, context: Context) -> Node | None:
    """PV1-2: the mapped class, and the original as a type."""
    found = code.decode(value, context)
    if not found:
        return None
    return {"class": encounter_class(found), "type": [{"coding": [{"system": v2("0004"), "code": found}]}]}


def _class_written(node: Node, _: Context) -> str | None:
    now = (node.get("class") or {}).get("code")
    for kind in node.get("type", ()):
        for one in kind.get("coding", ()):
            if one.get("system") == v2("0004") and encounter_class(one.get("code", ""))["code"] == now:
                return str(one["code"])
    back = {"IMP": "I", "ACUTE": "I", "NONAC": "I", "AMB": "O", "EMER": "E", "PRENC": "P", "VR": "V", "HH": "I"}
    return back.get(str(now))


# What it adds to `type` is known by its coding system: no other row reads it.
CLASS = only(Codec(_class, _class_written, exact=True, members=frozenset({"class"})))


def place(status: str) -> Codec:
    """PL ↔ Encounter.location in a status."""

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = PL.decode(rep, context)
        return None if found is None else {"location": found, "status": status}

    return Codec(decode, lambda one, context: PL.encode(one.get("location"), context), PL.reads)


def has_status(status: str) -> Callable[[Node], bool]:
    """New locations of a status go to this row."""
    return lambda one: one.get("status") == status


def kind(table: str) -> str:
    """A place among Encounter.type for the codes of one table."""
    return f"Encounter.type[id=v2-{table}]"


def codings(at: int, base: str, table: str) -> tuple[Row, ...]:
    """A coded field that shares a CodeableConcept with others: its coding keeps the field as id; a client's has the table."""
    return (
        field(at, f"{base}.coding[id=PV1-{at}]", any_coding(table)),
        field(at, f"{base}.coding[system={v2(table)}]", one_coding(table), when=nowhere),
    )


ACCOUNT_STATUS = coded("status", {"A": "active", "I": "inactive"}, v2("0117"), default="unknown", implied="active")

PV1 = Segment(
    "PV1",
    {"Encounter": resource("Encounter", lambda c: {**encounter(c), "class": encounter_class(""), "account": ["@Account"]})._replace(holds=frozenset({"status", "class", "subject", "account"})), "Account": shared("Account", {"status": "active", "subject": ["@Patient"]})},
    field(2, "Encounter", CLASS),
    field(19, "Encounter.identifier[]", CX),
    field(50, "Encounter.identifier[]", CX, fresh=never),
    field(54, "Encounter.identifier[]", CX, fresh=never),
    field(3, "Encounter.location[]", place("active")),
    field(6, "Encounter.location[]", place("completed"), fresh=has_status("completed")),
    field(11, "Encounter.location[]", place("reserved"), fresh=has_status("reserved")),
    field(42, "Encounter.location[]", place("planned"), fresh=has_status("planned")),
    field(43, "Encounter.location[]", place("completed"), fresh=never),
    *codings(4, kind("0007"), "0007"),
    field(5, "Encounter.hospitalization.preAdmissionIdentifier", CX),
    field(7, "Encounter.participant[]", participant("ATND"), fresh=has_role("ATND")),
    field(8, "Encounter.participant[]", participant("REF"), fresh=has_role("REF")),
    field(9, "Encounter.participant[]", participant("CON"), fresh=has_role("CON")),
    field(17, "Encounter.participant[]", participant("ADM"), fresh=has_role("ADM")),
    field(52, "Encounter.participant[]", participant("PART"), fresh=has_role("PART")),
    field(10, "Encounter.serviceType", concept("0069")),
    field(13, "Encounter.hospitalization.reAdmission", concept("0092")),
    *codings(14, "Encounter.hospitalization.admitSource", "0023"),
    field(15, "Encounter.hospitalization.specialArrangement[]", concept("0009")),
    field(16, "Encounter.hospitalization.specialCourtesy[0]", concept("0099")),
    *codings(18, kind("0018"), "0018"),
    *codings(36, "Encounter.hospitalization.dischargeDisposition", "0112"),
    field(20, "Account.type", concept("0064")),
    field(37, "Encounter.hospitalization.destination->Location", composite(row("1.1", "identifier[0].value"), row("1.2", "name"))),
    field(38, "Encounter.hospitalization.dietPreference[0]", concept("0114")),
    field(39, "Encounter.serviceProvider->Organization", composite(row(1, "identifier[0].value"), row(2, "name"))),
    field(41, "Account", only(ACCOUNT_STATUS)),
    field(44, "Encounter.period.start", only(timestamp)),
    field(45, "Encounter.period.end", only(timestamp)),
)
