"""An edit made in FHIR, made again in what the feed says: laws first, then what clients do."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.exchange.transplant import content, edited, transplant
from icops_fhir.fhir.json import canonical

word = st.sampled_from(["Anne", "Lou", "Éloïse", "0612", "0478", "Lyon", "1 rue"])
point = st.fixed_dictionaries({"system": st.sampled_from(["phone", "email"]), "value": word}, optional={"use": st.sampled_from(["home", "work", "mobile"]), "rank": st.integers(1, 3)})
name = st.fixed_dictionaries({"family": word}, optional={"given": st.lists(word, min_size=1, max_size=2), "use": st.sampled_from(["official", "usual"]), "_use": st.just({"extension": [{"url": "urn:code", "valueCode": "L"}]})})
number = st.fixed_dictionaries({"value": word, "system": st.sampled_from(["urn:a", "urn:b"])}, optional={"type": st.just({"coding": [{"code": "PI"}]})})
extension = st.fixed_dictionaries({"url": st.sampled_from(["http://a", "http://b"]), "valueString": word})
patient = st.fixed_dictionaries(
    {"resourceType": st.just("Patient"), "id": st.just("x")},
    optional={
        "telecom": st.lists(point, min_size=1, max_size=4, unique_by=lambda i: (i["system"], i["value"])), "name": st.lists(name, min_size=1, max_size=3, unique_by=lambda i: (i["family"], str(i.get("given")))),
        "identifier": st.lists(number, min_size=1, max_size=3, unique_by=lambda i: (i["system"], i["value"])), "gender": st.sampled_from(["male", "female"]), "birthDate": st.just("1970-01-01"), "_birthDate": st.just({"extension": [{"url": "http://time", "valueDateTime": "1970-01-01T10:00:00Z"}]}),
        "address": st.lists(st.fixed_dictionaries({"city": word}, optional={"line": st.lists(word, min_size=1, max_size=2)}), min_size=1, max_size=2, unique_by=str),
        "extension": st.lists(extension, min_size=1, max_size=2, unique_by=lambda e: e["url"]),
        "maritalStatus": st.fixed_dictionaries({"coding": st.lists(st.fixed_dictionaries({"system": st.just("v2"), "code": word}), min_size=1, max_size=1)}),
    },
)  # fmt: skip


def marked(resource: dict[str, Any]) -> dict[str, Any]:
    """The feed's reading: each item knows its field and carries a leaf."""
    out = copy.deepcopy(resource)
    for member in ("telecom", "name", "identifier", "address"):
        for rank, item in enumerate(out.get(member, ()), 1):
            item["id"] = f"PID-{len(member)}.{rank}"
            item["extension"] = [{"url": "urn:carried", "valueString": str(rank)}]
    return out


def bag(resource: dict[str, Any]) -> dict[str, Any]:
    return {k: sorted(map(canonical, v)) if isinstance(v, list) else v for k, v in content(resource).items()}


@given(patient, st.data())
def test_what_a_client_leaves_out_in_ids_and_extensions_changes_nothing(resource: dict[str, Any], data: st.DataObject) -> None:
    stored = data.draw(st.sampled_from([resource, marked(resource)]))

    assert transplant(stored, content(stored), marked(resource)) == marked(resource)


@given(patient, patient)
def test_the_whole_edit_arrives_where_the_feed_says_what_the_store_says(before: dict[str, Any], after: dict[str, Any]) -> None:
    expected = bag(after)

    assert bag(transplant(before, content(after), marked(before))) == expected


@given(patient, patient)
def test_an_edit_made_twice_is_made_once(before: dict[str, Any], after: dict[str, Any]) -> None:
    once = transplant(before, after, marked(before))

    assert bag(transplant(before, after, once)) == bag(once)


@given(patient, patient, patient)
def test_nothing_comes_from_elsewhere(before: dict[str, Any], after: dict[str, Any], onto: dict[str, Any]) -> None:
    """Each member of the result that neither was in the feed nor is in the edit would be invented."""
    result = transplant(before, after, onto)

    for member, value in result.items():
        assert value == onto.get(member) or member in (set(before) | set(after))


@given(patient, st.sampled_from(["telecom", "name", "identifier", "address"]), st.data())
def test_an_edit_touches_its_item_alone_and_its_neighbours_keep_their_ids_and_leaves(resource: dict[str, Any], member: str, data: st.DataObject) -> None:
    items = resource.get(member, [])
    if not items or len({canonical(i) for i in items}) < len(items):
        return
    rank = data.draw(st.integers(0, len(items) - 1))
    after = content(resource)
    after[member][rank]["period"] = {"end": "2026-01-01"}

    result = transplant(resource, after, marked(resource))

    expected = marked(resource)
    expected[member][rank]["period"] = {"end": "2026-01-01"}
    assert result == expected


def phone(value: str, use: str = "home") -> dict[str, Any]:
    return {"system": "phone", "value": value, "use": use}


FEED = {"resourceType": "Patient", "telecom": [{"id": "PID-13.1", **phone("04")}, {"id": "PID-13.2", **phone("06", "mobile")}], "gender": "female"}


def test_a_changed_number_keeps_its_place() -> None:
    before = {"telecom": [phone("04"), phone("06", "mobile")]}
    after = {"telecom": [phone("06", "mobile"), phone("09")]}

    assert transplant(before, after, FEED)["telecom"] == [{"id": "PID-13.1", **phone("09")}, {"id": "PID-13.2", **phone("06", "mobile")}]


def test_a_number_of_another_hospital_is_neither_told_nor_missed() -> None:
    before = {"telecom": [phone("04"), phone("06", "mobile"), phone("99", "work")]}

    assert transplant(before, {"telecom": [phone("04"), phone("06", "mobile"), phone("98", "work")]}, FEED) == FEED
    assert transplant(before, {"telecom": [phone("04"), phone("06", "mobile")]}, FEED) == FEED


def test_a_number_added_and_one_removed() -> None:
    before = {"telecom": [phone("04"), phone("06", "mobile")]}

    assert transplant(before, {"telecom": [phone("06", "mobile"), {"system": "email", "value": "a@b"}]}, FEED)["telecom"] == [
        {"id": "PID-13.2", **phone("06", "mobile")}, {"system": "email", "value": "a@b"},
    ]  # fmt: skip


def test_the_members_an_edit_touches_are_named() -> None:
    assert list(edited({"gender": "male", "telecom": [phone("04")]}, {"telecom": [phone("05")], "birthDate": "1970"})) == ["gender", "telecom", "birthDate"]
