"""References. https://hl7.org/fhir/R4/references.html"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.reference import Reference, parse, walk

identifier = st.text("abcXYZ019-.", min_size=1, max_size=64)
base = st.sampled_from(["", "http://x.org/fhir", "https://a.b:8080/c/d"])


@given(base, st.sampled_from(["Patient", "CarePlan"]), identifier, st.one_of(st.just(""), identifier))
def test_a_restful_reference_is_its_parts(base, type, id, version):
    local = f"{type}/{id}"
    text = (f"{base}/" if base else "") + local + (f"/_history/{version}" if version else "")
    found = parse(text)

    assert Reference(text, type, id, version, base) == found
    assert (local, not base, bool(base)) == (found.local, found.relative, found.absolute)


@pytest.mark.parametrize(("text", "expected"), [
    ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", Reference("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", urn="urn:uuid:c757873d-ec9a-4326-a141-556f43239520")),
    ("urn:oid:1.2.3#a", Reference("urn:oid:1.2.3#a", urn="urn:oid:1.2.3", fragment="a")),
    ("#p1", Reference("#p1", fragment="p1")),
    ("#", Reference("#")),
    ("Patient/1#a", Reference("Patient/1#a", "Patient", "1", fragment="a")),
    ("Patient?identifier=1", Reference("Patient?identifier=1")),
    ("patient/1", Reference("patient/1")),
    ("Patient/a b", Reference("Patient/a b")),
    ("http://x.org/some/page", Reference("http://x.org/some/page")),
    ("", Reference("")),
])  # fmt: skip
def test_any_other_reference_is_told_apart(text, expected):
    assert expected == parse(text)


def test_every_reference_of_a_resource_is_walked_in_order_with_its_path():
    task = {
        "resourceType": "Task", "for": {"reference": "Patient/1"},
        "input": [{"valueReference": {"reference": "a"}}, {"type": {"text": "x"}}, {"extension": [{"valueReference": {"reference": "b"}}]}],
        "contained": [{"resourceType": "Patient", "managingOrganization": {"reference": "c"}}], "focus": {"display": "none"},
    }  # fmt: skip
    expected = [
        ("Patient/1", "Task.for"), ("a", "Task.input[0].valueReference"), ("b", "Task.input[2].extension[0].valueReference"),
        ("c", "Task.contained[0].managingOrganization"),
    ]  # fmt: skip

    assert expected == [(element["reference"], path) for element, path in walk(task)]
