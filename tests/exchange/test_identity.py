"""Whose message it is: by IPP, by a qualified INS with equal strict traits, never by NIR nor by name. PAM-FR §6.6, RNIV 1."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.conftest import House
from exchange.pam import INS_OID, adt, ins, ipp
from icops_fhir.exchange import identity
from icops_fhir.fhir.json import canonical

A, B = "1.2.250.1.999.5", "1.2.250.1.999.6"
INS = "248026938311421"
SYSTEM = f"urn:oid:{INS_OID}"


def person(number: str, oid: str, when: str = "20260301080000", *, event: str = "A28", status: str = "VALI", carried: str = ins(INS), **pid: str) -> bytes:
    return adt(event, when, oid=oid, facility="HOP" if oid == A else "CLI", numbers="~".join(filter(None, (ipp(number, oid), carried))), dossier="",
               pid={"f32": status, **pid})  # fmt: skip


def test_two_hospitals_join_one_patient_by_a_qualified_ins_and_equal_traits(house: House) -> None:
    house.ok(person("P1", A), person("Q1", B))

    patients = house.find("Patient")
    assert len(patients) == 1
    assert {i["value"] for i in patients[0]["identifier"]} == {"P1", "Q1", INS}
    assert house.find("Task") == []


@pytest.mark.parametrize("change", [
    {"f5": "MARTAIN^Odile^Odile Anne^^^^L"}, {"f5": "MARTIN^Odile^Odile^^^^L"}, {"f7": "19480218"}, {"f8": "M"},
    {"f11": "1 rue Haute^^LYON^^69001^FRA^H~^^LYON^^^FRA^BDL^^69384"}, {"f11": "1 rue Haute^^LYON^^69001^FRA^H"},
])  # fmt: skip
def test_one_different_or_missing_trait_keeps_two_patients_and_asks_a_person(house: House, change: dict[str, str]) -> None:
    house.ok(person("P1", A), person("Q1", B, **change), person("Q1", B, "20260302080000", event="A31", **change))

    assert len(house.find("Patient")) == 2
    assert [t["code"]["coding"][0]["code"] for t in house.find("Task")] == ["ins-traits-differ"]


@pytest.mark.parametrize("carried", [f"{INS}^^^ASIP-SANTE-INS-NIR&{INS_OID}&ISO^NH", ""])
def test_neither_the_nir_nor_the_name_joins(house: House, carried: str) -> None:
    house.ok(person("P1", A, carried=carried), person("Q1", B, carried=carried))

    assert len(house.find("Patient")) == 2
    assert house.find("Task") == []


@pytest.mark.parametrize("first", ["PROV", "", "VIDE", "DOUB~VALI"])
def test_an_ins_that_is_not_qualified_is_withheld_everywhere(house: House, first: str) -> None:
    house.ok(person("P1", A, status=first), person("Q1", B, status=first))

    assert len(house.find("Patient")) == 2
    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []
    assert all(INS not in canonical(p).decode() for p in house.find("Patient"))


def test_an_ins_no_longer_qualified_leaves_the_patient_unless_another_hospital_still_qualifies_it(house: House) -> None:
    house.ok(person("P1", A), person("P1", A, "20260302080000", event="A31", status="PROV"))
    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []

    house.ok(person("P1", A, "20260303080000", event="A31"), person("Q1", B, "20260304080000"), person("P1", A, "20260305080000", event="A31", status="PROV"))
    assert len(house.find("Patient", identifier=f"{SYSTEM}|{INS}")) == 1


def test_a_message_that_says_nothing_of_the_status_neither_brings_nor_takes_an_ins(house: House) -> None:
    house.ok(person("P1", A), person("P1", A, "20260302080000", event="A31", status="", carried=""))
    assert len(house.find("Patient", identifier=f"{SYSTEM}|{INS}")) == 1

    house.ok(person("P2", A, status=""))
    assert INS not in canonical(house.patient("P2")).decode()


@pytest.mark.parametrize("turn", [1, -1])
def test_an_identifier_left_out_by_a_newer_message_is_still_taken_from_an_older_one(house: House, turn: int) -> None:
    house.ok(*[person("P1", A), person("P1", A, "20260302080000", event="A31", carried="")][::turn])

    assert len(house.find("Patient", identifier=f"{SYSTEM}|{INS}")) == 1


@pytest.mark.parametrize("turn", [1, -1])
def test_an_older_qualified_message_does_not_bring_back_an_ins_that_lost_its_status(house: House, turn: int) -> None:
    house.ok(*[person("P1", A), person("P1", A, "20260302080000", event="A31", status="PROV")][::turn])

    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []


def test_two_files_of_one_hospital_with_one_ins_stay_apart_with_a_task(house: House) -> None:
    house.ok(person("P1", A), person("P2", A))

    assert len(house.find("Patient")) == 2
    assert house.find("Task")[0]["code"]["coding"][0]["code"] == "ins-twice-in-one-hospital"


def test_a_file_that_becomes_qualified_later_joins_the_one_that_holds_the_ins(house: House) -> None:
    house.ok(person("P1", A, status="PROV"), person("Q1", B, "20260302080000"), person("P1", A, "20260303080000", event="A31"))

    active = [p for p in house.find("Patient") if p["active"]]
    assert len(active) == 1
    assert {"P1", "Q1", INS} <= {i["value"] for i in active[0]["identifier"]}
    ended = next(p for p in house.find("Patient") if not p["active"])
    assert ended["link"][0] == {"other": {"reference": f"Patient/{active[0]['id']}"}, "type": "replaced-by"}


def test_any_order_of_two_qualified_hospitals_gives_one_patient() -> None:
    messages = [person("P1", A), person("Q1", B, "20260302080000"), person("P1", A, "20260303080000", event="A31", f13="^PRN^PH^^^^^^^^^0102030405")]
    seen = []
    for order in itertools.permutations(messages):
        house = House()
        house.ok(*order)
        patients = house.find("Patient")
        assert len(patients) == 1
        seen.append(sorted(canonical(x) for x in [*patients[0]["identifier"], *patients[0]["telecom"]]))
        house.store.close()

    assert all(one == seen[0] for one in seen)


def test_a_temporary_ins_ends_when_the_definitive_one_comes(house: House) -> None:
    nia, nir = "999990000000194^^^ASIP-SANTE-INS-NIA&1.2.250.1.213.1.4.9&ISO^INS", "248026938311421^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.8&ISO^INS"
    house.ok(person("P1", A, carried=nia), person("P1", A, "20260302080000", event="A31", carried=f"{nia}~{nir}"))

    assert [i["value"] for i in house.patient()["identifier"] if identity.is_ins(i)] == ["248026938311421"]


def test_another_ins_without_a47_is_not_taken_and_a_person_looks(house: House) -> None:
    house.ok(person("P1", A), person("P1", A, "20260302080000", event="A31", carried=ins("155119934102721")))

    assert INS in {i["value"] for i in house.patient()["identifier"]}
    assert "155119934102721" not in canonical(house.find("Patient")).decode()
    assert house.find("Task")[0]["code"]["coding"][0]["code"] == "ins-conflict"


def test_a_number_another_hospital_only_mentions_does_not_join(house: House) -> None:
    house.ok(person("P1", A, carried=ipp("Q1", B)), person("Q1", B, carried=""))

    assert len(house.find("Patient")) == 2


def test_a_patient_made_in_fhir_is_found_by_its_number(house: House) -> None:
    made = house.put({"resourceType": "Patient", "active": True, "telecom": [{"system": "phone", "value": "0601020304"}],
                      "identifier": [{"system": f"urn:oid:{A}", "value": "P1", "type": {"coding": [{"system": identity.V2_0203, "code": "PI"}]}}]})  # fmt: skip
    house.ok(adt("A31"))

    assert house.patient()["id"] == made["id"]
    assert house.patient()["telecom"] == [{"system": "phone", "value": "0601020304"}]


def test_numbers_without_an_authority_are_their_senders_own(house: House) -> None:
    house.ok(adt("A28", numbers="77^^^^PI"), adt("A28", numbers="77^^^^PI", facility="OTHER"), adt("A31", "20260302080000", numbers="77^^^^PI"))

    assert len(house.find("Patient")) == 2


identifiers = st.lists(st.builds(
    lambda system, value, code: {"system": system, "value": value, "type": {"coding": [{"code": code}]}},
    st.sampled_from((SYSTEM, f"urn:oid:{A}", f"urn:oid:{B}")), st.sampled_from("123"), st.sampled_from(("INS", "NH", "PI")),
), max_size=4)  # fmt: skip
patients = st.builds(lambda id_, ids, born: {"id": id_, "identifier": ids, "birthDate": born}, st.sampled_from("xyz"), identifiers, st.sampled_from(("1950", "1951")))


@given(patients, st.none() | patients, st.lists(patients, max_size=3))
def test_no_join_without_equal_and_complete_traits(incoming: Any, by_number: Any, by_ins: list[Any]) -> None:
    choice = identity.decide(incoming, by_number, by_ins, "S")

    assert choice.joined == ""
    assert choice.patient in ("", by_number["id"] if by_number else "")


@given(patients)
def test_an_unqualified_patient_holds_no_ins_and_loses_nothing_else(patient: Any) -> None:
    out = identity.unqualified(patient)

    assert identity.ins(out) == []
    assert [i for i in patient["identifier"] if not identity.is_ins(i)] == out.get("identifier", [])
