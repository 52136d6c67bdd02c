"""https://hl7.org/fhir/R4/validation.html, https://hl7.org/fhir/R4/json.html"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.json import loads
from icops_fhir.validator.finding import Finding
from icops_fhir.validator.validate import MOST, validate

PATIENT: dict[str, Any] = {
    "resourceType": "Patient", "id": "p", "meta": {"versionId": "1", "lastUpdated": "2026-03-01T08:00:00.000Z", "tag": [{"system": "urn:x", "code": "y"}]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "CHU"}],
    "extension": [{"url": "urn:e", "valueAddress": {"city": "LYON"}}, {"url": "urn:f", "extension": [{"url": "g", "valueBoolean": True}]}],
    "identifier": [{"use": "official", "system": "urn:oid:1.2.3", "value": "1", "period": {"start": "2020"}}],
    "active": True, "name": [{"use": "official", "family": "A", "given": ["B", None], "_given": [None, {"extension": [{"url": "u", "valueCode": "c"}]}]}],
    "gender": "female", "birthDate": "1980-02-29", "_birthDate": {"extension": [{"url": "u", "valueDateTime": "1980-02-29T08:00:00+01:00"}]},
    "deceasedBoolean": False, "multipleBirthInteger": 2, "maritalStatus": {"coding": [{"code": "M"}], "text": "marié"},
    "photo": [{"contentType": "image/png", "data": "aGVsbG8="}], "contact": [{"relationship": [{"text": "x"}], "telecom": [{"system": "phone", "value": "1", "rank": 1}]}],
    "communication": [{"language": {"text": "fr"}, "preferred": True}], "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}]}

WRONG: dict[str, tuple[Any, str, str]] = {
    "unknown element": (lambda p: p.update(foo=1), "Patient.foo", "icops-unknown-element"),
    "unknown inside": (lambda p: p["name"][0].update(foo=1), "Patient.name[0].foo", "icops-unknown-element"),
    "unknown in a contained resource": (lambda p: p["contained"][0].update(foo=1), "Patient.contained[0].foo", "icops-unknown-element"),
    "code": (lambda p: p.update(gender="x"), "Patient.gender", "icops-binding"),
    "code inside": (lambda p: p["contact"][0]["telecom"][0].update(system="tam-tam"), "Patient.contact[0].telecom[0].system", "icops-binding"),
    "calendar": (lambda p: p.update(birthDate="1981-02-29"), "Patient.birthDate", "icops-calendar"),
    "date": (lambda p: p.update(birthDate="29/02/1980"), "Patient.birthDate", "icops-primitive"),
    "no zone": (lambda p: p["_birthDate"]["extension"][0].update(valueDateTime="1980-02-29T08:00:00"), "Patient._birthDate.extension[0].valueDateTime", "icops-primitive"),
    "text boolean": (lambda p: p.update(active="true"), "Patient.active", "icops-primitive"),
    "number boolean": (lambda p: p.update(active=1), "Patient.active", "icops-primitive"),
    "text integer": (lambda p: p.update(multipleBirthInteger="2"), "Patient.multipleBirthInteger", "icops-primitive"),
    "decimal integer": (lambda p: p.update(multipleBirthInteger=loads("2.0")), "Patient.multipleBirthInteger", "icops-primitive"),
    "zero": (lambda p: p["contact"][0]["telecom"][0].update(rank=0), "Patient.contact[0].telecom[0].rank", "icops-primitive"),
    "list for one": (lambda p: p.update(gender=["female"]), "Patient.gender", "icops-list"),
    "one for list": (lambda p: p.update(name=p["name"][0]), "Patient.name", "icops-list"),
    "empty list": (lambda p: p.update(name=[]), "Patient.name", "icops-empty"),
    "empty object": (lambda p: p["name"].append({}), "Patient.name[1]", "icops-empty"),
    "empty text": (lambda p: p["name"][0].update(family=""), "Patient.name[0].family", "icops-primitive"),
    "blank text": (lambda p: p["name"][0].update(family="  "), "Patient.name[0].family", "icops-primitive"),
    "null": (lambda p: p.update(gender=None), "Patient.gender", "icops-primitive"),
    "null without sibling": (lambda p: p["name"][0]["_given"].pop(), "Patient.name[0].given[1]", "icops-null"),
    "two types": (lambda p: p.update(deceasedDateTime="2020"), "Patient.deceased[x]", "icops-choice"),
    "required": (lambda p: p["communication"][0].pop("language"), "Patient.communication[0].language", "icops-required"),
    "long id": (lambda p: p.update(id="a" * 65), "Patient.id", "icops-primitive"),
    "blank in a uri": (lambda p: p["identifier"][0].update(system="a b"), "Patient.identifier[0].system", "icops-primitive"),
    "base64": (lambda p: p["photo"][0].update(data="aGVsbG8"), "Patient.photo[0].data", "icops-primitive"),
    "narrative": (lambda p: p["text"].update(div="hello"), "Patient.text.div", "icops-narrative"),
    "extension without url": (lambda p: p["extension"][0].pop("url"), "Patient.extension[0].url", "icops-required"),
    "type of nothing": (lambda p: p["contained"][0].update(resourceType="Foo"), "Patient.contained[0]", "icops-unknown-type"),
    "text for an object": (lambda p: p.update(maritalStatus="M"), "Patient.maritalStatus", "icops-object"),
}


def test_a_whole_patient_is_valid() -> None:
    assert validate(PATIENT) == []


@pytest.mark.parametrize("name", WRONG)
def test_each_fault_is_found_alone_at_its_place(name: str) -> None:
    edit, place, rule = WRONG[name]
    edited = copy.deepcopy(PATIENT)
    edit(edited)
    found = validate(edited)

    assert [(issue.expression, issue.rule) for issue in found] == [((place,), rule)]
    assert found[0].french
    assert found[0].severity == "error"


@given(st.lists(st.sampled_from(sorted(WRONG)), unique=True))
def test_faults_add_up_and_none_hides_another_elsewhere(names: list[str]) -> None:
    chosen = {}
    for name in names:
        place = WRONG[name][1]
        if not any(place.startswith(other) or other.startswith(place) for other in chosen.values()):
            chosen[name] = place
    edited = copy.deepcopy(PATIENT)
    applied = []
    for name in chosen:
        try:
            WRONG[name][0](edited)
            applied.append(name)
        except (KeyError, TypeError, AttributeError, IndexError):
            return

    assert sorted(issue.expression[0] for issue in validate(edited)) == sorted(WRONG[name][1] for name in applied)


def test_an_error_never_repeats_the_value() -> None:
    for edit, _, _ in WRONG.values():
        edited = copy.deepcopy(PATIENT)
        edit(edited)
        for member in ("gender", "birthDate"):
            if isinstance(edited.get(member), str):
                edited[member] = "DUPONT-" + edited[member]

        assert "DUPONT" not in str(validate(edited))


def test_numbers_of_any_spelling_are_decimals_and_only_plain_ones_integers() -> None:
    for text in ("1", "1.50", "1e3", "-0", "1" * 30):
        body = loads('{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":' + text + "}}")
        assert validate(body) == []


def test_nested_items_of_a_content_reference_are_checked_too() -> None:
    body: dict[str, Any] = {"resourceType": "Questionnaire", "status": "active", "item": [{"linkId": "1", "type": "group", "item": [{"linkId": "2", "type": "x"}]}]}

    assert [issue.expression[0] for issue in validate(body)] == ["Questionnaire.item[0].item[0].type"]


def test_a_bundle_is_checked_down_to_its_resources_and_issues_have_a_limit() -> None:
    entry = {"resource": {"resourceType": "Patient", "gender": "x"}}
    found = validate({"resourceType": "Bundle", "type": "collection", "entry": [entry] * 500})

    assert len(found) == MOST
    assert found[3].expression == ("Bundle.entry[3].resource.gender",)


def test_what_is_no_resource_is_said_and_never_raises() -> None:
    for wrong in ({}, {"resourceType": 1}, {"resourceType": "HumanName"}, {"resourceType": "Resource"}, [], "x", None):
        assert validate(wrong)  # type: ignore[arg-type]


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["name", "given", "_given", "extension", "url", "valueCode", "coding", "code", "contained", "resourceType", "gender", "foo"]), inner, max_size=4), max_leaves=8)


@given(st.dictionaries(st.sampled_from(["name", "_birthDate", "birthDate", "contained", "extension", "contact", "gender", "text", "id"]), VALUES, max_size=5))
def test_any_json_is_answered_with_issues_and_no_exception(members: dict[str, Any]) -> None:
    for issue in validate({"resourceType": "Patient", **members}):
        assert issue.expression[0].startswith("Patient")


def test_a_valid_resource_makes_no_finding_object(monkeypatch: pytest.MonkeyPatch) -> None:
    validate(PATIENT)
    monkeypatch.setattr("icops_fhir.validator.structure.Finding", None)
    monkeypatch.setattr(Finding, "__new__", None)

    assert validate(PATIENT) == []


def test_the_fhir_files_of_examples_are_valid() -> None:
    folder = Path(__file__).parents[2] / "examples"
    resources = {path: loads(path.read_bytes()) for path in [*folder.glob("*.json"), *folder.glob("pathway/*.json"), *folder.glob("hl7v2/*.json")]}
    fhir = {path: one for path, one in resources.items() if isinstance(one, dict) and "resourceType" in one}

    assert len(fhir) > 100
    assert {path.name: found for path, one in fhir.items() if (found := validate(one))} == {}
