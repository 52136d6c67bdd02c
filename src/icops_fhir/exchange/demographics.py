"""The Patient a message is about, found or made, and what the message says of him merged into it.

PAM-FR §6.6 (PID), §6.7 (PD1); the decision is in identity.py, the merge in feed.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icops_fhir.exchange import doubts, feed, identity, keys, merge, patients, resolve, withdrawal
from icops_fhir.exchange.ledger import every
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.json import Resource, loads
from icops_fhir.mappers.v2.er7 import NULL, Message
from icops_fhir.mappers.v2.site import Site

EXT = "http://hl7.org/fhir/StructureDefinition/"
# The fields of PID whose `""` empties a unit of the Patient.
NULLS = {
    "PID-5": "name@PID-5", "PID-6": f"extension@{EXT}patient-mothersMaidenName", "PID-7": "birthDate", "PID-8": "gender",
    "PID-11": "address@PID-11", "PID-13": "telecom@PID-13", "PID-14": "telecom@PID-14", "PID-15": "communication@PID-15",
    "PID-16": "maritalStatus", "PID-17": f"extension@{EXT}patient-religion", "PID-24": "multipleBirth[x]",
    "PID-25": "multipleBirth[x]", "PID-26": f"extension@{EXT}patient-citizenship", "PID-29": "deceased[x]", "PID-30": "deceased[x]",
}  # fmt: skip
NIR, NIA = "urn:oid:1.2.250.1.213.1.4.8", "urn:oid:1.2.250.1.213.1.4.9"


def subjects(entries: list[tuple[str, Resource]]) -> list[tuple[str, Resource]]:
    """The Patients that PID segments made, in order; the one that MRG names is not one of them."""
    found = [(url, r) for url, r in entries if r["resourceType"] == "Patient"]
    return [(url, r) for url, r in found if not _from_mrg(r)]


def _from_mrg(patient: Resource) -> bool:
    origins = [str(i.get("id", "")) for i in patient.get("identifier", ())]
    if not origins:  # its only number is an INS that is withheld
        return patient.get("active") is False and any(link.get("type") == "replaced-by" for link in patient.get("link", ()))
    return all(origin.startswith("MRG") for origin in origins)


def scope(work: Work, entries: list[tuple[str, Resource]]) -> str:
    """What keeps a person who is only named apart from the namesakes of other patients."""
    for _, patient in subjects(entries):
        if number := identity.internal(patient):
            return identity.key(number, work.sender)
    return work.stamp


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient of a message: the Patient that stands for him, the file the message names, where its words were merged.

    The three differ once files were merged: an older message still speaks to the file that ended.
    """

    reference: str = ""
    file: str = ""
    home: str = ""


def apply(work: Work, message: Message, site: Site, decoded: Resource, known: dict[str, str], original: str) -> Subject:
    """Merges what the message says of a patient."""
    incoming = resolve.pointed(decoded, known)
    if message.get("PID-32") != identity.QUALIFIED or any(withdrawal.stale(work, i) for i in identity.ins(incoming)):
        incoming = identity.unqualified(incoming)
    number = identity.internal(decoded)
    found = (withdrawal.subject(work, message, site) if message.event == "A47" else "") or (patients.by_number(work, number) if number else "")
    if not found and number is None and message.event == "A47":
        return Subject()  # nobody we know, and nothing to know him by
    standing = patients.survivor(work, found) if found else ""
    held = work.get(standing) if standing else None
    choice = identity.decide(incoming, held, [] if message.event == "A47" else patients.by_ins(work, incoming), work.sender)
    if choice.withhold and message.event != "A47":
        incoming = identity.unqualified(incoming)
    chosen = f"Patient/{choice.patient}" if choice.patient else standing
    reference = chosen or f"Patient/{work.id('Patient', identity.key(number, work.sender) if number else original)}"
    ended = patients.merged_at(work, found) if found else ""
    home = found if ended and work.stamp < ended else reference
    units = _units(work, message, site, incoming, home)
    seed: Resource = {"active": True}
    if any(units.get(unit) for unit in identity.INS_UNITS):
        work.note(keys.INS_SAID, f"{work.sender}|{home}", b"{}", owner=home)
    merged = work.say(home, units, home, seed=seed)
    work.put(_one_ins(_still_said(work, merged, home)))
    if number and not found:
        patients.register(work, number, reference)
    for ins in identity.ins(incoming):
        withdrawal.remember(work, ins, found or reference)
    if choice.joined:
        merge.join(work, reference, f"Patient/{choice.joined}", use="")
        reference = f"Patient/{choice.joined}"
    if choice.doubt and message.event != "A47":
        _doubt(work, choice, reference)
    return Subject(reference, found or reference, home)


