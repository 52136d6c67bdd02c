"""The law of cost: one more message does as much work whatever is already known of its patient, dossier or venue.

Counted, not timed: Python calls and steps of SQLite's machine of the one job that applies the message.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from exchange.conftest import House
from exchange.pam import adt, ins, ipp

FEW, MANY = 40, 160
STEPS = 50


class Counted(House):
    """A house that counts the work of the last message applied."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.steps = 0
        self.inbound._apply = self._counting(self.inbound._apply)  # type: ignore[method-assign]

    def _counting(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        def job(tx: Any, received: Any) -> Any:
            self.calls = self.steps = 0
            tx._connection.set_progress_handler(self._step, STEPS)
            before = sys.getprofile()
            sys.setprofile(self._call)
            try:
                return apply(tx, received)
            finally:
                sys.setprofile(before)
                tx._connection.set_progress_handler(None, 0)

        return job

    def _step(self) -> int:
        self.steps += STEPS
        return 0

    def _call(self, frame: Any, event: str, arg: Any) -> None:
        self.calls += event == "call"

    def work(self, message: bytes) -> tuple[int, int]:
        self.ok(message)
        return self.calls, self.steps


@pytest.fixture
def counted() -> Iterator[Counted]:
    made = Counted()
    yield made
    made.store.close()


def at(n: int) -> str:
    return f"{datetime(2026, 3, 1) + timedelta(minutes=n):%Y%m%d%H%M%S}"


STORIES: dict[str, Callable[[int], bytes]] = {
    "venues of one dossier": lambda n: adt("A01", at(n), zbe=f"M{n}", venue=f"V{n}"),
    "venues of one dossier, each cancelled": lambda n: adt(
        *(("A01", at(n)) if n % 2 else ("A11", at(n))), zbe=f"M{n - 1 + n % 2}", venue=f"V{n - 1 + n % 2}", at=at(n - 1 + n % 2),
        action="" if n % 2 else "CANCEL", original="" if n % 2 else "A01",
    ),
    "dossiers of one patient": lambda n: adt("A01", at(n), zbe=f"M{n}", venue=f"V{n}", dossier=f"D{n}"),
    "movements of one venue": lambda n: adt("A02", at(n), zbe=f"M{n}", pv1={"f3": f"A^{n}"}),
    "movements of one venue, each cancelled": lambda n: adt(
        *(("A02", at(n)) if n % 2 else ("A12", at(n))), zbe=f"M{n - 1 + n % 2}", at=at(n - 1 + n % 2),
        action="" if n % 2 else "CANCEL", original="" if n % 2 else "A02", pv1={"f3": f"A^{n}"},
    ),
    "cancellations that wait": lambda n: adt("A12", at(n), zbe=f"M{n}", action="CANCEL", original="A02"),
    "messages about one patient": lambda n: adt("A31", at(n), pid={"f13": f"^PRN^PH^^^^^^^^^{n:010}"}),
    "messages of one patient by many feeds": lambda n: adt("A31", at(n), facility=f"H{n}", numbers=f"{ipp('P1')}~{ins('248026938311421')}" if n < 3 else None, pid={"f32": "VALI"}),
    "statements about one patient": lambda n: adt("A31", at(n), extra=(f"NK1|1|MARTIN^Nom{n}^^^^^L|CHD",)),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_one_more_message_does_as_much_work_whatever_is_known(story: str, counted: Counted) -> None:
    work = [counted.work(STORIES[story](n)) for n in range(1, MANY + 1)]
    few, many = ([sum(column) for column in zip(*work[n - 24 : n], strict=True)] for n in (FEW, MANY))

    assert all(b <= 1.2 * a for a, b in zip(few, many, strict=True)), (few, many)


def test_what_is_counted_sees_what_grows(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icops_fhir.exchange.ledger.MOST", 10_000)
    work = [counted.work(STORIES["movements of one venue"](n))[0] for n in range(1, MANY + 1)]

    assert work[-1] > 1.5 * work[FEW]


