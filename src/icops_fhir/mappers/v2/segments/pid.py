"""PID, Patient Identification ↔ Patient and Account.  HL7 v2.5.1 §3.4.2; IHE PAM national extension (FR) §6.6."""

from __future__ import annotations

from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import SEX, coded, v2
from icops_fhir.mappers.v2.composite import beyond, composite, leaf, only, row
from icops_fhir.mappers.v2.concept import concept
from icops_fhir.mappers.v2.datatypes import CX, EXT, FR, XAD, XPN
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.identity import withheld
from icops_fhir.mappers.v2.primitives import date, positive, text, timestamp, written_same, yes_no
from icops_fhir.mappers.v2.row import field, resource
from icops_fhir.mappers.v2.segment import Segment
from icops_fhir.mappers.v2.segments._common import many_of, never, typed, used
from icops_fhir.mappers.v2.telecom import XTN
from icops_fhir.mappers.v2.view import Fields

US = "http://hl7.org/fhir/us/core/StructureDefinition/"


def is_birth_place(rep: Repetition, _: Context) -> bool:
    """XAD-7 BDL: the address is where the patient was born."""
    return leaf(rep, 6) == "BDL"


def not_birth_place(rep: Repetition, _: Context) -> bool:
    """Any other address."""
    return leaf(rep, 6) != "BDL"


def _first(rep: Repetition) -> str:
    return leaf(rep, 0)


def _birth(raw: str, context: Context) -> Node | None:
    """PID-7: a day is birthDate; a time is birthDate and the patient-birthTime extension."""
    if found := date.decode(raw, context):
        return {"birthDate": found}
    moment = timestamp.decode(raw, context)
    if not moment or "T" not in moment:
        return None
    extension = [{"url": f"{EXT}patient-birthTime", "valueDateTime": moment}]
    return {"birthDate": moment[:10], "_birthDate": {"extension": extension}}


def _birth_written(patient: Node, context: Context) -> str | None:
    day = patient.get("birthDate")
    for extension in (patient.get("_birthDate") or {}).get("extension", ()):
        moment = extension.get("valueDateTime")
        if extension.get("url") == f"{EXT}patient-birthTime" and isinstance(moment, str) and moment[:10] == day:
            written: str | None = timestamp.encode(moment, context)
            return written
    written = date.encode(day, context)
    return written


BIRTH = only(Codec(_birth, _birth_written, exact=written_same, members=frozenset({"birthDate", "_birthDate"})))


def _multiple(reps: list[Repetition], context: Context) -> Node | None:
    """PID-24 and PID-25: a birth order says more than Y."""
    said = yes_no.decode(_first(reps[0]), context)
    order = positive.decode(_first(reps[1]), context) if _first(reps[1]) else None
    if order is not None:
        return {"multipleBirthInteger": order}
    return None if said is None else {"multipleBirthBoolean": said}


def _multiple_written(patient: Node, context: Context) -> list[Repetition] | None:
    if (order := positive.encode(patient.get("multipleBirthInteger"), context)) is not None:
        return [[], [[order]]]
    said = yes_no.encode(patient.get("multipleBirthBoolean"), context)
    return [[[said]], []] if said else None


MULTIPLE = Codec(_multiple, _multiple_written, members=frozenset({"multipleBirthInteger", "multipleBirthBoolean"}))


def _deceased(reps: list[Repetition], context: Context) -> Node | None:
    """PID-29 and PID-30: a time of death says more than Y."""
    said = yes_no.decode(_first(reps[1]), context)
    moment = timestamp.decode(_first(reps[0]), context) if _first(reps[0]) else None
    if moment is not None:
        return {"deceasedDateTime": moment}
    return None if said is None else {"deceasedBoolean": said}


def _deceased_written(patient: Node, context: Context) -> list[Repetition] | None:
    if (moment := timestamp.encode(patient.get("deceasedDateTime"), context)) is not None:
        return [[[moment]], []]
    said = yes_no.encode(patient.get("deceasedBoolean"), context)
    return [[], [[said]]] if said else None


DECEASED = Codec(_deceased, _deceased_written, members=frozenset({"deceasedDateTime", "deceasedBoolean"}))


def _sex(value: str, context: Context) -> Any:
    """M and F need no original beside them; other codes do."""
    return {"gender": SEX[value]} if value in ("M", "F") else _SEX_CODED.decode(value, context)


_SEX_CODED = coded("gender", SEX, v2("0001"))
GENDER = only(Codec(_sex, _SEX_CODED.encode, exact=True, members=_SEX_CODED.members))

RELIABILITY = f"{FR}fr-core-identity-reliability"
RELIABILITY_CODES = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0445"