def _units(work: Work, message: Message, site: Site, incoming: Resource, home: str) -> feed.Units:
    units = feed.units(incoming)
    for path, unit in NULLS.items():
        said = message.repetitions(path)
        if said and all(repetition.get("1") == NULL for repetition in said):
            units[unit] = None
    _deleted_names(message, units)
    if message.get("PD1-12") in ("N", NULL):
        units.setdefault("meta.security", [])
    numbers = units.pop(identity.NUMBERS, None)
    if message.event != "A47":
        retired = {identity.key(i, work.sender) for i in (work.get(home) or {}).get("identifier", ()) if i.get("use") == "old"}
        units |= _numbers([i for i in numbers or [] if identity.key(i, work.sender) not in retired], message.get("PID-32"))
        for unit in _deleted_numbers(message, site):
            units.setdefault(unit, [])
    return units


def _deleted_numbers(message: Message, site: Site) -> list[str]:
    """PID-3 `""` with an authority: what this feed said of it is deleted; any INS when it is the INS's."""
    pid = message.first("PID")
    gone = [i for value, i in patients.identifiers(pid, 3, site) if value == NULL] if pid else []
    return [unit for i in gone for unit in (identity.INS_UNITS if identity.is_ins(i) else (identity.unit(i),))]


def _deleted_names(message: Message, units: feed.Units) -> None:
    """PID-5 `""^given^^^^^D`: the used name is deleted, not replaced by a given name alone."""
    gone = {r.get("7") for r in message.repetitions("PID-5") if r.get("1") == NULL}
    if gone and isinstance(units.get("name@PID-5"), list):
        units["name@PID-5"] = [name for name in units["name@PID-5"] if name.get("family")]


def _numbers(now: list[Any], status: str) -> feed.Units:
    """An identifier that is not repeated is not withdrawn (A47 does that); an INS no longer qualified is not said any more."""
    out: feed.Units = {unit: [] for unit in identity.INS_UNITS} if status not in ("", NULL, identity.QUALIFIED) else {}
    for item in now:
        if status == identity.QUALIFIED or not identity.is_ins(item):
            out.setdefault(identity.unit(item), []).append(item)
    return out


def _still_said(work: Work, patient: Resource, reference: str) -> Resource:
    """An INS that this feed no longer qualifies stays where another feed does."""
    held = {identity.key(i, "") for i in patient.get("identifier", ())}
    others: list[Resource] = []
    for said in every(work.tx, keys.INS_SAID, reference):
        sender = said.key.rpartition("|")[0]
        record = work.tx.record(keys.FEED, said.key) if sender != work.sender else None
        words = loads(record.body) if record else {}
        others += [i for unit in identity.INS_UNITS for i in words.get(unit, ["", []])[1] if identity.key(i, "") not in held]
    return {**patient, "identifier": [*patient.get("identifier", ()), *others]} if others else patient


def _one_ins(patient: Resource) -> Resource:
    """A temporary INS (NIA) ends when the definitive one (NIR) is there."""
    systems = {i.get("system") for i in identity.ins(patient)}
    if not {NIR, NIA} <= systems:
        return patient
    kept = [i for i in patient["identifier"] if not (identity.is_ins(i) and i.get("system") == NIA)]
    return {**patient, "identifier": kept}


def _doubt(work: Work, choice: identity.Decision, reference: str) -> None:
    others = sorted(f"Patient/{other}" for other in choice.others)
    id_ = work.id("Task", choice.doubt, *sorted([reference, *others]))
    if work.get(f"Task/{id_}") is None:
        work.put(doubts.task(id_, choice.doubt, reference, others, work.tx.instant))
