"""What a hospital is told of an edit made in FHIR: composed from its own last words, nothing else in them changed.

    change ─ whose? ─ the feed's last translation ─ transplant(edit) ─ encode ─ readdress ─ message, or nothing to say

A31 (IHE PAM-FR §2.1), Z99 and A03 (§5.3.2) where the route is open to movements. What a feed wrote is never told to it
again: its versions are marked (record "origin"), and only keep our copy of its words up to date.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from icops_fhir.exchange import identity, keys, readdress
from icops_fhir.exchange.readdress import Envelope
from icops_fhir.exchange.route import Route
from icops_fhir.exchange.statement import zbe
from icops_fhir.exchange.transplant import transplant
from icops_fhir.fhir.json import Resource, loads
from icops_fhir.fhir.reference import walk
from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.message import decode, encode
from icops_fhir.mappers.v2.site import DEFAULT, Site
from icops_fhir.store.protocol import Change, Reader, Record

TOLD = "told"  # route|Type/id -> what the destination knows of a resource once its queue is empty
PARTIAL = ("A24", "A37", "A40", "A44", "A47")  # messages that do not say the whole identity
VERSIONS = 500  # how far back an edit is looked for
MANY = 100_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for one destination. Messages of one patient leave in order."""

    route: str
    patient: str  # "Patient/x"
    resource: str  # "Patient/x/_history/3"
    event: str
    control_id: str
    sender: str  # the feed whose words these are
    body: bytes


