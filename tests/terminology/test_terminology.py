"""Value sets, code systems and concept maps of the definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.packages import definitions
from icops_fhir.terminology import codesystem, conceptmap, valueset

HL7 = "http://hl7.org/fhir/ValueSet/"
V3 = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@pytest.mark.parametrize(("url", "system", "code", "expected"), [
    (f"{HL7}administrative-gender", "http://hl7.org/fhir/administrative-gender", "male", True),
    (f"{HL7}administrative-gender|4.0.1", None, "male", True),
    (f"{HL7}administrative-gender", None, "xyz", False),
    (f"{HL7}administrative-gender", "http://elsewhere", "male", False),
    (f"{HL7}task-status", None, "in-progress", True),
    (f"{HL7}mimetypes", None, "text/plain", None),  # a grammar, not a list
    (f"{HL7}observation-codes", "http://loinc.org", "8480-6", None),  # LOINC is not held here
    ("http://unknown", None, "x", None),
    ("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", V3, "IMP", True),  # by descent in the code system
    ("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", V3, "CHAR", False),
    ("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", V3, "_ActEncounterCode", False),  # descendent-of: not itself
    (f"{HL7}condition-clinical", "http://terminology.hl7.org/CodeSystem/condition-clinical", "recurrence", True),  # a nested concept
])  # fmt: skip
def test_a_code_is_in_a_value_set_or_not_or_it_cannot_be_told(url, system, code, expected):
    assert valueset.contains(url, system, code) is expected


def test_nearly_every_required_binding_of_r4_can_be_checked_here():
    urls = {
        binding["valueSet"].partition("|")[0]
        for url in definitions().urls("StructureDefinition") for element in (definitions().structure(url) or {}).get("snapshot", {}).get("element", ())
        if (binding := element.get("binding", {})).get("strength") == "required" and "valueSet" in binding
    }  # fmt: skip
    untold = {url.rpartition("/")[2] for url in urls if valueset.codes(url) is None}

    assert len(urls) > 250
    # defined by a grammar or by someone else's list: media types, units, currencies, time zones; one LOINC answer list
    assert untold == {"mimetypes", "ucum-units", "currencies", "timezones", "LL379-9"}


@given(st.sampled_from(definitions().urls("ValueSet")))
def test_membership_agrees_with_the_listed_codes(url):
    listed = valueset.codes(url)
    for code in (listed or ())[:50]:
        assert valueset.contains(url, None, code) is True
    if listed is not None:
        assert valueset.contains(url, None, "no such code") is False
        assert valueset.contains(url, "http://elsewhere", "no such code") is False


def test_a_bare_code_has_the_system_of_its_binding():
    assert valueset.implied_system(f"{HL7}administrative-gender", "male") == "http://hl7.org/fhir/administrative-gender"
    assert valueset.implied_system(f"{HL7}administrative-gender", "xyz") is None


def test_the_codes_below_a_code_are_found_at_any_depth():
    below = codesystem.under(V3, "_ActEncounterCode")

    assert below is not None
    assert {"_ActEncounterCode", "IMP", "ACUTE"} <= below
    assert codesystem.under("http://loinc.org", "8480-6") is None
    assert codesystem.displays("http://hl7.org/fhir/administrative-gender")["male"] == "Male"


MAP = {
    "resourceType": "ConceptMap",
    "group": [
        {"source": "urn:v2", "target": "urn:fhir", "element": [
            {"code": "A", "target": [{"code": "other", "equivalence": "wider"}]}, {"code": "O", "target": [{"code": "other", "equivalence": "equivalent"}]},
            {"code": "M", "target": [{"code": "male", "display": "Male", "equivalence": "equivalent"}]}, {"code": "N", "target": [{"equivalence": "unmatched"}]},
        ]},
        {"source": "urn:v3", "target": "urn:fhir", "element": [], "unmapped": {"mode": "fixed", "code": "unknown"}},
    ],
}  # fmt: skip


def test_a_concept_map_reads_both_ways_and_back_gives_the_first_of_several():
    tables = conceptmap.read(MAP)

    assert tables.forward[("urn:v2", "M")] == conceptmap.Code("urn:fhir", "male", "Male")
    assert tables.back[("urn:fhir", "other")] == conceptmap.Code("urn:v2", "A")
    assert ("urn:v2", "N") not in tables.forward
    assert tables.unmapped["urn:v3"].code == "unknown"


@given(st.sampled_from(definitions().urls("ConceptMap")))
def test_going_there_back_and_there_again_stays(url):
    tables = conceptmap.table(url)
    for target, source in tables.back.items():
        assert (source.system, source.code) in tables.forward
        assert tables.back[target] == source


def test_a_concept_map_that_is_not_there_says_where_to_put_it():
    with pytest.raises(FhirError, match="profiles/concept-maps"):
        conceptmap.translate("http://none", "s", "c")
