"""The movements known of one venue: the newest at hand, the older ones folded together once and sealed.

IHE PAM-FR §5.4.1. Whatever a venue lived through, a message about one of its newest movements reads the same few records:

    older movements ─ extend ─▶ one record, sealed ─┐
    newest movements, open cancellations ───────────┴─ fold ─▶ the venue

A message about an older movement, or one that takes older ones away, opens the seal: all are read, and sealed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from icops_fhir.exchange import keys, movements
from icops_fhir.exchange.movements import DOSSIER, VENUE, Movement, Prefix
from icops_fhir.fhir.json import dumps, loads
from icops_fhir.store.protocol import Reader, Record, Transaction

NEWEST, MOST = 4, 12  # movements left open by a sealing, and those that ask for one
PAGE = 500


def every(tx: Reader, kind: str, owner: str) -> Iterator[Record]:
    """All the records of an owner, page by page."""
    after = ""
    while page := tx.records(kind, owner=owner, after_key=after, limit=PAGE):
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].key


class Ledger:
    """One venue, inside one transaction."""

    def __init__(self, tx: Transaction, venue: str) -> None:
        self._tx, self._venue = tx, venue
        self._older, self._waiting = f"{venue}|sealed", f"{venue}|waiting"  # owners of the records that are not read at first
        record = tx.record(keys.SEALED, venue)
        self.prefix: Prefix | None = _prefix(loads(record.body)) if record else None
        self._open = {m.key: m for kind in (keys.MOVEMENT, keys.PENDING) for m in self._read(kind, venue)}
        self._sealed: set[str] = set()  # of those, the ones that their records still say sealed
        self._opened = False  # the record says a seal that holds no more
        self._seen: list[Movement] | None = None

    def _read(self, kind: str, owner: str) -> Iterator[Movement]:
        return (movements.from_json(loads(record.body)) for record in every(self._tx, kind, owner))

    @property
    def movements(self) -> list[Movement]:
        """Those at hand, cancellations that name none applied."""
        if self._seen is None:
            self._seen = movements.spread(self._open.values())
        return self._seen

    def known(self, number: str) -> Movement:
        """What is known of a movement; an unknown one is empty. One that was sealed opens the seal."""
        if number not in self._open:
            for kind in (keys.MOVEMENT, keys.PENDING):
                if (record := self._tx.record(kind, f"{number}|{self._venue}")) is not None:
                    if record.owner == self._older:
                        self.unseal()
                    return movements.from_json(loads(record.body))
        return self._open.get(number) or Movement(number)

    def open_for(self, known: Movement, movement: Movement, dossier: str) -> None:
        """Opens the seal for a movement that belongs among the older ones, or that may cancel any of them or give it back.

        And for a dossier that was taken away, or given back, while its venue was not looked at.
        """
        if self.prefix is None:
            return
        many = movements.is_open(movement) or movement.scope or known.scope
        if many or (movement.inserted and movement.when <= self.prefix.seal) or self.prefix.voided != self.voided(dossier):
            self.unseal()

    def unseal(self) -> None:
        """Reads the older ones too."""
        if self.prefix is not None:
            self.prefix, self._opened = None, True
            older = {m.key: m for m in self._read(keys.MOVEMENT, self._older)}
            self._open = {**older, **self._open}
            self._sealed = set(older)
            self._seen = None

    def void(self, *scopes: str) -> str:
        """The newest A11 of the venue that took it, or with DOSSIER alone its dossier, away."""
        sealed = self.prefix.void[VENUE not in scopes] if self.prefix else ""
        return max(sealed, movements.voids(self.movements, scopes))

    def voided(self, dossier: str) -> str:
        """Until when the venue is taken away, alone or with its dossier."""
        return max(dossier, self.void(VENUE, DOSSIER))

    def standing(self, voided: str) -> set[str]:
        """Those at hand that stand."""
        return {m.key for m in self.movements if movements.live(m, voided)}

    def keep(self, movement: Movement) -> None:
        """This is known of the movement from now on."""
        name, pending = f"{movement.key}|{self._venue}", movement.pending
        at_hand = not pending or movements.is_open(movement)
        self._tx.drop(keys.MOVEMENT if pending else keys.PENDING, name)
        self._open.pop(movement.key, None)
        self._sealed.discard(movement.key)
        self._seen = None
        if at_hand:
            self._open[movement.key] = movement
        self._put(keys.PENDING if pending else keys.MOVEMENT, movement, self._venue if at_hand else self._waiting)

    def seal(self, voided: str) -> None:
        """Seals the older ones where many are open."""
        known = sorted((m for m in self.movements if m.inserted), key=lambda m: m.when)
        if not self._opened and len(known) <= MOST:
            return
        older = known[: max(0, len(known) - NEWEST)]
        for key in self._sealed - {m.key for m in older}:
            self._put(keys.MOVEMENT, self._open[key], self._venue)
        for key in {m.key for m in older} - self._sealed:
            self._put(keys.MOVEMENT, self._open[key], self._older)
        if older:
            self.prefix = movements.extend(self.prefix or Prefix(), older, voided)
            self._tx.put(keys.SEALED, self._venue, dumps(_written(self.prefix)), owner=self._venue)
        elif self._opened:
            self._tx.drop(keys.SEALED, self._venue)
        self._sealed, self._opened = set(), False
        for m in older:
            del self._open[m.key]
        self._seen = None

    def _put(self, kind: str, movement: Movement, owner: str) -> None:
        self._tx.put(kind, f"{movement.key}|{self._venue}", dumps(movements.to_json(movement)), owner=owner)


def _written(prefix: Prefix) -> dict[str, Any]:
    return {f.name: getattr(prefix, f.name) for f in fields(prefix)}


def _prefix(body: dict[str, Any]) -> Prefix:
    return Prefix(**{**body, **{name: tuple(body[name]) for name in ("seal", "void")}})
