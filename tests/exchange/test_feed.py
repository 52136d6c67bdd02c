"""Laws of the three-way merge: what a feed last sent, what it sends now, what stands."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.exchange import feed
from icops_fhir.fhir.json import canonical

USES = ("home", "work", "mobile")
phones = st.lists(
    st.builds(lambda u, v: {"system": "phone", "use": u, "value": v}, st.sampled_from(USES), st.sampled_from("123456789")),
    max_size=4, unique_by=lambda p: p["value"],
)  # fmt: skip
units = st.fixed_dictionaries(
    {}, optional={"telecom@PID-13": phones, "gender": st.sampled_from([{"gender": "male"}, {"gender": "female"}]),
                  "birthDate": st.sampled_from([{"birthDate": "1950-01-01"}, {"birthDate": "1950-01-02"}]),
                  "deceased[x]": st.sampled_from([{"deceasedBoolean": True}, {"deceasedDateTime": "2026-01-01"}])},
)  # fmt: skip


def bag(resource: dict[str, Any]) -> dict[str, Any]:
    return {k: sorted(map(canonical, v)) if isinstance(v, list) else canonical(v) for k, v in resource.items()}


@given(units, units)
def test_alone_a_feed_gets_what_it_says(first: feed.Units, second: feed.Units) -> None:
    one = feed.merge({"resourceType": "Patient"}, {}, first)
    merged = {**first, **second}

    two = feed.merge(one, first, merged)

    assert bag(two) == bag(feed.merge({"resourceType": "Patient"}, {}, merged))


@given(units, units, units)
def test_repeating_the_same_message_changes_nothing(first: feed.Units, town: feed.Units, again: feed.Units) -> None:
    edited = feed.merge(feed.merge({"resourceType": "Patient"}, {}, first), {}, town)

    assert feed.merge(edited, first, first) == edited


@given(units, phones)
def test_what_town_added_stays_whatever_the_feed_sends(first: feed.Units, added: list[Any]) -> None:
    town = [{**p, "value": "+33" + p["value"]} for p in added]
    current = feed.merge({"resourceType": "Patient"}, {}, first)
    current["telecom"] = [*current.get("telecom", []), *town]

    after = feed.merge(current, first, {**first, "telecom@PID-13": [{"system": "phone", "use": "home", "value": "0"}]})

    assert all(p in after["telecom"] for p in town)


@given(st.lists(st.tuples(st.integers(0, 9), units), max_size=5), st.randoms())
def test_the_order_of_arrival_does_not_matter(messages: list[tuple[int, feed.Units]], random: Any) -> None:
    stamped = [(f"{at}.{rank}", said) for rank, (at, said) in enumerate(messages)]
    shuffled = random.sample(stamped, len(stamped))

    def state(order: list[tuple[str, feed.Units]]) -> dict[str, Any]:
        sent: feed.Sent = {}
        resource: dict[str, Any] = {"resourceType": "Patient"}
        for stamp, said in order:
            after = feed.advance(sent, said, stamp)
            resource = feed.merge(resource, feed.said(sent), feed.said(after))
            sent = after
        return bag(resource)

    assert state(shuffled) == state(sorted(stamped, key=lambda m: m[0]))


def test_an_edit_of_town_stays_while_the_feed_repeats_itself_and_yields_when_the_feed_changes() -> None:
    sent = {"telecom@PID-13": [{"system": "phone", "use": "home", "value": "01"}]}
    current = {"resourceType": "Patient", "telecom": [{"system": "phone", "use": "home", "value": "09", "rank": 1}]}

    assert feed.merge(current, sent, sent) == current
    changed = feed.merge(current, sent, {"telecom@PID-13": [{"system": "phone", "use": "home", "value": "02"}]})
    assert changed["telecom"] == [{"system": "phone", "use": "home", "value": "02", "rank": 1}]


def phone(value: str, use: str = "home") -> dict[str, Any]:
    return {"system": "phone", "use": use, "value": value}


def test_what_the_feed_drops_goes_unless_town_edited_it() -> None:
    sent, now = {"telecom@PID-13": [phone("01"), phone("03", "temp")]}, {"telecom@PID-13": [phone("01")]}

    assert feed.merge({"telecom": [phone("01"), phone("03", "temp")]}, sent, now)["telecom"] == [phone("01")]
    assert feed.merge({"telecom": [phone("01"), phone("04", "temp")]}, sent, now)["telecom"] == [phone("01"), phone("04", "temp")]


def test_what_town_deleted_stays_deleted_while_the_feed_repeats_it() -> None:
    sent, now = {"telecom@PID-13": [phone("01"), phone("03", "temp")]}, {"telecom@PID-13": [phone("02"), phone("03", "temp")]}

    assert feed.merge({"telecom": [phone("01")]}, sent, now)["telecom"] == [phone("02")]


def test_a_deletion_takes_what_anyone_wrote_in_that_field_and_nothing_else() -> None:
    current = {"resourceType": "Patient", "telecom": [{"value": "01", "use": "home"}, {"value": "02", "use": "work"}], "gender": "male"}

    assert feed.merge(current, {}, {"telecom@PID-13": None})["telecom"] == [{"value": "02", "use": "work"}]
    assert "gender" not in feed.merge(current, {"gender": {"gender": "female"}}, {"gender": None})


def test_a_first_word_does_not_contradict_what_stands() -> None:
    current = {"resourceType": "Patient", "gender": "male", "deceasedBoolean": False}

    assert feed.merge(current, {}, {"gender": {"gender": "female"}, "deceased[x]": {"deceasedDateTime": "2026"}}) == current


def test_units_are_named_by_the_field_they_came_from() -> None:
    patient = {"resourceType": "Patient", "id": "x", "telecom": [{"id": "PID-13.1", "value": "1"}, {"id": "PID-14.1", "value": "2"}],
               "extension": [{"url": "u", "valueCode": "a"}], "deceasedBoolean": True, "meta": {"security": [{"code": "R"}]}}  # fmt: skip

    assert feed.units(patient) == {
        "telecom@PID-13": [{"value": "1"}], "telecom@PID-14": [{"value": "2"}], "extension@u": [{"url": "u", "valueCode": "a"}],
        "deceased[x]": {"deceasedBoolean": True}, "meta.security": [{"code": "R"}],
    }  # fmt: skip
