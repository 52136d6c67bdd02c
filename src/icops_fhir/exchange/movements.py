"""A venue as the fold of its movements: the same movements give the same Encounter, in whatever order they arrived.

IHE PAM-FR §5.3 (movements), §5.4.1 (A11 and PV1-51), §6.13 (ZBE). Pure: records in, units of the Encounter out.

    messages of one ZBE-1 ─ heard ─▶ Movement ─┐
    messages of one ZBE-1 ─ heard ─▶ Movement ─┴─ fold, by ZBE-2 ─▶ units of the venue Encounter ─ merge ─▶ Encounter
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from icops_fhir.exchange.feed import Sent, Units, advance, said

INSERT, UPDATE, CANCEL = "INSERT", "UPDATE", "CANCEL"  # ZBE-4
HISTORIC = "Y"  # ZBE-5
VENUE, DOSSIER = "V", "A"  # PV1-51

# What each trigger makes of the venue; "" leaves its status as it was.
STATUS = {
    "A05": "planned", "A14": "planned",
    "A01": "in-progress", "A04": "in-progress", "A06": "in-progress", "A07": "in-progress", "A22": "in-progress",
    "A21": "onleave", "A03": "finished",
}  # fmt: skip
ADMISSIONS = ("A01", "A04", "A05", "A14")  # cancelled, there never was a venue
PRESENCE = ("A01", "A04", "A06", "A07", "A02", "A22", "A10")  # the patient has come
CANCELS = {
    "A11": "A01", "A12": "A02", "A13": "A03", "A25": "A16", "A26": "A15", "A27": "A14", "A32": "A10", "A33": "A09",
    "A38": "A05", "A52": "A21", "A53": "A22", "A55": "A54",
}  # fmt: skip
CROSSED = {"A06": "A07", "A07": "A06"}  # each inserts, and cancels the other: ZBE-4 decides
ENDS = {"A21": ("A22", "A03"), "A22": ("A21", "A03")}  # what ends the meaning of a movement; a discharge ends any other
OURS = ("status", "subject", "partOf")  # never taken from what one message says


@dataclass(frozen=True, slots=True)
class Statement:
    """What one message says of one movement."""

    stamp: str
    action: str
    trigger: str  # that inserted the movement: ZBE-6, or what the cancelling trigger cancels
    at: str  # ZBE-2
    scope: str = ""  # PV1-51 of an A11
    facts: Units = field(default_factory=dict)  # of the venue
    own: Units = field(default_factory=dict)  # of the movement itself
    start: str = ""  # PV1-44, as FHIR
    end: str = ""  # PV1-45, as FHIR
    original: str = ""  # key of the message


@dataclass(frozen=True, slots=True)
class Movement:
    """All that was said of one movement. `inserted`, `cancelled`: newest stamp of each, "" = never."""

    key: str
    inserted: str = ""
    cancelled: str = ""
    scope: str = ""
    trigger: tuple[str, str] = ("", "")
    at: tuple[str, str] = ("", "")
    start: tuple[str, str] = ("", "")
    end: tuple[str, str] = ("", "")
    facts: Sent = field(default_factory=dict)
    own: Sent = field(default_factory=dict)
    previous: Units = field(default_factory=dict)  # PV1 of its cancellation: the state before it
    waiting: tuple[str, ...] = ()  # messages kept until the movement arrives

    @property
    def pending(self) -> bool:
        """Amended or cancelled, but never inserted: nothing of it counts yet."""
        return not self.inserted

    @property
    def began(self) -> str:
        """Its start as its Encounter says it, zone included."""
        _, said_now = self.own.get("period", ["", None])
        return str((said_now or {}).get("period", {}).get("start", "")) or self.at[1]

    @property
    def when(self) -> tuple[str, str, str]:
        return (self.at[1], self.inserted, self.key)


def heard(movement: Movement, statement: Statement) -> Movement:
    """The movement with one more statement; the newest stamp wins, place by place, whatever came first."""
    s = statement
    if s.action == CANCEL:
        newer = s.stamp >= movement.cancelled
        return replace(
            movement, cancelled=max(movement.cancelled, s.stamp), trigger=movement.trigger if movement.trigger[1] else ("", s.trigger),
            scope=s.scope if newer else movement.scope, previous=s.facts if newer else movement.previous,
            waiting=_waiting(movement, s),
        )  # fmt: skip
    inserted = max(movement.inserted, s.stamp) if s.action == INSERT else movement.inserted
    return replace(
        movement,
        inserted=inserted,
        trigger=_newest(movement.trigger, (s.stamp, s.trigger)),
        at=_newest(movement.at, (s.stamp, s.at)),
        start=_newest(movement.start, (s.stamp, s.start)),
        end=_newest(movement.end, (s.stamp, s.end)),
        facts=advance(movement.facts, s.facts, s.stamp),
        own=advance(movement.own, s.own, s.stamp),
        waiting=() if s.action == INSERT else _waiting(movement, s),
    )


def live(movement: Movement, voided: str = "") -> bool:
    """Inserted, and not cancelled since, alone or with its venue or dossier; in the same second the cancellation wins."""
    return movement.inserted > max(movement.cancelled, voided)


def voids(movements: Iterable[Movement], scopes: tuple[str, ...]) -> str:
    """The newest A11 that takes a whole venue (any scope) or a whole dossier (A or empty) with it."""
    return max((m.cancelled for m in movements if m.inserted and m.scope and m.scope in scopes and not live(m)), default="")


def superseded(movements: Iterable[Movement], number: str, voided: str = "") -> bool:
    """Whether what followed a movement already took its meaning away: told now, nobody need act on it any more."""
    standing = sorted((m for m in movements if live(m, voided)), key=lambda m: m.when)
    at = next((n for n, m in enumerate(standing) if m.key == number), None)
    if at is None:
        return True
    ends = ENDS.get(standing[at].trigger[1], ("A03",))
    return any(m.trigger[1] in ends for m in standing[at + 1 :])


@dataclass(frozen=True, slots=True)
class Venue:
    """What the movements make of a venue."""

    status: str
    units: Units
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What the movements of a venue make together, up to one of them: the fold goes on from here."""

    seal: tuple[str, ...] = ("", "", "")  # `when` of the last one
    voided: str = ""  # the A11 it was made under
    void: tuple[str, ...] = ("", "")  # the newest A11 among them: of any scope, of the whole dossier
    status: str = ""
    start: str = ""  # the first PV1-44 said
    end: str = ""
    began: str | None = None  # of the first that stands; None: none does
    came: str | None = None  # of the first that stands and brought the patient
    previous: Units = field(default_factory=dict)  # the state before what was cancelled
    units: Units = field(default_factory=dict)  # what those that stand say
    first: str | None = None  # the start of the first, standing or not
    admissions: bool = True  # nothing else came
    fallen: Units = field(default_factory=dict)  # what they said, as long as none stands


