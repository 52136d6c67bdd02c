"""What a store is: versions, index rows, a change feed, kept originals and small durable records.

https://hl7.org/fhir/R4/http.html (versions, history); the rules of docs/decisions on writing first and reacting after.

                       ┌────────────── one writer ──────────────┐
  write(job) ── queue ─┤ BEGIN  [savepoint job]…[savepoint job]  COMMIT ├─ cache ─ callers answered
                       └────────────────────────────────────────┘
  read(job) ── pool of readers, each job on one consistent snapshot
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from icops_fhir.search.index import IndexRow
    from icops_fhir.search.query import Query

T = TypeVar("T")

Clock = Callable[[], datetime]  # always aware, UTC


class Miss(Enum):
    """What `Store.current` answers when only the database can tell."""

    MISS = "miss"


MISS: Final = Miss.MISS


class Version(NamedTuple):
    """One version of one resource: `body` is the very bytes served, empty when this version is a deletion."""

    type: str
    id: str
    version: int
    updated: str  # lastUpdated: UTC, milliseconds, "2026-03-01T08:00:00.000Z"
    sequence: int  # its place in the change feed
    method: str  # create | update | delete
    body: bytes

    @property
    def deleted(self) -> bool:
        return self.method == "delete"


class Prepared(NamedTuple):
    """A resource ready for the writer: serialised and indexed beforehand, body = head + stamped members + tail."""

    type: str
    id: str
    head: bytes
    tail: bytes
    rows: tuple[IndexRow, ...]


class Change(NamedTuple):
    """One entry of the change feed."""

    sequence: int
    type: str
    id: str
    version: int
    method: str


class Original(NamedTuple):
    """A message or document as it arrived, kept once."""

    key: str
    sender: str
    control_id: str
    sha256: str
    media_type: str
    received: str
    body: bytes


class Record(NamedTuple):
    """A small durable state of the house (queues, event numbers, dead letters …); `body` is JSON."""

    kind: str
    key: str
    owner: str
    due: str  # UTC instant like Version.updated, "" = never due
    body: bytes


class Page(NamedTuple):
    """One page of a search."""

    versions: list[Version]
    total: int | None
    next: str | None  # what Query takes to go on from here


class Reader(Protocol):
    """A consistent snapshot, valid only inside the job it was given to."""

    def read(self, type: str, id: str) -> Version | None:
        """The current version; a deleted resource answers its deletion (`.deleted`), an unknown one None."""

    def vread(self, type: str, id: str, version: int) -> Version | None: ...

    def history(self, type: str | None = None, id: str | None = None, *, before: int | None = None,
                since: str | None = None, count: int = 50) -> list[Version]:
        """Newest first; `before` is a sequence (exclusive), `since` an instant (inclusive)."""

    def search(self, query: Query) -> Page: ...

    def changes(self, after: int, limit: int = 500) -> list[Change]:
        """Oldest first, without a hole: no number smaller than one answered here can appear later."""

    def original(self, key: str) -> Original | None: ...

    def record(self, kind: str, key: str) -> Record | None: ...

    def records(self, kind: str, *, owner: str | None = None, due_before: str | None = None,
                after_key: str | None = None, limit: int = 500) -> list[Record]:
        """Ordered by key; with `due_before` (inclusive) only those that have a due, ordered by due then key."""

    def cursor(self, name: str) -> int:
        """Where that consumer of the feed is; 0 when it never ran."""


class Transaction(Reader, Protocol):
    """A job's own savepoint, in the writer thread: sees its own writes, all of it or nothing is kept."""

    @property
    def now(self) -> datetime: ...

    @property
    def instant(self) -> str:
        """`now` as every version written by this job will say it in lastUpdated."""

    def write(self, prepared: Prepared, *, expected: int | None = None, absent: bool = False) -> Version:
        """Create or update; FhirError 412 when the version is not `expected`, or when it must be `absent` and is not."""

    def delete(self, type: str, id: str, *, expected: int | None = None) -> Version | None:
        """The deletion; None when there was nothing to delete."""

    def keep(self, original: Original) -> bool:
        """False when an original of that key is there already (and stays as it is)."""

    def put(self, kind: str, key: str, body: bytes, *, owner: str = "", due: str = "") -> None: ...

    def drop(self, kind: str, key: str) -> None: ...

    def advance(self, name: str, sequence: int) -> None:
        """Moves a consumer's cursor in the same transaction as its effect; FhirError 409 if that would go back."""


class Store(Protocol):
    """Floor 4: everything durable goes through here."""

    @property
    def sequence(self) -> int:
        """The last committed number of the feed."""

    async def write(self, job: Callable[[Transaction], T]) -> T:
        """Answered after COMMIT only; FhirError 429 when the queue is full; the job's own exception is raised here."""

    async def read(self, job: Callable[[Reader], T]) -> T:
        """FhirError 503 too-costly when the job passes the time limit."""

    def submit(self, job: Callable[[Transaction], T]) -> concurrent.futures.Future[T]:
        """`write` for threads, commands and tests."""

    def view(self, job: Callable[[Reader], T]) -> T:
        """`read` for threads, commands and tests: blocks the caller."""

    def current(self, type: str, id: str) -> Version | Literal[Miss.MISS] | None:
        """The current version when it is at hand (deletions included), MISS when the database must be asked. No I/O."""

    async def changed(self, after: int) -> int:
        """Waits until the committed sequence is greater than `after`, and gives it."""

    def close(self) -> None:
        """Finishes what is queued, then lets go of the database. Blocks: never call it in the event loop."""