@dataclass(frozen=True, slots=True)
class Composed:
    """What is known of the destination after this change, and what must be told to it, if anything."""

    key: str
    told: dict[str, Any]
    outgoing: Outgoing | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What a feed last said: a translation, its key, whose it is."""

    key: str
    sender: str
    bundle: Resource
    site: Site

    def find(self, wanted: Callable[[Resource], bool]) -> Resource | None:
        return next((e["resource"] for e in self.bundle.get("entry", ()) if wanted(e.get("resource", {}))), None)

    def said(self, old: Resource, new: Resource) -> bytes:
        """The message with one of its resources replaced."""
        entries = [{**e, "resource": new} if e.get("resource") is old else e for e in self.bundle["entry"]]
        return encode({**self.bundle, "entry": entries}, self.site)


@dataclass(frozen=True, slots=True)
class Road:
    """A route, seen from one snapshot of the store. `told` overlays what this batch already composed."""

    reader: Reader
    route: Route
    sites: Mapping[str, Site]
    now: datetime
    told: Mapping[str, dict[str, Any]]

    def compose(self, change: Change) -> Composed | None:
        """None: nothing to remember, nothing to say."""
        if change.method == "delete" or change.type not in ("Patient", "Encounter"):
            return None
        if change.type == "Encounter" and not self._moves():
            return None
        key = f"{self.route.name}|{change.type}/{change.id}"
        told = self.told.get(key) or _json(self.reader.record(TOLD, key))
        if told and told["version"] >= change.version:
            return None
        if not told and self._mine(change.type, change.id, change.version):
            return None
        current = self.reader.read(change.type, change.id)
        if current is None or current.deleted:
            return None
        since = max(told["version"] if told else change.version - 1, current.version - VERSIONS)
        edit = _Edit(change.type, change.id, since, current.version, loads(current.body), told or {})
        return self._patient(key, edit) if change.type == "Patient" else self._stay(key, edit)

    # ------------------------------------------------------------ A31

    def _patient(self, key: str, edit: _Edit) -> Composed | None:
        if edit.current.get("active") is False:
            return None
        reference = f"Patient/{edit.id}"
        words = self._words(reference)
        known = words.find(_is_patient) if words else None
        if words is None or known is None:
            return None
        was = known
        if edit.told:
            was = edit.told["resource"] if edit.told["words"] == words.key else transplant(edit.told["base"], edit.told["resource"], known)
        now, foreign = self._fold(edit, was)
        told = {"version": edit.upto, "words": words.key, "base": known, "resource": now}
        if not foreign:
            return Composed(key, told) if edit.told else None
        before, after = words.said(known, was), words.said(known, now)
        if readdress.same(before, after):
            return Composed(key, told)
        envelope = self._envelope("A31", edit, words.sender)
        body = readdress.a31(after, envelope, self.allowed(reference, words.sender))
        return Composed(key, told, self._outgoing(envelope, edit, reference, body))

    # ------------------------------------------------------------ Z99, A03

    def _stay(self, key: str, edit: _Edit) -> Composed | None:
        patient = str(edit.current.get("subject", {}).get("reference", ""))
        words = self._movement(patient, edit.current)
        if edit.told.get("message"):  # unless the hospital spoke since, the last word on it was ours
            ours = _decoded(edit.told, self.site(edit.told["sender"]))
            words = ours if words is None or _moment(words) <= _moment(ours) else words
        known = words.find(lambda r: _same_stay(r, edit.current)) if words else None
        if words is None or known is None:
            return None
        now, foreign = self._fold(edit, known)
        told = {"version": edit.upto, "message": edit.told.get("message", ""), "sender": words.sender}
        if not foreign:
            return Composed(key, told) if edit.told else None
        words = self._with_people(words, now)
        before, after = words.said(known, known), words.said(known, now)
        ended = "partOf" not in edit.current and _ended(edit.current) and not _ended(self._at(edit, edit.since))
        if not ended and readdress.same(before, after):
            return Composed(key, told)
        envelope = self._envelope("A03" if ended else "Z99", edit, words.sender)
        allowed = self.allowed(patient, words.sender)
        if ended:
            body = readdress.a03(after, envelope, envelope.control_id, allowed)
        else:
            body = readdress.z99(after, before, envelope, allowed)
        told["message"] = base64.b64encode(body).decode()
        return Composed(key, told, self._outgoing(envelope, edit, patient, body))

    def _moves(self) -> bool:
        """Opened to movements, by the route or by the site of a feed it serves."""
        return self.route.movements or any(self.site(feed).accepts_movements for feed in self.route.feeds)

    # ------------------------------------------------------------ whose edit, and what it was

    def _mine(self, type_: str, id_: str, version: int) -> bool:
        """Written by a message of a feed this route serves."""
        origin = self.reader.record(keys.ORIGIN, f"{type_}/{id_}/{version}")
        return origin is not None and origin.owner in self.route.feeds

    def _fold(self, edit: _Edit, onto: Resource) -> tuple[Resource, bool]:
        """Each version since, made again in the feed's words; whether someone else than the feed made one of them."""
        foreign = False
        before = self._at(edit, edit.since)
        for version in range(edit.since + 1, edit.upto + 1):
            after = self._at(edit, version)
            origin = self.reader.record(keys.ORIGIN, f"{edit.type}/{edit.id}/{version}")
            told = origin is None or (origin.owner not in self.route.feeds and self.route.relays)
            if told or (origin is not None and origin.owner in self.route.feeds):
                onto = transplant(before, after, onto)
                foreign = foreign or told
            before = after
        return onto, foreign

    def _at(self, edit: _Edit, version: int) -> Resource:
        found = self.reader.vread(edit.type, edit.id, version) if version else None
        return loads(found.body) if found and found.body else {}

    # ------------------------------------------------------------ the feed's last words

    def _words(self, patient: str) -> Words | None:
        """The newest message of the feeds served that says the whole identity."""
        best: tuple[str, Words] | None = None
        for sender in self.route.feeds:
            owner = keys.feed(sender, patient)
            latest = _json(self.reader.record(keys.LATEST, owner))
            if not latest:
                continue
            found = self._translation(self.reader.record(keys.TRANSLATION, latest["key"]), sender)
            if found is None or _event(found.bundle) in PARTIAL:
                found = next((w for w in self._translations(sender, patient) if _event(w.bundle) not in PARTIAL), None)
            if found and (best is None or latest["stamp"] >= best[0]):
                best = latest["stamp"], found
        return best[1] if best else None

    def _movement(self, patient: str, encounter: Resource) -> Words | None:
        """The newest message that inserted or amended this movement, or the last standing one of this venue."""
        cancelled: set[str] = set()
        for words in sorted((w for s in self.route.feeds for w in self._translations(s, patient)), key=_moment, reverse=True):
            if words.find(lambda r: _same_stay(r, encounter)) is None:
                continue
            message = er7.parse(encode(words.bundle, words.site))
            number = message.get("ZBE-1.1")
            if not number:
                continue
            if zbe(message).action == "CANCEL":
                cancelled.add(number)
            elif number not in cancelled:
                return words
        return None

    def _translations(self, sender: str, patient: str) -> list[Words]:
        """Newest first."""
        found = self.reader.records(keys.TRANSLATION, owner=keys.feed(sender, patient), limit=MANY)
        return sorted(filter(None, (self._translation(record, sender) for record in found)), key=_moment, reverse=True)

    def _translation(self, record: Record | None, sender: str) -> Words | None:
        if record is None:
            return None
        return Words(record.key, sender, loads(record.body), self.site(sender))

    def site(self, sender: str) -> Site:
        """As inbound finds it: application and facility, facility, "*"."""
        for name in (sender, sender.partition("^")[2], "*"):
            if name in self.sites:
                return self.sites[name]
        return replace(DEFAULT, zone=self.route.zone)

    def _with_people(self, words: Words, resource: Resource) -> Words:
        """An edit may point to someone or somewhere the message did not know: they come along."""
        entries = list(words.bundle["entry"])
        known = {str(e.get("fullUrl")) for e in entries}
        todo = [resource]
        while todo:
            for element, _ in walk(todo.pop()):
                reference = str(element.get("reference", ""))
                type_, _, id_ = reference.partition("/")
                found = self.reader.read(type_, id_) if reference not in known and id_ and type_ in _PEOPLE else None
                known.add(reference)
                if found and found.body:
                    entries.append({"fullUrl": reference, "resource": loads(found.body)})
                    todo.append(entries[-1]["resource"])
        return replace(words, bundle={**words.bundle, "entry": entries})

    # ------------------------------------------------------------ what may leave

    def allowed(self, patient: str, sender: str) -> Callable[[str], bool]:
        """Which INS may leave: a current one; one that is withheld only towards the sender it came from; a withdrawn one never."""
        type_, _, id_ = patient.partition("/")
        found = self.reader.read(type_, id_)
        current = {str(i["value"]) for i in identity.ins(loads(found.body))} if found and found.body else set()
        withdrawn = {record.key.rpartition("|")[2] for record in self.reader.records(keys.WITHDRAWN, owner=patient, limit=MANY)}
        home = "^".join(self._to(sender)) == sender
        return lambda value: value in current or (home and value not in withdrawn)

    def _to(self, sender: str) -> tuple[str, str]:
        return Envelope(self.route, sender, "", "", self.now).to

    def _envelope(self, event: str, edit: _Edit, sender: str) -> Envelope:
        named = f"{self.route.name}|{edit.type}/{edit.id}|{edit.upto}"
        return Envelope(self.route, sender, event, hashlib.sha256(named.encode()).hexdigest()[:20].upper(), self.now)

    def _outgoing(self, envelope: Envelope, edit: _Edit, patient: str, body: bytes) -> Outgoing:
        resource = f"{edit.type}/{edit.id}/_history/{edit.upto}"
        return Outgoing(self.route.name, patient, resource, envelope.event, envelope.control_id, envelope.sender, body)


