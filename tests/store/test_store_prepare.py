"""A prepared resource is the resource, byte for byte, around the writer's stamps. https://hl7.org/fhir/R4/resource.html#Meta"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import Number, dumps, loads, same
from icops_fhir.store.engine import prepare

STAMPS = b'"versionId":"3","lastUpdated":"2026-03-01T08:00:00.000Z"'
VALUE = st.recursive(
    st.one_of(st.text(max_size=5), st.booleans(), st.integers(-99, 99), st.sampled_from(["1.50", "1e3", "-0", "9" * 30]).map(Number)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["url", "value", "a"]), inner, max_size=3)), max_leaves=6,
)
META = st.dictionaries(st.sampled_from(["versionId", "lastUpdated", "profile", "tag", "_versionId"]), VALUE, max_size=4)
MEMBERS = st.permutations(["resourceType", "id", "meta", "_x", "extension", "text"]).flatmap(
    lambda names: st.tuples(st.just(names), st.lists(st.booleans(), min_size=6, max_size=6), META, st.lists(VALUE, min_size=6, max_size=6)))


@given(MEMBERS)
def test_what_is_stored_is_what_came_but_for_the_stamps(made):
    names, present, meta, values = made
    resource = {}
    for name, there, value in zip(names, present, values, strict=True):
        if name == "resourceType":
            resource[name] = "Basic"
        elif there:
            resource[name] = {"id": "x-1", "meta": meta}.get(name, value)
    before = dumps(resource)
    prepared = prepare(resource)
    stored = loads(prepared.head + STAMPS + prepared.tail)
    rest = {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")} if "meta" in resource else {}

    assert dumps(resource) == before
    assert stored["id"] == prepared.id == resource.get("id", prepared.id)
    assert list(stored["meta"]) == ["versionId", "lastUpdated", *rest]
    assert all(same(stored["meta"][name], value) for name, value in rest.items())
    kept = [name for name in stored if name in resource]
    assert kept == list(resource)  # all of it, in its order
    assert all(same(stored[name], value) for name, value in resource.items() if name != "meta")


def test_numbers_keep_their_text_and_members_their_order():
    prepared = prepare({"resourceType": "Observation", "status": "final", "id": "o", "valueQuantity": {"value": Number("1.50")}, "meta": {"tag": []}, "code": {}})
    expected = (b'{"resourceType":"Observation","status":"final","id":"o","valueQuantity":{"value":1.50},"meta":{' + STAMPS + b',"tag":[]},"code":{}}')

    assert expected == prepared.head + STAMPS + prepared.tail


def test_a_resource_may_begin_with_its_meta_or_end_with_it():
    first = prepare({"meta": {}, "id": "a", "resourceType": "Basic"})
    last = prepare({"id": "a", "resourceType": "Basic", "meta": {"tag": []}})

    assert first.head + STAMPS + first.tail == b'{"meta":{' + STAMPS + b'},"id":"a","resourceType":"Basic"}'
    assert last.head + STAMPS + last.tail == b'{"id":"a","resourceType":"Basic","meta":{' + STAMPS + b',"tag":[]}}'


def test_an_id_is_given_where_there_is_none_and_the_one_asked_for_wins():
    basic = {"resourceType": "Basic"}

    assert prepare(basic).id != prepare(basic).id
    assert prepare(dict(basic, id="a"), id="b").id == "b"
    assert prepare(dict(basic, id="a"), id="b").head == b'{"resourceType":"Basic","id":"b","meta":{'
    assert basic == {"resourceType": "Basic"}


@pytest.mark.parametrize("id", ["", "é", "a/b", "x" * 65, "a b", 5])
def test_what_cannot_be_an_id_is_refused(id):
    if id == "":  # none was given
        assert prepare({"resourceType": "Basic", "id": id}).id
        return
    with pytest.raises(FhirError):
        prepare({"resourceType": "Basic", "id": id})
    with pytest.raises(FhirError):
        prepare({"id": "a"})


def test_rows_are_extracted_before_the_queue():
    found = {row.values for row in prepare({"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "1"}]}).rows}

    assert ("urn:s", "1") in found
