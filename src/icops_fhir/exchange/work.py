"""What one message changes, gathered: each resource is read once, changed in place, and written once if it differs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from icops_fhir.exchange import feed, identity, keys
from icops_fhir.exchange.ledger import Ledger
from icops_fhir.exchange.stored import asking, value
from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import Resource, canonical, dumps, loads
from icops_fhir.store.engine import prepare
from icops_fhir.store.protocol import Record, Transaction, Version

ECHOED = ("Patient", "Encounter")  # the types whose edits go back to hospitals: whose each version is must be known


def _same(before: Resource | None, after: Resource) -> bool:
    return before is after or (before is not None and _content(before) == _content(after))


def _content(resource: Resource) -> bytes:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return canonical({**resource, "meta": meta})


class Work:
    """The current resources as this message leaves them, and what is to be told about it."""

    def __init__(self, tx: Transaction, sender: str, stamp: str) -> None:
        self.tx, self.sender, self.stamp = tx, sender, stamp
        self.salt: UUID = keys.space(tx)
        self.issues: list[Issue] = []
        self.ledgers: dict[str, Ledger] = {}  # the movements of the venues this message touches
        self.stays: dict[tuple[str, str], str] = {}  # number of a movement and its venue -> its Encounter
        self._records: dict[tuple[str, str], Record | None] = {}
        self._before: dict[str, Resource | None] = {}
        self._after: dict[str, Resource] = {}

    def id(self, *parts: str) -> str:
        """An id that the same parts always get."""
        return keys.made(self.salt, *parts)

    def get(self, reference: str) -> Resource | None:
        """The resource as it stands, changes of this message included; None when there is none, or no longer."""
        if reference in self._after:
            return self._after[reference]
        if reference not in self._before:
            type_, _, id_ = reference.partition("/")
            version = self.tx.read(type_, id_)
            self._before[reference] = value(version.body) if version is not None and version.body else None
        return self._before[reference]

    def put(self, resource: Resource) -> str:
        """Stands for the resource from now on."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        self.get(reference)
        self._after[reference] = resource
        return reference

    def record(self, kind: str, key: str) -> Record | None:
        """A record as it stands, read once."""
        if (kind, key) not in self._records:
            self._records[kind, key] = self.tx.record(kind, key)
        return self._records[kind, key]

    def note(self, kind: str, key: str, body: bytes, *, owner: str = "", due: str = "") -> None:
        """The record says this from now on; one that did already is not written again."""
        record = Record(kind, key, owner, due, body)
        if self._records.get((kind, key)) != record:
            self.tx.put(kind, key, body, owner=owner, due=due)
            self._records[kind, key] = record

    def drop(self, kind: str, key: str) -> None:
        """There is no such record any more."""
        self.tx.drop(kind, key)
        self._records[kind, key] = None

    def ledger(self, venue: str) -> Ledger:
        """The movements known of a venue."""
        if venue not in self.ledgers:
            self.ledgers[venue] = Ledger(self.tx, venue)
        return self.ledgers[venue]

    def sent(self, reference: str) -> feed.Sent:
        """What this feed last said of a resource."""
        record = self.record(keys.FEED, f"{self.sender}|{reference}")
        sent: feed.Sent = loads(record.body) if record else {}
        again = self._repeated(reference)
        for unit in again["units"]:
            sent[unit][0] = max(sent[unit][0], again["stamp"])
        return sent

    def _repeated(self, reference: str) -> dict[str, Any]:
        record = self.record(keys.REPEATED, f"{self.sender}|{reference}")
        return loads(record.body) if record else {"content": "", "stamp": "", "units": []}

    def repeat(self, reference: str, content: Any, units: Callable[[], feed.Units], owner: str, seed: Resource | None = None) -> None:
        """`say` for what is mostly said again: the same content once more only moves the date on which it was said."""
        digest = hashlib.sha256(dumps(content)).hexdigest()
        again, name = self._repeated(reference), f"{self.sender}|{reference}"
        if again["content"] == digest and self.get(reference) is not None:
            if again["stamp"] < self.stamp:
                self.note(keys.REPEATED, name, dumps({**again, "stamp": self.stamp}), owner=reference)
            return
        now = units()
        self.say(reference, now, owner, seed)
        if all(stamp == self.stamp for unit, (stamp, _) in self.sent(reference).items() if unit in now):
            self.note(keys.REPEATED, name, dumps({"content": digest, "stamp": self.stamp, "units": list(now)}), owner=reference)
        elif self.stamp > again["stamp"] and again["content"]:
            self.drop(keys.REPEATED, name)

    def say(self, reference: str, units: feed.Units, owner: str, seed: Resource | None = None) -> Resource:
        """What this feed says of a resource, merged into what stands; units said by a newer message stay."""
        sent = self.sent(reference)
        told = feed.advance(sent, units, self.stamp)
        before = feed.said(sent) if self.get(reference) else {}  # what was deleted here comes back whole
        merged = feed.merge(self._current(reference, seed), before, feed.said(told))
        self.put(merged)
        self.note(keys.FEED, f"{self.sender}|{reference}", dumps(told), owner=owner)
        return merged

    def settle(self, reference: str, units: feed.Units, owner: str) -> Resource:
        """What the movements of all senders together make of a resource: the whole of it, the last one included."""
        record = self.record(keys.FEED, f"{keys.FOLD}|{reference}")
        current = self._current(reference, None)
        before: feed.Units = loads(record.body) if record and self.get(reference) else {unit: said for unit, said in feed.units(current).items() if unit in units}
        merged = feed.merge(current, before, units)
        self.put(merged)
        self.note(keys.FEED, f"{keys.FOLD}|{reference}", dumps(units), owner=owner)
        return merged

    def _current(self, reference: str, seed: Resource | None) -> Resource:
        type_, _, id_ = reference.partition("/")
        return self.get(reference) or {"resourceType": type_, "id": id_, **(seed or {})}

    def search(self, type_: str, *parameters: tuple[str, str]) -> list[Resource]:
        """The resources found, all of them, as this message leaves them."""
        query = asking(type_, *parameters)
        out: list[Resource] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.tx.search(query.at(cursor) if cursor else query)
            out += [resource for v in page.versions if (resource := self.get(f"{v.type}/{v.id}")) is not None]
            cursor = page.next
        return out

    def identified(self, type_: str, identifier: Resource) -> list[Resource]:
        """The resources that have this identifier, of the same authority; none when it names none."""
        wanted = identity.key(identifier, self.sender)
        if not identifier.get("value") or wanted.startswith(identity.SENDER):
            return []
        found = self.search(type_, ("identifier", f"{_token(str(identifier.get('system', '')))}|{_token(str(identifier['value']))}"))
        return [r for r in found if any(identity.key(i, self.sender) == wanted for i in _list(r.get("identifier")))]

    def staged(self) -> Iterator[Resource]:
        """The resources this message has changed so far."""
        yield from list(self._after.values())

    def flush(self) -> list[Version]:
        """Writes what differs; each version is marked as this sender's, so that nothing echoes back to it."""
        out = []
        for reference, resource in self._after.items():
            before = self._before.get(reference)
            if _same(before, resource):
                continue
            version = self.tx.write(prepare(resource))
            if version.type in ECHOED:
                self.tx.put(keys.ORIGIN, f"{reference}/{version.version}", b"{}", owner=self.sender)
            self._before[reference] = resource
            out.append(version)
        self._after.clear()
        return out


def _token(text: str) -> str:
    for special in "\\,$|":
        text = text.replace(special, "\\" + special)
    return text


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
