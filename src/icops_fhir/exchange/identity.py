"""Whose message this is: the Patient found by IPP, joined across hospitals by a qualified INS only.

PAM-FR §6.6 (PID-3, PID-32), §4.4 (A47); RNIV 1 §3 (strict traits). Never by NIR (CX-5 NH shares the OID), never by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from icops_fhir.fhir.json import Resource
from icops_fhir.validator.identity_traits import BIRTH_GIVEN, BIRTH_PLACE, INS_SYSTEMS, INS_TYPES

V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
QUALIFIED = "VALI"  # table 0445; only as first repetition of PID-32
INTERNAL = ("PI", "MR", "PT", "PE", "")  # CX-5 of a patient number, in order of preference; "" in messages that are not French
ASSIGNER = "urn:icops-fhir:assigner:"
SENDER = "urn:icops-fhir:sender:"  # scope of an identifier that names no authority


def codes(identifier: Resource) -> set[str]:
    """The type codes of an identifier."""
    return {str(coding.get("code", "")) for coding in identifier.get("type", {}).get("coding", ())}


def is_ins(identifier: Resource) -> bool:
    """An INS: one of its OIDs and CX-5 = INS; the NIR of billing (NH) has the same OID and is not one."""
    return identifier.get("system") in INS_SYSTEMS and bool(codes(identifier) & INS_TYPES)


def ins(patient: Resource) -> list[Resource]:
    """The INS of a Patient."""
    return [item for item in patient.get("identifier", ()) if is_ins(item) and item.get("value")]


NUMBERS = "identifier@PID-3"


def unit(identifier: Resource) -> str:
    """The unit of a feed that an identifier is: each authority and type is said, and falls silent, on its own."""
    if is_ins(identifier):
        return f"{NUMBERS}#INS|{identifier.get('system')}"
    return f"{NUMBERS}#{'+'.join(sorted(codes(identifier)))}|{key({**identifier, 'value': ''}, '')}"


INS_UNITS = tuple(f"{NUMBERS}#INS|{system}" for system in sorted(INS_SYSTEMS))


def key(identifier: Resource, sender: str) -> str:
    """`authority|value`: a system, or the number of the assigner (FINESS), else the sender and its namespace."""
    assigner = identifier.get("assigner", {})
    number = assigner.get("identifier", {}).get("value")
    local = f"{ASSIGNER}{number}" if number else f"{SENDER}{sender}:{assigner.get('display', '')}"
    return f"{identifier.get('system') or local}|{identifier.get('value', '')}"


def internal(patient: Resource) -> Resource | None:
    """The number a hospital knows its patient by: the first IPP, else the first of another internal type."""
    live = [item for item in patient.get("identifier", ()) if item.get("value") and item.get("use") != "old"]
    for code in INTERNAL:
        for item in live:
            if code in (codes(item) or {""}) and item.get("system") not in INS_SYSTEMS:
                return dict(item)
    return None


@dataclass(frozen=True, slots=True)
class Traits:
    """The strict traits that an INS joins on. RNIV 1 §3."""

    family: str
    given: str
    birth_date: str
    sex: str
    birth_place: str

    @property
    def complete(self) -> bool:
        return all((self.family, self.given, self.birth_date, self.sex, self.birth_place))


def traits(patient: Resource) -> Traits:
    """The strict traits of a Patient; case and runs of blanks are not told apart."""
    names = patient.get("name", ())
    official = next((name for name in names if name.get("use") == "official"), names[0] if names else {})
    listed = next((str(e.get("valueString", "")) for e in official.get("extension", ()) if str(e.get("url", "")).endswith(BIRTH_GIVEN)), "")
    return Traits(
        _plain(official.get("family", "")),
        _plain(listed or " ".join(official.get("given", ()))),
        str(patient.get("birthDate", "")),
        str(patient.get("gender", "")),
        _birth_place(patient),
    )


def _plain(text: Any) -> str:
    return re.sub(r"\s+", " ", str(text)).strip().upper()


def _birth_place(patient: Resource) -> str:
    for extension in patient.get("extension", ()):
        if extension.get("url") == BIRTH_PLACE:
            address = extension.get("valueAddress", {})
            for part in address.get("extension", ()):
                if "insee" in str(part.get("url", "")).lower() or "census" in str(part.get("url", "")).lower():
                    return _plain(next((v for name, v in part.items() if name.startswith("value")), ""))
            return _plain(address.get("district") or address.get("city") or address.get("text") or "")
    return ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The Patient to merge the message into ("" = a new one), those to join to it, and what the identity cell must see."""

    patient: str = ""
    joined: str = ""  # the Patient that the one found by IPP turns out to be
    doubt: str = ""
    others: tuple[str, ...] = ()
    withhold: bool = False  # the INS of this message contradicts the one known here: it is not merged


def decide(incoming: Resource, by_number: Resource | None, by_ins: Sequence[Resource], sender: str) -> Decision:
    """Which Patient a message is about. Pure: candidates are handed in, survivors of merges only."""
    found = str(by_number["id"]) if by_number else ""
    others = [candidate for candidate in by_ins if candidate.get("id") != found]
    clash = bool(by_number) and _contradicts(incoming, by_number or {})
    if clash:
        return Decision(found, doubt="ins-conflict", withhold=True, others=tuple(str(c["id"]) for c in others))
    if not others:
        return Decision(found)
    mine = traits(incoming)
    equal = [c for c in others if mine.complete and traits(c) == mine and not _same_authority(incoming, c, sender)]
    if len(equal) == 1 and len(equal) == len(others):
        candidate = str(equal[0]["id"])
        return Decision(found or candidate, joined=candidate if found else "")
    doubt = "ins-ambiguous" if len(equal) > 1 or (equal and len(others) > 1) else "ins-traits-differ"
    if not equal and any(_same_authority(incoming, c, sender) for c in others):
        doubt = "ins-twice-in-one-hospital"
    return Decision(found, doubt=doubt, others=tuple(str(c["id"]) for c in others))


def _contradicts(incoming: Resource, known: Resource) -> bool:
    """Another INS of the same kind than the one known: only A47 may change it; a NIA that becomes a NIR is no conflict."""
    was = {item["system"]: item["value"] for item in ins(known)}
    return any(was.get(item["system"], item["value"]) != item["value"] for item in ins(incoming))


def _same_authority(incoming: Resource, known: Resource, sender: str) -> bool:
    """Both have a number of one hospital, and not the same: two files of one hospital are merged by A40 only."""
    mine = internal(incoming)
    if mine is None:
        return False
    authority, _, number = key(mine, sender).rpartition("|")
    theirs = [key(item, sender).rpartition("|") for item in known.get("identifier", ()) if item.get("value") and codes(item) & {"PI"} and item.get("use") != "old"]
    return any(a == authority and n != number for a, _, n in theirs) and not any((a, n) == (authority, number) for a, _, n in theirs)


def unqualified(patient: Resource) -> Resource:
    """The Patient without any INS: what a message whose PID-32 is not VALI may say."""
    kept = [item for item in patient.get("identifier", ()) if not is_ins(item)]
    out = {name: value for name, value in patient.items() if name != "identifier"}
    return {**out, "identifier": kept} if kept else out
