"""Bundles and rewriting. https://hl7.org/fhir/R4/http.html#trules"""

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.bundle import bundle, entry, rewrite, searchset
from icops_fhir.fhir.json import dumps, same

URN, REAL = "urn:uuid:1", "Patient/real"
MAPPING = {URN: REAL}


def test_references_and_uris_are_rewritten_everywhere_and_other_text_is_left():
    def task(target):
        return {
            "resourceType": "Task", "for": {"reference": target}, "instantiatesUri": target, "instantiatesCanonical": URN,
            "identifier": [{"system": target, "value": URN}],
            "input": [{"valueUri": target}, {"valueReference": {"reference": f"{target}#part"}}, {"valueString": URN}],
            "extension": [{"url": URN, "valueUrl": target}, {"url": "x", "extension": [{"url": "y", "valueReference": {"reference": target}}]}],
            "contained": [{"resourceType": "Patient", "link": [{"other": {"reference": target}}]}],
            "text": {"status": "generated", "div": f'<div><a href="{target}">{URN}</a><img src=\'{target}\'/></div>'},
        }  # fmt: skip

    before = copy.deepcopy(task(URN))

    assert task(REAL) == rewrite(before, MAPPING)
    assert task(URN) == before


def test_what_nothing_touches_is_the_same_object():
    resource = {"resourceType": "Task", "for": {"reference": "Patient/2"}, "input": [{"valueUri": "urn:uuid:2"}]}

    assert resource is rewrite(resource, MAPPING)
    assert resource["input"] is rewrite({**resource, "for": {"reference": URN}}, MAPPING)["input"]


@given(st.recursive(
    st.sampled_from([URN, "x", 1, True, None]),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["reference", "valueUri", "valueString", "a", "extension"]), inner, max_size=3)),
))  # fmt: skip
def test_rewriting_there_and_back_gives_the_same_bytes(value):
    resource = {"resourceType": "Basic", "extension": value}

    assert same(resource, rewrite(rewrite(resource, MAPPING), {REAL: URN}))


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), st.dictionaries(st.text("abé", max_size=3), st.integers(0, 9), max_size=3)), max_size=4))
def test_a_searchset_joined_from_bytes_is_the_bundle_it_says(matches):
    expected = {
        "resourceType": "Bundle", "type": "searchset", "total": len(matches), "link": [{"relation": "self", "url": "u"}],
        "entry": [
            *({**({"fullUrl": url} if url else {}), "resource": body, "search": {"mode": "match"}} for url, body in matches),
            {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
        ],
    }  # fmt: skip
    found = searchset([(url, dumps(body)) for url, body in matches], total=len(matches), links=[("self", "u")], outcome={"resourceType": "OperationOutcome"})

    assert expected == json.loads(found)


def test_an_empty_bundle_has_no_entry_member_and_a_deleted_version_no_resource():
    assert bundle("history", [], id="b") == b'{"resourceType":"Bundle","id":"b","type":"history"}'
    assert entry(None, request={"method": "DELETE", "url": "Patient/1"}) == b'{"request":{"method":"DELETE","url":"Patient/1"}}'
