"""Laws of what is sealed: folding older movements together once, and then the newer ones, is folding all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.conftest import House
from exchange.pam import adt
from icops_fhir.exchange import ledger
from icops_fhir.exchange.movements import Movement, Prefix, extend, fold
from icops_fhir.fhir.json import canonical, dumps

STAMPS = st.sampled_from(["", "1", "2", "3", "4", "5"])
UNITS = st.dictionaries(st.sampled_from(["location", "class", "reason[x]"]), st.one_of(st.none(), st.lists(st.sampled_from(["a", "b"]), max_size=2)), max_size=3)
MOVEMENTS = st.lists(
    st.builds(
        lambda inserted, cancelled, scope, trigger, at, start, end, facts, previous: Movement(
            "", inserted, cancelled, scope, ("1", trigger), ("1", at), ("1", start), ("1", end),
            {unit: ["1", value] for unit, value in facts.items()}, {}, {u: v for u, v in previous.items() if v is not None},
        ),
        STAMPS, STAMPS, st.sampled_from(["", "", "V", "A"]), st.sampled_from(["A01", "A02", "A03", "A05", "A06", "A21", "A22", "A54"]), STAMPS, STAMPS, STAMPS, UNITS, UNITS,
    ),
    max_size=8,
).map(lambda found: [replace(m, key=f"M{n}") for n, m in enumerate(found)])  # fmt: skip


@given(MOVEMENTS, STAMPS, st.integers(0, 8))
def test_the_fold_goes_on_from_any_prefix_as_if_it_had_begun_there(movements: list[Movement], voided: str, cut: int) -> None:
    known = sorted((m for m in movements if m.inserted), key=lambda m: m.when)
    sealed = ledger._prefix(ledger.loads(dumps(ledger._written(extend(Prefix(), known[:cut], voided)))))

    assert fold(known[cut:], voided, sealed if known else None) == fold(movements, voided)


def told(n: int, event: str, hour: int, venue: str, scope: str) -> bytes:
    """The movement M<n> inserted, corrected or cancelled, said at this hour."""
    inserted = {"A11": "A01", "A12": "A02", "A13": "A03", "Z99": "A02"}.get(event, "")
    action = "UPDATE" if event == "Z99" else "CANCEL" if inserted else "INSERT"
    return adt(
        event, f"20260301{hour:02}0000", zbe=f"M{n}", venue=venue, at=f"20260301{n:02}3000", action=action, original=inserted,
        pv1={"f3": f"{event}^{hour}", "f51": scope}, control=f"{n}{event}{hour}",
    )  # fmt: skip


STORIES = st.lists(
    st.builds(told, st.integers(0, 6), st.sampled_from(["A01", "A02", "A03", "A02", "A11", "A12", "A13", "Z99"]), st.integers(8, 20), st.sampled_from(["V1", "V1", "V2"]), st.sampled_from(["V", "A"])),
    min_size=4, max_size=14,
)  # fmt: skip
UNNAMED = [
    adt("A01", "20260301080000", pv1={"f3": "A", "f44": "20260301080000"}, control="u1"),
    adt("A02", "20260301090000", pv1={"f3": "B"}, control="u2"),
    adt("A02", "20260301100000", pv1={"f3": "C"}, control="u3"),
    adt("A12", "20260301110000", pv1={"f3": "B"}, control="u4"),
    adt("A03", "20260301120000", pv1={"f3": "B", "f45": "20260301120000"}, control="u5"),
    adt("A13", "20260301130000", pv1={"f3": "B"}, control="u6"),
]


def encounters(messages: list[bytes], newest: int, most: int) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "NEWEST", newest)
        patch.setattr(ledger, "MOST", most)
        house = House()
        try:
            house.store.submit(lambda tx: tx.put("salt", "ids", dumps("00" * 16))).result()
            house.ok(*messages)
            return {e["id"]: canonical({**e, "meta": None}).decode() for e in house.find("Encounter")}
        finally:
            house.store.close()


@settings(max_examples=25 if settings.default and settings.default.max_examples < 100 else 500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(STORIES, st.integers(0, 3))
def test_stays_are_the_same_whether_older_movements_are_sealed_or_not(messages: list[bytes], newest: int) -> None:
    assert encounters(messages, newest, 10_000) == encounters(messages, newest, newest)


def hour(n: int) -> str:
    return f"202603010{n}0000"


EXAMPLES = {
    "an A11 of a newer movement takes the sealed ones along": [
        *(adt(event, hour(n), zbe=f"M{n}", control=f"a{n}") for n, event in enumerate(("A01", "A02", "A02", "A01"))),
        adt("A01", hour(5), zbe="M5", venue="V2", control="a5"),
        adt("A11", hour(6), zbe="M3", at=hour(3), action="CANCEL", original="A01", pv1={"f51": "A"}, control="a6"),
    ],
    "an A11 of a movement that comes after all gives the venue back once it is said again": [
        *(adt(event, hour(n), zbe=f"M{n}", control=f"b{n}") for n, event in enumerate(("A01", "A02", "A01"))),
        adt("A11", hour(3), zbe="M2", at=hour(2), action="CANCEL", original="A01", pv1={"f51": "V"}, control="b3"),
        adt("A01", hour(4), zbe="M2", at=hour(2), control="b4"),
    ],
    "a correction moves a sealed movement after the others": [
        *(adt(event, hour(n), zbe=f"M{n}", pv1={"f3": f"A^{n}"}, control=f"c{n}") for n, event in enumerate(("A01", "A02", "A02", "A02"))),
        adt("Z99", hour(8), zbe="M1", at=hour(7), action="UPDATE", original="A02", pv1={"f3": "Z"}, control="c8"),
    ],
    "a venue is known to be of a dossier that was taken away": [
        *(adt(event, hour(n), zbe=f"M{n}", dossier="", control=f"d{n}") for n, event in enumerate(("A01", "A02", "A02"))),
        adt("A01", hour(4), zbe="M4", venue="V2", control="d4"),
        adt("A11", hour(5), zbe="M4", venue="V2", at=hour(4), action="CANCEL", original="A01", pv1={"f51": "A"}, control="d5"),
        adt("A02", hour(6), zbe="M6", control="d6"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("newest", [0, 1, 2])
def test_these_stays_too_are_the_same_whether_older_movements_are_sealed_or_not(example: str, newest: int) -> None:
    assert encounters(EXAMPLES[example], newest, 10_000) == encounters(EXAMPLES[example], newest, newest)


@given(st.permutations(UNNAMED))
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_cancellation_that_names_no_movement_reaches_those_that_are_sealed(messages: list[bytes]) -> None:
    assert encounters(messages, 0, 10_000) == encounters(messages, 0, 0)


def test_records_of_one_owner_come_page_by_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PAGE", 2)
    house.store.submit(lambda tx: [tx.put("k", str(n), b"1", owner="x" if n < 5 else "y") for n in range(9)]).result()

    found = house.store.view(lambda reader: [record.key for record in ledger.every(reader, "k", "x")])

    assert found == ["0", "1", "2", "3", "4"]
