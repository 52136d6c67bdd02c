"""Where one subscription stands: status, event numbers, what the endpoint has taken, when to try again. Durable, pure.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/errors.html (numbers go on in error, only the subscriber re-activates)

    requested ──handshake──► active ◄──► failing, tried again ──give up──► error ──client: requested──► requested
        └──────refused──────► error                       off: client, end date or backlog
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from icops_fhir.fhir import json
from icops_fhir.subscriptions.subscription import instant

# Records of the store: one state per subscription, one notification per event number.
STATE, EVENT, CURSOR = "subscription-state", "notification", "notify"

# Status in which changes get a number; in "off" they do not.
COUNTED = ("requested", "active", "error")


@dataclass(frozen=True, slots=True)
class State:
    """One record of kind "subscription-state"; every change of it is one durable write."""

    version: int                # of the Subscription it follows
    status: str = "requested"   # requested | active | error | off
    events: int = 0             # last number given
    delivered: int = 0          # last number the endpoint took; they go in order
    oldest: int = 1             # first number still kept
    attempts: int = 0           # failures in a row
    failing: str = ""           # since this instant
    due: str = ""               # not before this instant
    contact: str = ""           # last time the endpoint answered well
    code: str = ""              # http://terminology.hl7.org/CodeSystem/subscription-error
    error: str = ""             # in words, never with health data
    deleted: bool = False
    revision: int = 0           # of this record

    @property
    def counted(self) -> bool:
        return self.status in COUNTED and not self.deleted

    @property
    def waiting(self) -> int:
        return self.events - self.delivered


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much: retries, what is kept."""

    first: float = 0.5          # seconds before the second try
    longest: float = 15.0       # between two tries
    give_up: float = 259_200.0  # seconds of failure in a row before status error; 0: never
    backlog: int = 100_000      # undelivered events of a failing endpoint before status off
    kept: int = 1000            # delivered events kept for $events


def key(id_: str, number: int) -> str:
    """Where the notification of one event is kept; keys sort like numbers."""
    return f"{id_}/{number:012d}"


def loads(body: bytes) -> State:
    return State(**json.loads(body))


def dumps(state: State) -> bytes:
    return json.dumps(asdict(state))


def follow(state: State | None, version: int, asked: str, *, verified: bool) -> State:
    """A client wrote the Subscription; `verified`: its channel is the one a handshake has accepted.

    `active` keeps an active subscription active; anything else that is not off asks for a new handshake.
    """
    before = _alive(state, version)
    if asked == "off":
        return replace(before, status="off", attempts=0, failing="", due="")
    status = "active" if asked == "active" and before.status == "active" and verified else "requested"
    return replace(before, status=status, attempts=0, failing="", due="", code="", error="")


def refuse(state: State | None, version: int, why: str) -> State:
    """A Subscription that cannot be served says so; it never stops the others."""
    return replace(_alive(state, version), status="error", code="", error=why, due="")


def remove(state: State, version: int) -> State:
    """Deleted: nothing more is numbered or sent; a Subscription made again with this id goes on from the last number."""
    return replace(state, version=version, status="off", delivered=state.events, due="", code="", error="", deleted=True)


def _alive(state: State | None, version: int) -> State:
    """The state before, at this version; what a deleted one had is not shown to the one made again with its id."""
    if state is None:
        return State(version)
    return replace(state, version=version, deleted=False, oldest=state.events + 1 if state.deleted else state.oldest)


def count(state: State, limits: Limits) -> State:
    """One more event, or off when the endpoint has left too many behind; one that is catching up may leave twice as many."""
    failing = state.attempts or state.status == "error"
    if state.waiting >= (limits.backlog if failing else 2 * limits.backlog):
        return stop(state, f"{state.waiting} events wait for the endpoint, which is the limit; send status requested to go on / "
                           f"{state.waiting} événements attendent le destinataire, c'est la limite ; envoyez le statut requested pour reprendre")
    return replace(state, events=state.events + 1)


def stop(state: State, why: str) -> State:
    return replace(state, status="off", due="", error=why)


def accept(state: State, upto: int, now: datetime) -> State:
    """The endpoint answered 2xx: to a handshake, or to the events up to this number."""
    return replace(state, status="active" if state.status == "requested" else state.status, delivered=max(state.delivered, upto),
                   attempts=0, failing="", due="", code="", error="", contact=instant(now))


def fail(state: State, code: str, why: str, now: datetime, limits: Limits, chance: float) -> State:
    """No 2xx: a failed handshake is an error (channels.html#rest-hook); a failed notification is tried again, later and later.

    `chance` in 0..1 spreads the tries of many subscriptions between a half and the whole of the delay.
    """
    since = state.failing or instant(now)
    failed = replace(state, attempts=state.attempts + 1, failing=since, code=code, error=why)
    if state.status == "requested":
        return replace(failed, status="error", due="")
    if limits.give_up and (now - datetime.fromisoformat(since)).total_seconds() >= limits.give_up:
        return replace(failed, status="error", due="", error=f"{why} (given up after {failed.attempts} tries since {since} / abandon après {failed.attempts} essais depuis {since})")
    delay = min(limits.longest, limits.first * 2.0 ** min(state.attempts, 60)) * (0.5 + chance / 2)
    return replace(failed, due=instant(now + timedelta(seconds=delay)))


def prune(state: State, limits: Limits, most: int = 500) -> tuple[State, range]:
    """The numbers to forget: never one that is not delivered; at most so many at one time."""
    keep = 0 if state.deleted else limits.kept
    upto = min(state.delivered - keep, state.oldest + most - 1)
    if upto < state.oldest:
        return state, range(0)
    return replace(state, oldest=upto + 1), range(state.oldest, upto + 1)
