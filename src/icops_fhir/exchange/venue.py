"""The stay a message speaks of: its statement is kept, the venue folded again, its Encounters and Account written.

IHE PAM-FR §5.4.1: dossier (PID-18) ⊃ venue (PV1-19) ⊃ movement (ZBE-1). FR Core Encounter serves both levels (partOf).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icops_fhir.exchange import feed, identity, keys, movements, patients, statement
from icops_fhir.exchange.movements import DOSSIER, INSERT, VENUE, Movement, Statement
from icops_fhir.exchange.resolve import located
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import Resource, dumps, loads
from icops_fhir.mappers.v2.er7 import Message

MANY = 5000
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
    taken = work.tx.record(keys.VENUE, name)
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
    name, dossier, whose, encounter, number = where.name, where.dossier, where.patient, where.encounter, where.number
    if account is not None and where.account:
        told = {**feed.units(account), "subject": [{"reference": whose}]}
        work.say(where.account, told, whose, seed={"status": "active"})
    before = _standing(work, name, dossier)
    known = _known(work, number, name)
    movement = movements.heard(known, said)
    waited = known.waiting if said.action == INSERT else ()
    _keep(work, movement, name)
    after = _standing(work, name, dossier)
    changed = {m for v in {*before, *after} for m in before.get(v, set()) ^ after.get(v, set())}
    touched = [v for v in after if v == name or before.get(v) != after[v]]
    for v in touched:
        write(work, v, changed | ({number} if v == name else set()))
    mine = load(work, name)
    over = said.action == INSERT and movements.superseded(mine, number, _voided(work, mine, dossier))
    counts = not movement.pending and not over
    stands = work.get(encounter) is not None
    return Stay(encounter if stands else "", whose, counts or (movement.pending and not statement.zbe(message).named), waited)


def write(work: Work, name: str, changed: set[str]) -> None:
    """Folds a venue and writes its Encounter, and those of the movements that changed."""
    record = work.tx.record(keys.VENUE, name)
    if record is None:
        return
    place: dict[str, str] = loads(record.body)
    mine = load(work, name)
    voided = _voided(work, mine, record.owner)
    folded = movements.fold(mine, voided)
    if folded is None:
        return
    patient, encounter = owner(work, record.owner, place["patient"]), place["encounter"]
    units: dict[str, Any] = {"status": {"status": folded.status}, "class": {"class": UNKNOWN}, **folded.units,
                             "subject": {"subject": {"reference": patient}}}  # fmt: skip
    period = {name: value for name, value in (("start", folded.start), ("end", folded.end)) if value}
    if period:
        units["period"] = {"period": period}
    work.settle(encounter, units, patient)
    for m in mine:
        if m.key in changed and m.inserted and m.own:
            _movement(work, m, encounter, patient, movements.live(m, voided))


def load(work: Work, name: str) -> list[Movement]:
    """The movements of a venue, cancellations that name none applied."""
    if name not in work.venues:
        found = [*work.tx.records(keys.MOVEMENT, owner=name, limit=MANY), *work.tx.records(keys.PENDING, owner=name, limit=MANY)]
        work.venues[name] = [movements.from_json(loads(record.body)) for record in found]
    return movements.spread(work.venues[name])


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
    """The Encounter of a movement: one of this venue that has its number, else a new one."""
    made = f"Encounter/{work.id('Encounter', 'movement', number, encounter)}"
    if work.get(made) is None:
        for item in numbers:
            for other in work.identified("Encounter", item):
                if other.get("partOf", {}).get("reference") == encounter:
                    return f"Encounter/{other['id']}"
    return made


def _status(movement: Movement) -> str:
    return movements.STATUS.get(movement.trigger[1], "in-progress")


def _known(work: Work, number: str, name: str) -> Movement:
    load(work, name)
    return next((m for m in work.venues[name] if m.key == number), Movement(number))


def _keep(work: Work, movement: Movement, name: str) -> None:
    kind, other = (keys.PENDING, keys.MOVEMENT) if movement.pending else (keys.MOVEMENT, keys.PENDING)
    work.venues[name] = [*(m for m in work.venues[name] if m.key != movement.key), movement]
    work.tx.drop(other, f"{movement.key}|{name}")
    work.tx.put(kind, f"{movement.key}|{name}", dumps(movements.to_json(movement)), owner=name)


def _standing(work: Work, name: str, dossier: str) -> dict[str, set[str]]:
    """The movements that stand, by venue of the dossier."""
    names = {name, *(record.key for record in work.tx.records(keys.VENUE, owner=dossier, limit=MANY) if dossier)}
    out = {}
    for v in names:
        mine = load(work, v)
        voided = _voided(work, mine, dossier)
        out[v] = {m.key for m in mine if movements.live(m, voided)}
    return out


def _voided(work: Work, mine: list[Movement], dossier: str) -> str:
    """Until when an A11 took this venue, or its whole dossier, away."""
    whole = ""
    if dossier:
        for record in work.tx.records(keys.VENUE, owner=dossier, limit=MANY):
            whole = max(whole, movements.voids(load(work, record.key), (DOSSIER,)))
    return max(whole, movements.voids(mine, (VENUE, DOSSIER)))


def _venue(work: Work, name: str, dossier: str, patient: str, venue: Resource) -> str:
    record = work.tx.record(keys.VENUE, name)
    if record is None:
        numbers = [i for i in venue.get("identifier", ()) if "VN" in identity.codes(i)]
        encounter = located(work, "Encounter", numbers, "venue", name)
        work.tx.put(keys.VENUE, name, dumps({"encounter": encounter, "patient": patient}), owner=dossier)
        return encounter
    place: dict[str, str] = loads(record.body)
    if not record.owner and dossier:
        work.tx.put(keys.VENUE, name, record.body, owner=dossier)
    return place["encounter"]


def owner(work: Work, dossier: str, patient: str) -> str:
    """Whose dossier it is: the patient an A44 gave it to, else this one; the survivor if that file was merged."""
    record = work.tx.record(keys.DOSSIER, dossier) if dossier else None
    return patients.survivor(work, str(loads(record.body)["patient"]) if record else patient)