def _extended(url: str, inside: str, value: str, by: Codec) -> Codec:
    """A repetition as one complex extension: {"url": url, "extension": [{"url": inside, value: …}]}."""

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = by.decode(rep, context)
        return None if found is None else {"extension": [{"url": inside, value: found}]}

    def encode(one: Node, context: Context) -> Repetition | None:
        for part in one.get("extension", ()):
            if part.get("url") == inside and value in part:
                found: Repetition | None = by.encode(part[value], context)
                return found
        return None

    return Codec(decode, encode, by.reads)


def coding(uri: str) -> Codec:
    """CWE ↔ one Coding: code, display, system."""
    whole = concept(uri)

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = whole.decode([*rep[:3]], context)
        if context.left is not None and len(rep) > 3:
            context.left = [*context.left, *beyond(rep, 3)]
        return found["coding"][0] if found and found.get("coding") else None

    return Codec(decode, lambda one, context: whole.encode({"coding": [one]}, context), frozenset({(0, 0), (1, 0), (2, 0)}))


DLN = composite(row(1, "value"), row(2, "assigner.display"), row(3, "period.end", date), needs="value")
MOTHER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]}
ANIMAL = f"Patient.extension[url={EXT}patient-animal]"


def hide(fields: Fields, context: Context) -> set[tuple[int, int]]:
    """An INS that is not qualified never reaches Patient: PAM §6.6.15."""
    status = fields[32][0][0][0] if len(fields) > 32 and fields[32] and fields[32][0] else ""
    return {(f, r) for f in (2, 3, 4) if len(fields) > f for r, rep in enumerate(fields[f], 1) if withheld(rep, status)}


PID = Segment(
    "PID",
    {
        "Patient": resource("Patient"),
        "Account": resource("Account", {"status": "active", "subject": ["@Patient"]}),
        "Mother": resource("RelatedPerson", {"patient": "@Patient!", "relationship": [MOTHER]})._replace(late=True),
    },
    field(3, "Patient.identifier[]", CX),
    field(2, "Patient.identifier[]", CX, fresh=never),
    field(4, "Patient.identifier[]", CX, fresh=never),
    field(19, "Patient.identifier[]", typed(only(text), "SS", v2("0203")), fresh=never),
    field(20, "Patient.identifier[]", typed(DLN, "DL", v2("0203")), fresh=never),
    field(5, "Patient.name[]", XPN),
    field(9, "Patient.name[]", XPN, fresh=never),
    field(6, "Mother.name[]", XPN),
    field(21, "Mother.identifier[]", CX),
    field(7, "Patient", BIRTH),
    field(8, "Patient", GENDER),
    field(10, f"Patient.extension[url={US}us-core-race][]", _extended(f"{US}us-core-race", "detailed", "valueCoding", coding("0005"))),
    field(11, "Patient.address[]", XAD, when=not_birth_place),
    field(11, f"Patient.extension[url={EXT}patient-birthPlace][]", many_of("valueAddress", XAD), when=is_birth_place, fresh=never),
    field(13, "Patient.telecom[]", XTN),
    field(14, "Patient.telecom[]", XTN, fresh=used("work")),
    field(40, "Patient.telecom[]", XTN, fresh=never),
    field(15, "Patient.communication[0].language", concept("0296")),
    field(16, "Patient.maritalStatus", concept("0002")),
    field(17, f"Patient.extension[url={EXT}patient-religion].valueCodeableConcept", concept("0006")),
    field(18, "Account.identifier[]", CX),
    field(22, f"Patient.extension[url={US}us-core-ethnicity][]", _extended(f"{US}us-core-ethnicity", "detailed", "valueCoding", coding("0189"))),
    field(23, f"Patient.extension[url={EXT}patient-birthPlace].valueAddress.text", only(text)),
    field((24, 25), "Patient", MULTIPLE),
    field(26, f"Patient.extension[url={EXT}patient-citizenship][]", _extended("", "code", "valueCodeableConcept", concept("0171"))),
    field(28, f"Patient.extension[url={EXT}patient-nationality][]", _extended("", "code", "valueCodeableConcept", concept("0212"))),
    field((29, 30), "Patient", DECEASED),
    field(35, f"{ANIMAL}.extension[url=species].valueCodeableConcept", concept("0446")),
    field(36, f"{ANIMAL}.extension[url=breed].valueCodeableConcept", concept("0447")),
    field(39, f"Patient.extension[url={US}us-core-tribal-affiliation][]", _extended("", "tribalAffiliation", "valueCodeableConcept", concept("0171"))),
    field(32, f"Patient.extension[url={RELIABILITY}][]", _extended("", "identityStatus", "valueCoding", coding(RELIABILITY_CODES))),
    withhold=hide,
    spelled=(26, 28, 39),
)