@dataclass(frozen=True, slots=True)
class _Edit:
    """The versions of a resource the destination has not been told of."""

    type: str
    id: str
    since: int
    upto: int
    current: Resource
    told: dict[str, Any]


_PEOPLE = ("Location", "Organization", "Practitioner", "PractitionerRole")


def _is_patient(resource: Resource) -> bool:
    return resource.get("resourceType") == "Patient"


def _same_stay(resource: Resource, encounter: Resource) -> bool:
    """The same level (movement or venue), one number in common."""
    if resource.get("resourceType") != "Encounter" or ("partOf" in resource) != ("partOf" in encounter):
        return False
    mine = {(i.get("system", ""), i.get("value")) for i in encounter.get("identifier", ()) if i.get("value")}
    return any((i.get("system", ""), i.get("value")) in mine for i in resource.get("identifier", ()))


def _ended(encounter: Resource) -> bool:
    return encounter.get("status") == "finished" and bool(encounter.get("period", {}).get("end"))


def _decoded(told: dict[str, Any], site: Site) -> Words:
    """Our own last message about a stay, as words."""
    return Words("", told["sender"], decode(base64.b64decode(told["message"]), site), site)


def _event(bundle: Resource) -> str:
    header: Resource = next((e["resource"] for e in bundle.get("entry", ()) if e.get("resource", {}).get("resourceType") == "MessageHeader"), {})
    return str(header.get("eventCoding", {}).get("code", ""))


def _moment(words: Words) -> float:
    try:
        return datetime.fromisoformat(str(words.bundle.get("timestamp", ""))).timestamp()
    except ValueError:
        return 0.0


def _json(record: Record | None) -> dict[str, Any]:
    return dict(loads(record.body)) if record else {}
