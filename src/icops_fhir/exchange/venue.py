"""The stay a message speaks of: its statement is kept, the venue folded again, its Encounters and Account written.

IHE PAM-FR §5.4.1: dossier (PID-18) ⊃ venue (PV1-19) ⊃ movement (ZBE-1). FR Core Encounter serves both levels (partOf).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icops_fhir.exchange import feed, identity, keys, movements, patients, statement
from icops_fhir.exchange.ledger import every
from icops_fhir.exchange.movements import DOSSIER, INSERT, Movement, Statement
from icops_fhir.exchange.resolve import located
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import Resource, dumps, loads
from icops_fhir.mappers.v2.er7 import Message

UNKNOWN = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}


@dataclass(frozen=True, slots=True)
class Stay:
    """What the message meant for the stay."""

    encounter: str = ""  # "Encounter/x" of the venue, "" when there is none yet
    patient: str = ""  # whose dossier it is
    counts: bool = True  # the movement is there, and nothing later took its meaning away
    waited: tuple[str, ...] = ()  # originals that waited for this movement


def named(venue: Resource, account: Resource | None, patient: str, message: Message, sender: str) -> tuple[str, str]:
    """The keys of the venue and of its dossier."""
    number = next((i for i in venue.get("identifier", ()) if i.get("value") and "VN" in identity.codes(i)), None)
    number = number or next((i for i in venue.get("identifier", ()) if i.get("value")), None)
    file = next((i for i in (account or {}).get("identifier", ()) if i.get("value")), None)
    dossier = identity.key(file, sender) if file else ""
    if number:
        return identity.key(number, sender), dossier
    if dossier:
        return f"dossier:{dossier}", dossier
    return f"{sender}:{patient}:{message.get('PV1-44') or '-'}", dossier


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message says the patient is: keys and references of the venue, its dossier and the movement."""

    name: str
    dossier: str
    patient: str
    encounter: str
    number: str
    movement: str = ""
    account: str = ""


def place(work: Work, message: Message, at: str, patient: str, venue: Resource, own: Resource | None, account: Resource | None) -> Place:
    """The place of a message, its venue known from now on."""
    name, dossier = named(venue, account, patient, message, work.sender)
    whose = owner(work, dossier, patient)
    taken = work.record(keys.VENUE, name)
    if taken is not None and owner(work, taken.owner, loads(taken.body)["patient"]) != whose:
        name = f"{name}|{whose}"  # only A44 moves a stay: another patient's, said with the same number, is another stay
        work.issues.append(Issue("warning", "conflict", "this visit number is another patient's: a stay of its own was made.", ("PV1-19",),
                                 rule="icops-visit-of-another", french="ce numéro de venue est celui d'un autre patient : un séjour distinct est créé."))  # fmt: skip
    encounter = _venue(work, name, dossier, whose, venue if taken is None else {})
    number = statement.key(message) or f"{message.event}/{at}^{work.sender}^"
    return Place(
        name, dossier, whose, encounter, number,
        _reference(work, number, own.get("identifier", []), encounter) if own else "",
        f"Account/{work.id('Account', dossier)}" if dossier else "",
    )  # fmt: skip


def apply(
    work: Work, message: Message, said: Statement, where: Place, account: Resource | None,
) -> Stay:  # fmt: skip
    """Keeps what the message says of its movement and writes what follows from it."""
    name, whose, encounter, number = where.name, where.patient, where.encounter, where.number
    if account is not None and where.account:
        told = {**feed.units(account), "subject": [{"reference": whose}]}
        work.repeat(where.account, told, lambda: told, whose, seed={"status": "active"})
    ledger, dossier = work.ledger(name), _dossier(work, name)
    known = ledger.known(number)
    movement = movements.heard(known, said)
    whole = _whole(work, dossier)
    ledger.open_for(known, movement, whole)
    before = ledger.standing(ledger.voided(whole))
    ledger.keep(movement)
    _void(work, name, dossier)
    now = _whole(work, dossier)
    new = ledger.voided(now)
    _write(work, name, (before ^ ledger.standing(new)) | {number})
    if whole != now:
        _others(work, name, dossier, whole, now)
    stands = work.get(encounter) is not None
    over = said.action == INSERT and movements.superseded(ledger.movements, number, new)
    counts = not movement.pending and not over
    ledger.seal(new)
    waited = known.waiting if said.action == INSERT else ()
    return Stay(encounter if stands else "", whose, counts or (movement.pending and not statement.zbe(message).named), waited)


