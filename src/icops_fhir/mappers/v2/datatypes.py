"""HL7 v2 composite data types ↔ FHIR elements and the small resources they name.  HL7 v2.5.1 chapter 2A.

French constraints: IHE France, Constraints on HL7 data types for ITI, v1.8.1.
"""

from __future__ import annotations

from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.path import Path
from icops_fhir.mappers.v2.codes import ADDRESS_TYPE, NAME_TYPE, coded, v2
from icops_fhir.mappers.v2.composite import composite, leaf, row
from icops_fhir.mappers.v2.er7 import Repetition
from icops_fhir.mappers.v2.primitives import code, date, text, timestamp, universal

EXT = "http://hl7.org/fhir/StructureDefinition/"
FR = "https://hl7.fr/ig/fhir/core/StructureDefinition/"


def _extension(url: str, value: str) -> str:
    return f"extension[url={EXT}{url}].{value}"


# ---------------------------------------------------------------- identifiers

_TYPE = f"type.coding[system={v2('0203')}].code"
# HD.3 values that are no universal id scheme (L, M, N, FINESS…): then HD.2 identifies the assigner.
_SCHEME = f"assigner.identifier.type.coding[system={v2('0301')}].code"


def _scheme(component: int) -> Any:
    """Whether the authority at a component is named by a local scheme rather than by a universal id."""

    decode = universal.decode

    def when(rep: Repetition, context: Context) -> bool:
        subs = rep[component] if component < len(rep) else []
        return len(subs) < 2 or decode((subs[1], subs[2] if len(subs) > 2 else ""), context) is None

    return when


def authority(component: int, under: str = "") -> tuple[Any, ...]:
    """Rows of an HD component: namespace, universal id and its type."""
    n = component
    return (
        row(f"{n}.1", f"{under}assigner.display"),
        row(f"{n}.2 {n}.3", f"{under}system", universal),
        row(f"{n}.2", f"{under}assigner.identifier.value", when=_scheme(n - 1)),
        row(f"{n}.3", f"{under}{_SCHEME}", code, when=_scheme(n - 1)),
    )


CX = composite(  # extended composite ID
    row(1, "value"),
    *authority(4),
    row(5, _TYPE, code),
    row(7, "period.start", date),
    row(8, "period.end", date),
    needs="value",
)

def _without_type(value: Any, context: Context) -> tuple[str, str] | None:
    """HD.2 alone: an EI says its type beside, in the scheme of its assigner."""
    found: tuple[str, str] | None = universal.encode(value, context)
    return (found[0], "" if found[1] == "ISO" else found[1]) if found else None


EI = composite(  # entity identifier
    row(1, "value"),
    row(2, "assigner.display"),
    row("3 4", "system", Codec(universal.decode, _without_type)),
    row(3, "assigner.identifier.value", when=lambda rep, c: universal.decode((leaf(rep, 2), leaf(rep, 3)), c) is None),
    row(4, _SCHEME, code),
    needs="value",
)

# ---------------------------------------------------------------- names

BIRTH_LIST = f"extension[url={FR}fr-core-patient-birth-list-given-name].valueString"


def _birth_list(rep: Repetition, context: Context) -> bool:
    """The French XPN-3 is the whole list of given names, the first included (INSi)."""
    first, others = leaf(rep, 1), leaf(rep, 2)
    return context.french and bool(first) and (others == first or others.startswith((f"{first} ", f"{first},")))


def _further(rep: Repetition, context: Context) -> bool:
    return not _birth_list(rep, context)


def name(surname: int, kind: int) -> tuple[Any, ...]:
    """Rows of XPN (surname at 1) and XCN (surname at 2): the parts from the family name on, and the name type."""
    n = surname
    return (
        row(f"{n}.1", "family"),
        row(f"{n}.2", f"_family.{_extension('humanname-own-prefix', 'valueString')}"),
        row(f"{n}.3", f"_family.{_extension('humanname-own-name', 'valueString')}"),
        row(f"{n}.4", f"_family.{_extension('humanname-partner-prefix', 'valueString')}"),
        row(f"{n}.5", f"_family.{_extension('humanname-partner-name', 'valueString')}"),
        row(n + 1, "given[0]"),
        row(n + 3, "suffix[0]"),
        row(n + 4, "prefix[0]"),
        row(kind, "", coded("use", NAME_TYPE, v2("0200"))),
    )


XPN = composite(  # extended person name
    *name(1, 7),
    row(3, BIRTH_LIST, when=_birth_list),
    row(3, "given[1]", when=_further),
    row(6, "suffix[1]"),
    row(8, _extension("iso21090-EN-representation", "valueCode"), code),
    row(11, _extension("humanname-assembly-order", "valueCode"), code),
    row(12, "period.start", timestamp),
    row(13, "period.end", timestamp),
    row(14, "suffix[2]"),
)

# ---------------------------------------------------------------- addresses

XAD = composite(  # extended address; XAD-9 is the French official geographic code of the commune
    row("1.1", "line[0]"),
    row("1.2", f"_line[0].{_extension('iso21090-ADXP-streetName', 'valueString')}"),
    row("1.3", f"_line[0].{_extension('iso21090-ADXP-houseNumber', 'valueString')}"),
    row(2, "line[1]"),
    row(3, "city"),
    row(4, "state"),
    row(5, "postalCode"),
    row(6, "country"),
    row(7, "", coded("use", ADDRESS_TYPE, v2("0190"))),
    row(8, "line[2]"),
    row(9, "district"),
    row(10, _extension("iso21090-ADXP-censusTract", "valueString")),
    row("12.1", "period.start", timestamp),
    row("12.2", "period.end", timestamp),
)

