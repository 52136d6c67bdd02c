"""Remakes the index rows of a type in the background when its search parameters, or the extractor, changed.

https://hl7.org/fhir/R4/search.html. In slices through the writer, so that service goes on; where it was is kept with
each slice, so that a crash only costs the slice in hand.

  read slice ─ extract rows here, not in the writer ─ job: still current? replace rows, note how far ─ next slice
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import loads

if TYPE_CHECKING:
    from icops_fhir.search.index import IndexRow

SLICE = 100

Found = tuple[int, str, int, bytes]  # pk, id, sequence, body
Remade = tuple[int, int, "tuple[IndexRow, ...]"]  # pk, sequence, its new rows


def _log() -> Any:
    import structlog  # heavy, and seldom needed here

    return structlog.get_logger()


class _Store(Protocol):
    def submit(self, job: Callable[[Any], Any]) -> Any: ...
    def view(self, job: Callable[[Any], Any]) -> Any: ...


def _fingerprints(reader: Any) -> list[tuple[str, str, str, str]]:
    return reader.fingerprints()  # type: ignore[no-any-return]


def _slice(type: str, after: str, reader: Any) -> list[Found]:
    return reader.slice(type, after, SLICE)  # type: ignore[no-any-return]


def _remake(type: str, remade: list[Remade], progress: tuple[str | None, str, str], transaction: Any) -> None:
    transaction.remake(type, remade, *progress)


class Reindex:
    """One pass over the types the store holds, in its own thread."""

    def __init__(self, store: _Store, rows: Callable[[dict[str, Any]], tuple[IndexRow, ...]],
                 fingerprint: Callable[[str], str]) -> None:
        self._store, self._rows, self._fingerprint = store, rows, fingerprint
        self._stop = threading.Event()
        self.stale: frozenset[str] = frozenset()  # types whose searches may still miss something
        self.thread = threading.Thread(target=self._run, name="icops-reindex", daemon=True)

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        try:
            self._pass()
        except FhirError as error:
            if not self._stop.is_set():
                _log().warning("reindex.interrupted", why=str(error))
        except Exception as error:  # searches may miss something, the rest of the service goes on
            _log().error("reindex.failed", error=error.__class__.__name__, why=str(error))

    def _pass(self) -> None:
        stale: dict[str, tuple[str, str]] = {}  # type: what its fingerprint should be, where to go on from
        for type, value, target, upto in self._store.view(_fingerprints):
            if (wanted := self._fingerprint(type)) != value:
                stale[type] = wanted, upto if target == wanted else ""
        self.stale = frozenset(stale)
        for type, (wanted, upto) in stale.items():
            _log().info("reindex.begin", type=type)
            if not self._type(type, wanted, upto):
                return
            self.stale -= {type}
            _log().info("reindex.end", type=type)

    def _type(self, type: str, wanted: str, upto: str) -> bool:
        """False when it was stopped before the end."""
        while not self._stop.is_set():
            found: list[Found] = self._store.view(partial(_slice, type, upto))
            remade = list(self._extract(type, found))
            upto = found[-1][1] if found else ""
            last = len(found) < SLICE
            progress = (wanted, "", "") if last else (None, wanted, upto)
            self._write(partial(_remake, type, remade, progress))
            if last:
                return True
        return False

    def _extract(self, type: str, found: Iterable[Found]) -> Iterable[Remade]:
        for pk, id, sequence, body in found:
            try:
                yield pk, sequence, self._rows(loads(body))
            except Exception as error:  # its old rows stay; the others must not wait for it
                _log().error("reindex.failed", type=type, id=id, error=error.__class__.__name__)

    def _write(self, job: Callable[[Any], None]) -> None:
        """Service goes first: when the queue is full the slice waits."""
        while True:
            try:
                self._store.submit(job).result()
                return
            except FhirError as error:
                if error.status != 429 or self._stop.wait(0.1):
                    raise