def extend(prefix: Prefix, movements: Iterable[Movement], voided: str = "") -> Prefix:
    """The prefix with the movements that follow it, in the order of ZBE-2."""
    known = sorted((m for m in movements if m.inserted), key=lambda m: m.when)
    standing = [m for m in known if live(m, voided)]
    previous = prefix.previous
    for m in known:
        if not live(m, voided) and m.trigger[1] not in ADMISSIONS:
            previous = previous | m.previous
    status, end = prefix.status, prefix.end
    for m in standing:
        trigger = m.trigger[1]
        status = STATUS.get(trigger) or (status if status not in ("", "planned") or trigger not in PRESENCE else "in-progress")
        if trigger == "A03":
            end = m.end[1] or m.began
        elif status != "finished":
            end = ""
    came = [m.began for m in standing if m.trigger[1] in PRESENCE]
    return Prefix(
        seal=known[-1].when if known else prefix.seal,
        voided=voided,
        void=(max(prefix.void[0], voids(known, (VENUE, DOSSIER))), max(prefix.void[1], voids(known, (DOSSIER,)))),
        status=status,
        start=prefix.start or next((m.start[1] for m in standing if m.start[1]), ""),
        end=end,
        began=standing[0].began if prefix.began is None and standing else prefix.began,
        came=came[0] if prefix.came is None and came else prefix.came,
        previous=previous,
        units=_layers(standing, prefix.units),
        first=known[0].start[1] or known[0].began if prefix.first is None and known else prefix.first,
        admissions=prefix.admissions and all(m.trigger[1] in ADMISSIONS for m in known),
        fallen=_layers(known, prefix.fallen) if prefix.began is None and not standing else {},
    )


def fold(movements: Iterable[Movement], voided: str = "", prefix: Prefix | None = None) -> Venue | None:
    """The venue after its movements, in the order of ZBE-2; None while none of them has arrived."""
    known = sorted((m for m in movements if m.inserted), key=lambda m: m.when)
    if not known and prefix is None:
        return None
    whole = extend(prefix or Prefix(), known, voided)
    if whole.began is None and (voided or whole.admissions):
        return Venue("cancelled", whole.fallen, start=whole.first or "")
    start = whole.start or (whole.came if whole.came is not None else whole.began) or ""
    return Venue(whole.status or "in-progress", whole.previous | whole.units, start, whole.end)


def _layers(movements: Iterable[Movement], below: Units) -> Units:
    out = dict(below)
    for m in movements:
        out |= {unit: value for unit, value in said(m.facts).items() if value is not None}
        for unit, (_, value) in m.facts.items():
            if value is None:
                out.pop(unit, None)
    return out


def _newest(known: tuple[str, str], said_now: tuple[str, str]) -> tuple[str, str]:
    return said_now if said_now[1] and said_now[0] >= known[0] else known


def _waiting(movement: Movement, statement: Statement) -> tuple[str, ...]:
    if movement.inserted or is_open(movement) or not statement.original or statement.original in movement.waiting:
        return movement.waiting
    return (*movement.waiting, statement.original)


def is_open(movement: Movement) -> bool:
    """Whether it is a cancellation that names no movement: it stands for any of its trigger and visit."""
    return "/*^" in movement.key


def spread(movements: Iterable[Movement]) -> list[Movement]:
    """Cancellations that do not name their movement ("A03/visit/*"), applied to those inserted until then."""
    known = list(movements)
    for star in (m for m in known if is_open(m) and m.cancelled):
        head, tail = star.key.split("*", 1)
        heads = (head, head.replace("A01/", "A04/", 1)) if head.startswith("A01/") else (head,)
        for n, m in enumerate(known):
            if m.key.startswith(heads) and m.key.endswith(tail) and "" < m.inserted <= star.cancelled:
                known[n] = replace(m, cancelled=max(m.cancelled, star.cancelled), scope=star.scope, previous=star.previous)
    return known


def to_json(movement: Movement) -> dict[str, Any]:
    """The movement as a record's body."""
    return {f.name: getattr(movement, f.name) for f in fields(movement)}


def from_json(body: dict[str, Any]) -> Movement:
    """And back."""
    pairs = {name: tuple(body[name]) for name in ("trigger", "at", "start", "end", "waiting")}
    return Movement(**{**body, **pairs})
