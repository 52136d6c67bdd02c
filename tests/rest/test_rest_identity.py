"""Strict traits of an identity qualified by its INS: RNIV 1 §3, PAM-FR §6.6"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_kit import Web, patient, rule

from icops_fhir.validator.identity_traits import BIRTH_PLACE, changed, qualified, restored

FR = "https://hl7.fr/ig/fhir/core/StructureDefinition/"
INS = {"system": "urn:oid:1.2.250.1.213.1.4.8", "value": "248026938311421", "type": {"coding": [{"code": "INS"}]}}
NIR = {"system": "urn:oid:1.2.250.1.213.1.4.8", "value": "248026938311421", "type": {"coding": [{"code": "NH"}]}}
IPP = {"system": "urn:oid:1.2.3", "value": "42", "type": {"coding": [{"code": "PI"}]}}


def person(status: str = "VALI", **members: Any) -> dict[str, Any]:
    return patient(**{
        "id": "p", "identifier": [IPP, INS],
        "name": [
            {"use": "official", "family": "LEMOINE", "given": ["ODILE"], "extension": [{"url": f"{FR}fr-core-patient-birth-list-given-name", "valueString": "ODILE MARIE"}]},
            {"use": "usual", "family": "CARPENTIER"}],
        "birthDate": "1948-02-11", "gender": "female", "telecom": [{"system": "phone", "value": "0300000000"}],
        "extension": [
            {"url": BIRTH_PLACE, "valueAddress": {"city": "LYON", "district": "69381"}},
            {"url": f"{FR}fr-core-identity-reliability", "extension": [{"url": "identityStatus", "valueCoding": {"code": status}}]}],
        **members})


EDITS: dict[str, Any] = {
    "family": lambda p: p["name"][0].update(family="AUTRE"),
    "given": lambda p: p["name"][0].update(given=["ODETTE"]),
    "no official name": lambda p: p["name"].pop(0),
    "birth given names": lambda p: p["name"][0]["extension"][0].update(valueString="ODETTE"),
    "birth date": lambda p: p.update(birthDate="1948-02-12"),
    "no birth date": lambda p: p.pop("birthDate"),
    "gender": lambda p: p.update(gender="male"),
    "birth place": lambda p: p["extension"][0]["valueAddress"].update(district="75056"),
    "birth town": lambda p: p["extension"][0]["valueAddress"].update(city="PARIS"),
    "INS": lambda p: p["identifier"][1].update(value="148026938311421"),
    "no INS": lambda p: p["identifier"].pop(1),
    "second INS": lambda p: p["identifier"].append({**INS, "system": "urn:oid:1.2.250.1.213.1.4.9"}),
    "reliability": lambda p: p["extension"][1]["extension"][0]["valueCoding"].update(code="PROV"),
}
HARMLESS: dict[str, Any] = {
    "phone": lambda p: p["telecom"][0].update(value="0600000000"),
    "usual name": lambda p: p["name"][1].update(family="AUTRE"),
    "address": lambda p: p.update(address=[{"city": "LILLE"}]),
    "IPP": lambda p: p["identifier"].append({**IPP, "value": "43"}),
    "order": lambda p: p["identifier"].reverse(),
    "no extensions": lambda p: (p.pop("extension"), p["name"][0].pop("extension")),
    "birth place without its code": lambda p: p["extension"][0]["valueAddress"].pop("district"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_strict_trait_of_a_qualified_identity_is_not_changed_by_a_client(web: Web, name: str) -> None:
    web.put("Patient/p", person())
    edited = copy.deepcopy(person())
    EDITS[name](edited)
    before = web.get("Patient/p").content
    alone, inside = web.put("Patient/p", edited), web.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": patient(id="other"), "request": {"method": "PUT", "url": "Patient/other"}},
        {"resource": edited, "request": {"method": "PUT", "url": "Patient/p"}}]})
    tasks = web.get("Task?patient=Patient/p").json()

    assert (alone.status_code, rule(alone)) == (422, "icops-ins-strict-trait")
    assert (inside.status_code, inside.json()["issue"][0]["expression"][0][:15]) == (422, "Bundle.entry[1]")
    assert web.get("Patient/p").content == before
    assert web.get("Patient/other").status_code == 404
    assert len(tasks["entry"]) == 1
    assert tasks["entry"][0]["resource"]["performerType"][0]["text"] == "Cellule d'identitovigilance"
    assert "148026938311421" not in str(tasks)


@pytest.mark.parametrize("name", HARMLESS)
def test_everything_else_is_changed_and_traits_left_out_with_their_extension_stay(web: Web, name: str) -> None:
    web.put("Patient/p", person())
    edited = copy.deepcopy(person())
    HARMLESS[name](edited)
    response = web.put("Patient/p", edited)

    assert response.status_code == 200
    assert qualified(web.get("Patient/p").json())
    assert changed(person(), web.get("Patient/p").json()) == []
    assert "69381" in web.get("Patient/p").text
    assert "entry" not in web.get("Task").json()


def test_deleting_and_creating_again_is_no_way_round(web: Web) -> None:
    web.put("Patient/p", person())
    web.delete("Patient/p")

    assert web.put("Patient/p", person(gender="male")).status_code == 422
    assert web.put("Patient/p", person()).status_code == 201


def test_an_identity_that_is_not_qualified_is_free(web: Web) -> None:
    for number, body in enumerate((person("PROV"), person(identifier=[IPP, NIR]), {name: value for name, value in person().items() if name != "extension"})):
        web.put("Patient/p", body)

        assert web.put("Patient/p", {**body, "birthDate": f"1950-01-0{number + 1}"}).status_code == 200


APART = sorted(EDITS.keys() - {"no official name", "no INS", "no birth date"})      # each touches a place of its own


@given(st.sets(st.sampled_from(APART)), st.sets(st.sampled_from(sorted(HARMLESS.keys() - {"no extensions", "birth place without its code"}))))
def test_an_edit_is_refused_exactly_when_it_touches_a_trait(traits: set[str], harmless: set[str]) -> None:
    edited = copy.deepcopy(person())
    for edit in [EDITS[name] for name in sorted(traits)] + [HARMLESS[name] for name in sorted(harmless)]:
        edit(edited)

    assert bool(changed(person(), edited)) == bool(traits)
    assert restored(person(), edited) == edited