# ---------------------------------------------------------------- people, organizations, places


def referred(kind: str, by: Codec) -> Codec:
    """A repetition that describes another resource ↔ a Reference to it."""

    def decode(rep: Repetition, context: Context) -> Node | None:
        value = by.decode(rep, context)
        if value is None:
            return None
        target = {"resourceType": kind, **value}
        reference: Node = {"reference": target}
        context.nested.append((reference, target))
        return reference

    def encode(reference: Any, context: Context) -> Repetition | None:
        target = context.target(reference)
        if target is None or target.get("resourceType") != kind:
            return None
        found: Repetition | None = by.encode(target, context)
        return found

    return Codec(decode, encode, by.reads, {place: f"-> {kind}.{path}" for place, path in by.paths.items()})


def _has_id(component: int) -> Any:
    """Whether an identifier stands there that FHIR can hold: an authority alone identifies nobody."""
    return lambda rep, context: text.decode(leaf(rep, component), context) is not None


_XCN_ID = (row(1, "value"), *authority(9), row(13, _TYPE, code))
XCN_IDENTIFIER = composite(*_XCN_ID, needs="value")  # a further repetition of the same person: one more identifier


def _under(prefix: str, rows: tuple[Any, ...], only_with: Any = None) -> tuple[Any, ...]:
    """Rows of an element, below a place."""
    return tuple(
        part._replace(
            to=Path(f"{prefix}.{part.to.text}" if part.to.text else prefix),
            when=part.when if only_with is None else (lambda rep, context, when=part.when: only_with(rep, context) and (when is None or when(rep, context))),
        )
        for part in rows
    )


PRACTITIONER = composite(  # extended composite ID and name of a person
    *_under("identifier[0]", _XCN_ID, _has_id(0)),
    *_under(
        "name[0]",
        (
            *name(2, 10),
            row(4, "given[1]"),
            row(19, "period.start", timestamp),
            row(20, "period.end", timestamp),
            row(21, "suffix[1]"),
        ),
    ),
    row(7, "qualification[0].code.text"),
)
XCN = referred("Practitioner", PRACTITIONER)


def participant(role: str) -> Codec:
    """XCN ↔ Encounter.participant in a role. http://hl7.org/fhir/R4/valueset-encounter-participant-type.html"""
    uri = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

    def decode(rep: Repetition, context: Context) -> Node | None:
        found = XCN.decode(rep, context)
        return None if found is None else {"type": [{"coding": [{"system": uri, "code": role}]}], "individual": found}

    return Codec(decode, lambda one, context: XCN.encode(one.get("individual"), context), XCN.reads, XCN.paths)


def has_role(role: str) -> Any:
    """Whether a participant made in FHIR has this role."""
    return lambda one: any(c.get("code") == role for t in one.get("type", ()) for c in t.get("coding", ()))


ORGANIZATION = composite(  # XON, extended composite name and identifier of an organization
    row(1, "name"),
    row(10, "identifier[0].value"),
    row(3, "identifier[0].value", when=lambda rep, _: not leaf(rep, 9)),
    *authority(6, "identifier[0]."),
    row(7, f"identifier[0].{_TYPE}", code),
    row(2, f"type[coding.system={v2('0204')}].coding[system={v2('0204')}].code", code),
)
XON = referred("Organization", ORGANIZATION)

HD = composite(  # a place or an application named by namespace and universal id: an Organization
    row(1, "name"),
    row("2 3", "identifier[0].system", universal),
    row(2, "identifier[0].value", when=lambda rep, c: universal.decode((leaf(rep, 1), leaf(rep, 2)), c) is None),
    row(3, f"identifier[0].type.coding[system={v2('0301')}].code", code, when=lambda rep, c: universal.decode((leaf(rep, 1), leaf(rep, 2)), c) is None),
)


def _level(word: str) -> str:
    return f"identifier[type.text={word}].value"


PLACE = composite(  # PL, person location: ward, room, bed, facility. HL7 v2.5.1 §2.A.53
    row("1.1", _level("point of care")),
    row("1.2 1.3", "identifier[type.text=point of care].system", universal),
    row("11.1", "identifier[type.text=point of care].assigner.display"),
    row(2, _level("room")),
    row(3, _level("bed")),
    row("4.1", "managingOrganization->Organization.name"),
    row("4.2 4.3", "managingOrganization->Organization.identifier[0].system", universal),
    row("4.2", "managingOrganization->Organization.identifier[0].value", when=_scheme(3)),
    row("4.3", f"managingOrganization->Organization.identifier[0].type.coding[system={v2('0301')}].code", code, when=_scheme(3)),
    row(5, "operationalStatus.code", code),
    row(6, f"physicalType.coding[system={v2('0305')}].code", code),
    row(7, _level("building")),
    row(8, _level("floor")),
    row(9, "name"),
    row("10.1", _level("comprehensive identifier")),
)
PL = referred("Location", PLACE)
