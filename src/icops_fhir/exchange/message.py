"""One translated message applied to the store: patient, people, stay, what is said of the patient, pathway.

    decoded Bundle ─ identity ─ Patient ─┬─ shared people and places
                                         ├─ venue and movements (fold) ─ events ─ pathway.react
                                         └─ next of kin, care team, consents, observations …
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

from icops_fhir.careplan import pathway
from icops_fhir.careplan.event import DEATH
from icops_fhir.exchange import (
    care_team,
    demographics,
    feed,
    merge,
    moment,
    movement,
    provenance,
    resolve,
    statement,
    venue,
    withdrawal,
)
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import Resource
from icops_fhir.mappers import registry
from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.er7 import NULL, Message, Segment
from icops_fhir.mappers.v2.site import Site

EVENTS = frozenset(
    [f"A{n:02d}" for n in (*range(1, 17), 21, 22, *range(24, 29), 31, 32, 33, 37, 38, 40, 44, 47, *range(52, 56))] + ["Z99"]
)
NK1 = {4: "address@NK1-4", 5: "telecom@NK1-5", 6: "telecom@NK1-6"}
APART = ("Patient", "Encounter", "Account", "CareTeam", "Provenance", "Bundle", "Binary")


def apply(work: Work, message: Message, site: Site, bundle: Resource, received: str, original: str) -> str:
    """Applies a message; gives the Patient it is about, "" when it changes nothing."""
    _report(work, message)
    if message.type != "ADT" or message.event not in EVENTS:
        return ""
    entries = resolve.entries(bundle)
    decoded = demographics.subjects(entries)
    if not decoded:
        work.issues.append(Issue("warning", "not-found", "no patient in this message: no resource was changed.", ("PID",),
                                 rule="icops-no-patient", french="aucun patient dans ce message : aucune ressource modifiée."))  # fmt: skip
        return ""
    known: dict[str, str] = {}
    _people(work, bundle, entries, known)
    found = [demographics.apply(work, message, site, patient, known, original) for _, patient in decoded]
    about, subject = found[0], found[0].reference
    known |= {url: one.reference for (url, _), one in zip(decoded, found)}
    if message.event == "A47":
        for file in dict.fromkeys((about.home, subject)):
            withdrawal.apply(work, message, site, file)
        if not subject:
            return ""
    elif message.event == "A40":
        merge.a40(work, message, site, subject)
    elif message.event == "A44":
        merge.a44(work, message, site, subject)
    elif message.event in ("A24", "A37"):
        merge.linked(work, message, site)
    stay = _stay(work, message, site, entries, known, subject, received, original)
    _statements(work, message, entries, known, about, stay.patient or subject)
    targets = [f"{v.type}/{v.id}" for v in work.flush()]
    targets += react(work, message, site, stay, subject)
    _trace(work, entries, known, targets, original, received)
    return subject


def _report(work: Work, message: Message) -> None:
    """What has no rule here is carried and said, never refused."""
    if message.type != "ADT" or message.event not in EVENTS:
        name = f"{message.type}^{message.event}"
        work.issues.append(Issue("warning", "not-supported", f"{name} is kept and translated; it changes no resource.", ("MSH-9",),
                                 rule="icops-event-without-rule", french=f"{name} est conservé et traduit ; il ne modifie aucune ressource."))  # fmt: skip
    unknown = dict.fromkeys(s.name for s in message.segments if s.name and registry.segment(s.name) is None)
    for name in unknown:
        work.issues.append(Issue("information", "not-supported", f"segment {name} is carried as it came.", (name,),
                                 rule="icops-segment-carried", french=f"le segment {name} est porté tel quel."))  # fmt: skip


def _people(work: Work, bundle: Resource, entries: list[tuple[str, Resource]], known: dict[str, str]) -> None:
    """People, organizations and places, found or made; roles last, since they point to the others."""
    sender = resolve.sender(bundle)
    used = resolve.used(entries, sender)
    named = [(url, r) for url, r in entries if url in used]
    patient = demographics.scope(work, entries)
    ranked = resolve.ranked(named, (*resolve.SHARED, *resolve.ROLES))
    for url, resource in ranked:
        pointed = resolve.pointed(resource, known)
        if resource["resourceType"] in resolve.ROLES:
            known[url] = resolve.role(work, pointed, patient)
        else:
            known[url] = resolve.shared(work, pointed, "" if url == sender else patient)
    for url, resource in ranked:
        pointed = resolve.pointed(resource, known)
        work.repeat(known[url], pointed, partial(feed.units, pointed), known[url])


def _stay(
    work: Work, message: Message, site: Site, entries: list[tuple[str, Resource]], known: dict[str, str],
    patient: str, received: str, original: str,
) -> venue.Stay:  # fmt: skip
    stays = [(url, r) for url, r in entries if r["resourceType"] == "Encounter"]
    venues = [(url, r) for url, r in stays if "partOf" not in r]
    moves = [(url, r) for url, r in stays if "partOf" in r]
    if not statement.moves(message) or not (venues or moves):
        return venue.Stay(patient=patient)
    account = next(((url, r) for url, r in entries if r["resourceType"] == "Account"), None)
    place = venues[0][1] if venues else {"resourceType": "Encounter"}
    own = moves[0][1] if moves else None
    at = moment.happened(message, received, site)
    where = venue.place(work, message, at, patient, place, own, account[1] if account else None)
    known |= {url: where.encounter for url, _ in venues}
    known |= {url: where.movement or where.encounter for url, _ in moves}
    if account and where.account:
        known[account[0]] = where.account
    said = statement.read(message, work.stamp, at, resolve.pointed(place, known), resolve.pointed(own, known) if own else None, original)
    return venue.apply(work, message, said, where, resolve.pointed(account[1], known) if account else None)


def _statements(
    work: Work, message: Message, entries: list[tuple[str, Resource]], known: dict[str, str], about: demographics.Subject, stay: str
) -> None:
    """What the message says about the patient: the same thing again is the same resource, upserted.

    What is said of a stay is its patient's, although the dossier may have been moved since (A44).
    """
    patient = about.reference
    moved = {url: stay if reference == patient else reference for url, reference in known.items()}
    seen: Counter[str] = Counter()
    rest = [(url, r) for url, r in entries if r["resourceType"] not in (*APART, *resolve.SHARED, *resolve.ROLES) or provenance.apart(r)]
    pointed = [(url, resolve.pointed(r, moved if "encounter" in r else known)) for url, r in rest]
    for url, resource in pointed:
        reference = resolve.personal(work, resource, about.file, 0)
        seen[reference] += 1
        known[url] = reference if seen[reference] == 1 else resolve.personal(work, resource, about.file, seen[reference])
    relatives = message.named("NK1")
    for url, resource in rest:
        moved[url] = known[url]
        units = feed.units(resolve.pointed(resource, {**known, **moved} if "encounter" in resource else known))
        if resource["resourceType"] == "RelatedPerson":
            units |= _deleted(relatives.pop(0)) if relatives else {}
        if resource["resourceType"] == "Consent":  # an answer replaces the last one whole: "not collected" is no refusal
            units = {**{unit: feed.nothing(value) for unit, (_, value) in work.sent(known[url]).items()}, **units}
        work.say(known[url], units, patient)
    for url, resource in entries:
        if resource["resourceType"] == "CareTeam":
            known[url] = care_team.apply(work, message, resolve.pointed(resource, known), patient, about.file)


def _deleted(relative: Segment) -> feed.Units:
    """The fields of an NK1 that `""` empties."""
    return {unit: None for field, unit in NK1.items() if (said := relative.repetitions(field)) and all(r.get("1") == NULL for r in said)}


def react(work: Work, message: Message, site: Site, stay: venue.Stay, patient: str) -> list[str]:
    """What the patient's pathway makes of it; the corrections that waited for this movement follow it."""
    if not stay.counts:
        return []
    written = _event(work, message, site, stay, patient)
    for key in stay.waited if not statement.zbe(message).historic else ():
        original = work.tx.original(key)
        if original is not None:
            written += _event(work, er7.parse(original.body, site), site, stay, patient)
    return written


def _event(work: Work, message: Message, site: Site, stay: venue.Stay, patient: str) -> list[str]:
    event = movement.event(message, stay.patient or patient, stay.encounter, site)
    if event is None:
        return []
    said = work.sent(patient).get("deceased[x]")
    if event.dead and said is not None and said[0] > work.stamp:  # this feed has said otherwise since
        if event.kind == DEATH:
            return []
        event = replace(event, dead=message.get("PV1-41") == "D" or message.get("ZFM-2") == "9")
    for resource in pathway.react(event, movement.load(work.tx, event.patient), work.tx.now):
        work.put(resource)
    return [f"{v.type}/{v.id}" for v in work.flush()]


def _trace(
    work: Work, entries: list[tuple[str, Resource]], known: dict[str, str], targets: list[str], original: str, received: str
) -> None:
    if not targets:
        return
    made: Resource = {}
    for _, resource in entries:
        if resource["resourceType"] == "Provenance" and not provenance.apart(resource):
            made = {**resolve.pointed({name: value for name, value in resource.items() if name != "target"}, known), **made}
    work.put(provenance.of(work.id("Provenance", original), made, dict.fromkeys(targets), original, work.sender, received))
    work.flush()
