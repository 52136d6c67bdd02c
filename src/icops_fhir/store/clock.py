"""Instants as FHIR writes them, and the stamps of the writer: they never go back, whatever the clock does.

https://hl7.org/fhir/R4/resource.html#Meta (versionId, lastUpdated), https://hl7.org/fhir/R4/datatypes.html#instant
"""

from __future__ import annotations

from datetime import UTC, datetime

from icops_fhir.store.protocol import Clock


def utc() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


def instant(moment: datetime) -> str:
    """UTC with milliseconds: texts of one length, so that their order is the order in time."""
    if moment.tzinfo is None:
        raise ValueError("a moment without time zone is no instant")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


class Stamps:
    """The last pk, the last sequence and the last moment given out; owned by the writer."""

    __slots__ = ("_clock", "moment", "pk", "sequence")

    def __init__(self, clock: Clock, pk: int, sequence: int, updated: str) -> None:
        self._clock = clock
        self.pk = pk
        self.sequence = sequence
        self.moment = datetime.fromisoformat(updated) if updated else datetime.min.replace(tzinfo=UTC)

    def tick(self) -> datetime:
        """Now, to the millisecond, or the last moment given where the clock went back."""
        now = self._clock().astimezone(UTC)
        self.moment = max(self.moment, now.replace(microsecond=now.microsecond // 1000 * 1000))
        return self.moment

    def mark(self) -> tuple[int, int]:
        return self.pk, self.sequence

    def restore(self, mark: tuple[int, int]) -> None:
        """Gives back the numbers of what was rolled back: the feed has no holes. The moment stays."""
        self.pk, self.sequence = mark
