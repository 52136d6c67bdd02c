"""FHIRPath. http://hl7.org/fhirpath/N1/"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.packages import definitions
from icops_fhir.fhir.path import compile, elements

PATIENT = {
    "resourceType": "Patient", "active": True, "deceasedBoolean": False, "birthDate": "1979-03-28", "multipleBirthInteger": 2,
    "name": [{"use": "official", "family": "Durand", "given": ["Jo", None, "Al"]}, {"use": "usual", "given": ["Jojo"]}],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "x"}],
    "managingOrganization": {"reference": "Organization/2"}, "extension": [{"url": "u", "valueString": "e"}],
    "contained": [{"resourceType": "Organization", "name": "inner"}],
}  # fmt: skip
OBSERVATION = {
    "resourceType": "Observation", "valueQuantity": {"value": 5, "unit": "mg"}, "subject": {"reference": "http://x/fhir/Patient/1"},
    "component": [{"valueCodeableConcept": {"text": "a"}}, {"valueString": "b"}],
}  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), [
    ("Patient.name.given", ["Jo", "Al", "Jojo"]),
    ("name.where(use = 'usual').given", ["Jojo"]),
    ("Patient.name.where(use='none')", []),
    ("Patient.name[0].family", ["Durand"]),
    ("Patient.name[7].family", []),
    ("Patient.deceased.exists() and Patient.deceased != false", [False]),
    ("Patient.deceased is boolean", [True]),
    ("(Patient.multipleBirth as integer)", [2]),
    ("Patient.multipleBirth.as(boolean)", []),
    ("Patient.multipleBirth.ofType(integer) + 1", [3]),
    ("Patient.telecom.where(system='phone').value | Patient.telecom.where(system='email').value", ["1", "x"]),
    ("Patient.name.given | Patient.name.given", ["Jo", "Al", "Jojo"]),
    ("Practitioner.name", []),
    ("Resource.active", [True]),
    ("Patient.managingOrganization.where(resolve() is Organization).reference", ["Organization/2"]),
    ("Patient.managingOrganization.where(resolve() is Patient)", []),
    ("Patient.extension('u').value", ["e"]),
    ("Patient.where(extension('v').exists())", []),
    ("Patient.contained.name", ["inner"]),
    ("Patient.contained.where($this is Organization).exists()", [True]),
    ("Patient.photo.empty()", [True]),
    ("Patient.name.count() > 1 and name.given.count() = 3", [True]),
    ("Patient.name.select(given.first())", ["Jo", "Jojo"]),
    ("Patient.name.all(given.exists())", [True]),
    ("Patient.birthDate.startsWith('1979') xor false", [True]),
    ("Patient.photo.title = 'x'", []),
    ("Patient.photo.title = 'x' or true", [True]),
    ("Patient.photo.title = 'x' implies false", []),
    ("'Al' in Patient.name.given", [True]),
    ("Patient.name.given contains 'Bo'", [False]),
    ("%resource.active", [True]),
    ("(1 + 2) * 3 - -1", [10]),
    ("1.0 = 1 and true != 1", [True]),
    ("'a' & 'b\\'c'", ["ab'c"]),
    ("{}", []),
    ("Patient.`name`.family // who", ["Durand"]),
])  # fmt: skip
def test_an_expression_gives_these_items(expression, expected):
    assert expected == compile(expression, "Patient")(PATIENT)


@pytest.mark.parametrize(("expression", "expected"), [
    ("(Observation.value as Quantity).unit", ["mg"]),
    ("Observation.value.as(CodeableConcept)", []),
    ("Observation.component.value", [{"text": "a"}, "b"]),
    ("Observation.component.value.ofType(CodeableConcept).text", ["a"]),
    ("Observation.subject.where(resolve() is Patient).reference", ["http://x/fhir/Patient/1"]),
])  # fmt: skip
def test_choices_are_found_with_and_without_knowing_the_type(expression, expected):
    assert expected == compile(expression, "Observation")(OBSERVATION)
    assert expected == compile(expression)(OBSERVATION)


@pytest.mark.parametrize(("expression", "said"), [
    ("Patient.name.frobnicate()", "frobnicate()"), ("Patient.", "the end"), ("Patient.name)", "')'"), ("Nonsense.name", "Nonsense"),
    ("Patient ? name", "'?'"), ("%vs.name", "%vs"), ("name[0", "']'"), ("", "end"), ("a div b", "div"),
])  # fmt: skip
def test_an_expression_we_cannot_do_is_refused_saying_what(expression, said):
    with pytest.raises(FhirError) as caught:
        compile(expression, "Patient")

    assert said in caught.value.issues[0].diagnostics
    assert said in caught.value.issues[0].french


def test_every_search_parameter_expression_of_r4_compiles_on_every_type_it_is_for():
    refused = []
    compiled = 0
    for type in definitions().types():
        for base in elements.ancestors(type):
            for parameter in definitions().search_parameters(base):
                if expression := parameter.get("expression"):
                    try:
                        compile(expression, type)
                        compiled += 1
                    except FhirError as error:
                        refused.append((type, parameter["code"], str(error)))

    assert refused == []
    assert compiled > 2500


shapes = st.recursive(st.sampled_from(["a", 1, True, None, {"reference": "x"}]), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["name", "given", "value", "valueQuantity", "system"]), inner, max_size=3)), max_leaves=8)


@given(st.dictionaries(st.sampled_from(["name", "telecom", "active", "deceasedBoolean", "extension", "contained", "managingOrganization"]), shapes))
def test_no_shape_of_a_resource_makes_an_expression_fail(members):
    for expression in ("Patient.name.given", "Patient.telecom.where(system='phone')", "Patient.deceased != false", "Patient.extension('u').value",
                       "Patient.contained.name", "Patient.managingOrganization.where(resolve() is Organization)"):
        assert isinstance(compile(expression, "Patient")({"resourceType": "Patient", **members}), list)
