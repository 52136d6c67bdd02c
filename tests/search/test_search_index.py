"""Index rows come from the definitions' own expressions. https://hl7.org/fhir/R4/searchparameter.html"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_resources import resource

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.packages import definitions
from icops_fhir.fhir.path import compile
from icops_fhir.search import index
from icops_fhir.search.index import IndexRow, extracted, fingerprint, rows
from icops_fhir.search.parameters import COLUMNS, number, parameters
from icops_fhir.search.types import TYPES, WIDTH

PATHWAY = ["Patient", "CarePlan", "Task", "CareTeam", "Encounter", "Observation", "Consent", "Condition", "ValueSet", "RiskAssessment"]


def evaluated(resource):
    """The rows of evaluating each whole expression from the top, no dispatch by member."""
    out = set()
    for parameter in parameters(resource["resourceType"]).values():
        if parameter.kind in TYPES and parameter.code not in COLUMNS:
            found = compile(parameter.expression, parameter.type)(resource)
            kind = TYPES[parameter.kind]
            made = {row for value in found for row in kind.rows(value, parameter.number)}
            absent = IndexRow(kind.TABLE, parameter.number, (None,) * WIDTH[kind.TABLE])
            out |= made or ({absent} if found else set())
    return out


@given(resource(PATHWAY))
def test_the_rows_are_those_of_the_whole_expressions(made):
    found = rows(made)
    absent = {row for row in found if set(row.values) == {None}}

    assert len(found) == len(set(found))
    assert evaluated(made) - absent == set(found) - absent
    assert evaluated(made) <= set(found)


@given(resource(definitions().types()))
def test_every_type_of_resource_can_be_indexed(made):
    for row in rows(made):
        assert row.table in TYPES
        assert len(row.values) == WIDTH[row.table]
        assert all(value is None or type(value) in (str, float) for value in row.values)


shapes = st.recursive(st.sampled_from(["a", "2026", 1, True, None]), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["coding", "system", "value", "start", "low", "event", "repeat", "reference", "given", "code"]), inner, max_size=3)), max_leaves=6)


@given(st.sampled_from(PATHWAY), st.data())
def test_no_shape_of_a_member_makes_the_extractor_fail(type, data):
    names = sorted(index._extractors(type)[0])
    made = {"resourceType": type, **data.draw(st.dictionaries(st.sampled_from(names), shapes, max_size=4))}

    assert isinstance(rows(made), tuple)


def test_every_expression_of_the_1400_search_parameters_compiles():
    refused = {(type, code): str(e) for type in definitions().types() for code, e in extracted(type).items() if isinstance(e, FhirError)}

    assert refused == {}


def test_the_parameters_without_an_expression_are_known_and_never_offered():
    bases = [*definitions().types(), "DomainResource", "Resource"]
    found = {p["url"].rpartition("/")[2]: p for base in bases for p in definitions().search_parameters(base)}
    without = {name for name, p in found.items() if not p.get("expression")}

    # of the 1400, ten have no base either (author, effective, end, keyword, workflow of CodeSystem and of ValueSet)
    assert len(found) == 1390
    assert without == {"DomainResource-text", "Resource-content", "Resource-query", "filter", "patient-extensions-Patient-age", "patient-extensions-Patient-birthOrderBoolean"}
    assert not {"_text", "_content", "_query", "_filter", "age", "birthOrderBoolean"} & parameters("Patient").keys()


@pytest.mark.parametrize(("type", "made", "code", "expected"), [
    ("Patient", {"name": [{"family": "Lœb"}]}, "family", [("string", ("loeb", "Lœb"))]),
    ("Patient", {"telecom": [{"system": "phone", "value": "1", "use": "home"}]}, "phone", [("token", ("home", "1"))]),
    ("Patient", {"telecom": [{"system": "phone", "value": "1"}]}, "email", []),
    ("Patient", {"birthDate": "2026-01-01"}, "birthdate", [("date", ("2025-12-31T23:00:00.000Z", "2026-01-01T23:00:00.000Z"))]),
    ("Observation", {"effectiveDateTime": "2026-07-01T08:00"}, "date", [("date", ("2026-07-01T06:00:00.000Z", "2026-07-01T06:01:00.000Z"))]),
    ("Observation", {"effectiveDateTime": "2016-12-31T23:59:60Z"}, "date", [("date", ("2016-12-31T23:59:59.000Z", "2017-01-01T00:00:01.000Z"))]),
    ("Observation", {"effectiveDateTime": "2026-01-01T00:00:00.12345Z"}, "date", [("date", ("2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00.124Z"))]),
    ("Observation", {"effectiveDateTime": "9999"}, "date", [("date", ("9998-12-31T23:00:00.000Z", "9999-12-31T23:59:59.999Z"))]),
    ("Observation", {"effectiveDateTime": "9999-12-31T23:59:59-12:00"}, "date", [("date", ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"))]),
    ("Observation", {"effectiveDateTime": "0001"}, "date", [("date", ("0001-01-01T00:00:00.000Z", "0001-12-31T23:50:39.000Z"))]),
    ("Observation", {"effectiveDateTime": "2026-02-30"}, "date", [("date", (None, None))]),
    ("Patient", {"deceasedDateTime": "2026"}, "deceased", [("token", (None, "true"))]),
    ("Patient", {"meta": {"tag": [{"system": "s", "code": "c"}]}}, "_tag", [("token", ("s", "c"))]),
    ("Task", {"for": {"reference": "Patient/1"}}, "patient", [("reference", ("Patient", "1", ""))]),
    ("Task", {"for": {"reference": "Group/1"}}, "patient", []),
    ("Task", {"for": {"reference": "https://x.org/fhir/Patient/1"}}, "subject", [("reference", ("Patient", "1", "https://x.org/fhir/Patient/1"))]),
    ("CarePlan", {"activity": [{"reference": {"reference": "urn:uuid:0"}}]}, "activity-reference", [("reference", ("", "", "urn:uuid:0"))]),
    ("CarePlan", {"instantiatesCanonical": ["http://x|1"]}, "instantiates-canonical", [("reference", ("", "", "http://x")), ("reference", ("", "", "http://x|1"))]),
    ("CarePlan", {"period": {"start": "2026-01-01T00:00:00Z"}}, "date", [("date", ("2026-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"))]),
    ("Observation", {"valueQuantity": {"value": 5, "unit": "mmHg", "system": "u", "code": "mm[Hg]"}}, "value-quantity", [("quantity", ("u", "mm[Hg]", 5.0, 5.0)), ("quantity", ("", "mmHg", 5.0, 5.0))]),
    ("Invoice", {"totalNet": {"value": 5, "currency": "EUR"}}, "totalnet", [("quantity", ("urn:iso:std:iso:4217", "EUR", 5.0, 5.0))]),
    ("Condition", {"onsetRange": {"low": {"value": 1, "unit": "a"}}}, "onset-age", [("quantity", ("", "a", 1.0, float("inf")))]),
    ("Observation", {"code": {"text": "free"}}, "code", [("token", (None, None))]),
])  # fmt: skip
def test_a_resource_gives_these_rows(type, made, code, expected):
    found = [(row.table, row.values) for row in rows({"resourceType": type, **made}) if row.parameter == number(type, code)]

    assert found == expected


def test_a_fingerprint_names_the_parameters_and_the_extractor(monkeypatch):
    before = fingerprint("Patient")

    assert before != fingerprint("Task")
    monkeypatch.setattr(index, "EXTRACTOR", index.EXTRACTOR + 1)
    fingerprint.cache_clear()
    assert before != fingerprint("Patient")
    monkeypatch.undo()
    fingerprint.cache_clear()
    assert before == fingerprint("Patient")


def test_a_very_long_text_is_indexed_by_its_beginning():
    row = next(r for r in rows({"resourceType": "Patient", "name": [{"family": "x" * 100_000}]}) if r.table == "string")

    assert [len(value) for value in row.values] == [2048, 2048]