def _others(work: Work, name: str, dossier: str, before: str, now: str) -> None:
    """The other venues of a dossier that an A11 took away, or gave back."""
    for record in every(work.tx, keys.VENUE, dossier):
        if record.key != name:
            ledger = work.ledger(record.key)
            ledger.unseal()
            changed = ledger.standing(ledger.voided(before)) ^ ledger.standing(ledger.voided(now))
            if changed:
                _write(work, record.key, changed)
            ledger.seal(ledger.voided(now))


def _write(work: Work, name: str, changed: set[str]) -> None:
    """Folds a venue and writes its Encounter, and those of the movements that changed."""
    record = work.record(keys.VENUE, name)
    if record is None:
        return
    place: dict[str, str] = loads(record.body)
    ledger = work.ledger(name)
    voided = ledger.voided(_whole(work, record.owner))
    folded = movements.fold(ledger.movements, voided, ledger.prefix)
    if folded is None:
        return
    patient, encounter = owner(work, record.owner, place["patient"]), place["encounter"]
    units: dict[str, Any] = {"status": {"status": folded.status}, "class": {"class": UNKNOWN}, **folded.units,
                             "subject": {"subject": {"reference": patient}}}  # fmt: skip
    period = {name: value for name, value in (("start", folded.start), ("end", folded.end)) if value}
    if period:
        units["period"] = {"period": period}
    work.settle(encounter, units, patient)
    for m in ledger.movements:
        if m.key in changed and m.inserted and m.own:
            _movement(work, m, encounter, patient, movements.live(m, voided))


def _movement(work: Work, movement: Movement, encounter: str, patient: str, stands: bool) -> None:
    units = feed.said(movement.own)
    numbers = [item for unit, value in units.items() if unit.partition("@")[0] == "identifier" for item in value or ()]
    reference = _reference(work, movement.key, numbers, encounter)
    facts = feed.said(movement.facts)
    told: dict[str, Any] = {"status": {"status": _status(movement) if stands else "cancelled"}}
    told |= {unit: value for unit, value in units.items() if value is not None}
    told |= {"partOf": {"partOf": {"reference": encounter}},
             "subject": {"subject": {"reference": patient}}}  # fmt: skip
    told.setdefault("class", facts.get("class") or {"class": UNKNOWN})
    if movement.at[1] and "period" not in told:
        told["period"] = {"period": {"start": movement.at[1]}}
    work.settle(reference, told, patient)


def _reference(work: Work, number: str, numbers: list[Resource], encounter: str) -> str:
    """The Encounter of a movement: one of this venue that has its number, else a new one; a new venue has none yet."""
    if (number, encounter) not in work.stays:
        made = f"Encounter/{work.id('Encounter', 'movement', number, encounter)}"
        others = (
            f"Encounter/{other['id']}"
            for item in (numbers if work.get(made) is None and work.get(encounter) is not None else ())
            for other in work.identified("Encounter", item)
            if other.get("partOf", {}).get("reference") == encounter
        )
        work.stays[number, encounter] = next(others, made)
    return work.stays[number, encounter]


def _status(movement: Movement) -> str:
    return movements.STATUS.get(movement.trigger[1], "in-progress")


def _dossier(work: Work, name: str) -> str:
    """The dossier the venue is known to be of."""
    record = work.record(keys.VENUE, name)
    return record.owner if record else ""


def _whole(work: Work, dossier: str) -> str:
    """Until when an A11 of any of its venues took the whole dossier away."""
    return max((loads(record.body) for record in every(work.tx, keys.VOID, dossier)), default="") if dossier else ""


def _void(work: Work, name: str, dossier: str) -> None:
    """Notes until when this venue takes its dossier away, where it does."""
    void = work.ledger(name).void(DOSSIER)
    if void and dossier:
        work.note(keys.VOID, name, dumps(void), owner=dossier)
    elif work.record(keys.VOID, name) is not None:
        work.drop(keys.VOID, name)


def _venue(work: Work, name: str, dossier: str, patient: str, venue: Resource) -> str:
    record = work.record(keys.VENUE, name)
    if record is None:
        numbers = [i for i in venue.get("identifier", ()) if "VN" in identity.codes(i)]
        encounter = located(work, "Encounter", numbers, "venue", name)
        work.note(keys.VENUE, name, dumps({"encounter": encounter, "patient": patient}), owner=dossier)
        return encounter
    place: dict[str, str] = loads(record.body)
    if not record.owner and dossier:
        work.note(keys.VENUE, name, record.body, owner=dossier)
        _void(work, name, dossier)
    return place["encounter"]


def owner(work: Work, dossier: str, patient: str) -> str:
    """Whose dossier it is: the patient an A44 gave it to, else this one; the survivor if that file was merged."""
    record = work.record(keys.DOSSIER, dossier) if dossier else None
    return patients.survivor(work, str(loads(record.body)["patient"]) if record else patient)
