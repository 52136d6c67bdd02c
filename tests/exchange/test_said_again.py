"""A movement cancelled, then inserted again under the same number: its Tasks are made again, once. IHE PAM-FR §5.3.1."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchange.conftest import House
from exchange.test_scenarios import follow, message, stays, tasks


@pytest.fixture
def followed() -> Iterator[House]:
    house = follow(House())
    house.ok(message("s1-1"), message("s1-2"))
    yield house
    house.store.close()


def again(control: bytes, when: bytes) -> bytes:
    """The discharge of s2-2, said anew by another message."""
    return message("s2-2").replace(b"LYS26090900104", control).replace(b"20260909111500", when)


def test_a_discharge_cancelled_then_inserted_under_the_same_number_makes_its_tasks_again(followed: House) -> None:
    inside = tasks(followed)
    followed.ok(message("s2-2"))
    first = {id_: status for id_, status in tasks(followed).items() if id_ not in inside}
    home = {id_: status for id_, status in tasks(followed).items() if id_ in inside}
    followed.ok(message("s3-1"))
    told = len(followed.find("Communication"))

    followed.ok(again(b"AGAIN1", b"20260910111500"))

    now = tasks(followed)
    second = {id_: status for id_, status in now.items() if id_ not in inside and id_ not in first}
    assert {now[id_] for id_ in first} == {"cancelled"}
    assert sorted(second.values()) == sorted(first.values())
    assert {id_: now[id_] for id_ in inside} == home
    assert len(followed.find("Communication")) > told
    assert stays(followed)[0]["status"] == "finished"


def test_said_once_more_it_makes_nothing_and_its_cancellation_takes_it_back(followed: House) -> None:
    followed.ok(message("s2-2"), message("s3-1"), again(b"AGAIN1", b"20260910111500"))
    before = tasks(followed)
    followed.ok(again(b"AGAIN2", b"20260910121500"))
    assert tasks(followed) == before

    followed.ok(message("s3-1").replace(b"LYS26090900105", b"BACK2").replace(b"20260909143000", b"20260910143000"))

    assert stays(followed)[0]["status"] == "in-progress"
    assert not [t for t in followed.find("Task") if t["status"] == "requested" and "groupIdentifier" in t and t["groupIdentifier"]["value"] == "MVT-2609-0004"]


def test_tasks_that_people_cancelled_do_not_come_back(followed: House) -> None:
    followed.ok(message("s2-2"))
    for task in followed.find("Task"):
        if task.get("groupIdentifier", {}).get("value") == "MVT-2609-0004":
            followed.put({**task, "status": "cancelled"})
    before = tasks(followed)

    followed.ok(again(b"AGAIN1", b"20260910111500"))

    assert tasks(followed) == before
