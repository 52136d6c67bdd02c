"""A40, A44, A47, A24 and A37: two files of one patient, a dossier of another, an identifier that changes. PAM-FR §4.4."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from exchange.conftest import House
from exchange.pam import INS_OID, OID, adt, ins, ipp
from icops_fhir.exchange import keys
from icops_fhir.fhir.json import canonical
from icops_fhir.store.engine import prepare

INS = "248026938311421"
SYSTEM = f"urn:oid:{INS_OID}"


def mrg(number: str, dossier: str = "") -> tuple[str, ...]:
    return (f"MRG|{number}||{dossier}",)


def a40(into: str, gone: str, when: str = "20260310080000", **more: Any) -> bytes:
    return adt("A40", when, patient=into, dossier="", before=mrg(ipp(gone)), **more)


def everyone(house: House) -> dict[str, dict[str, Any]]:
    return {i["value"]: p for p in house.find("Patient") for i in p.get("identifier", ()) if i.get("use") != "old"}


def test_a_merge_ends_one_file_and_everything_follows(house: House) -> None:
    house.ok(adt("A28", patient="P1"), adt("A01", patient="P2", zbe="M1", extra=("DG1|1||I50.0^Insuffisance^CIM10",)))
    old = f"Patient/{everyone(house)['P2']['id']}"
    task = house.put({"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": old}})
    plan = house.put({"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"reference": old}})

    house.ok(a40("P1", "P2"))

    found = everyone(house)
    new = f"Patient/{found['P1']['id']}"
    assert (found["P2"]["active"], found["P2"]["link"]) == (False, [{"other": {"reference": new}, "type": "replaced-by"}])
    assert found["P1"]["link"] == [{"other": {"reference": old}, "type": "replaces"}]
    assert [i["value"] for i in found["P1"]["identifier"] if i.get("use") == "old"] == ["P2"]
    assert house.get(f"Task/{task['id']}")["for"]["reference"] == new
    assert house.get(f"CarePlan/{plan['id']}")["subject"]["reference"] == new
    assert {e["subject"]["reference"] for e in house.find("Encounter")} == {new}
    assert house.find("Condition")[0]["subject"]["reference"] == new
    house.ok(adt("A02", "20260311080000", patient="P2", zbe="M2"))
    assert {e["subject"]["reference"] for e in house.find("Encounter")} == {new}


def test_a_merge_is_followed_by_all_there_is(house: House) -> None:
    house.ok(adt("A28", patient="P1"), adt("A28", patient="P2"))
    old, new = (f"Patient/{everyone(house)[n]['id']}" for n in ("P2", "P1"))
    tasks = [prepare({"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": old}}) for _ in range(1100)]
    house.store.submit(lambda tx: [tx.write(task) for task in tasks]).result()

    house.ok(a40("P1", "P2"))

    assert house.find("Task", subject=old) == []
    assert len(house.find("Task", subject=new)) == 500


def test_a_merge_said_twice_reversed_or_with_oneself_changes_nothing_more(house: House) -> None:
    house.ok(adt("A28", patient="P1"), adt("A28", patient="P2"), a40("P1", "P2"))
    before = {i: (p["active"], p["link"]) for i, p in everyone(house).items()}

    house.ok(a40("P1", "P2", "20260311080000"))
    for message in (a40("P2", "P1", "20260312080000"), a40("P1", "P1", "20260313080000")):
        answer = house.send(message)
        assert answer.code == "AA"
        assert b"icops-merge-refused" in answer.body
    assert {i: (p["active"], p["link"]) for i, p in everyone(house).items()} == before


def test_a_chain_of_merges_ends_at_the_last_survivor(house: House) -> None:
    house.ok(*[adt("A28", patient=n) for n in ("P1", "P2", "P3")], a40("P2", "P1", "20260310080000"), a40("P3", "P2", "20260311080000"))
    house.ok(adt("A01", "20260312080000", patient="P1", zbe="M1"))

    assert house.venue()["subject"]["reference"] == f"Patient/{everyone(house)['P3']['id']}"


def test_two_merges_in_one_message(house: House) -> None:
    pid = f"PID|2||{ipp('P1')}||MARTIN^Odile^^^^^L"
    house.ok(*[adt("A28", patient=n) for n in ("P1", "P2", "P3")],
             adt("A40", "20260310080000", patient="P1", dossier="", before=(*mrg(ipp("P2")), pid, *mrg(ipp("P3")))))  # fmt: skip

    assert {n: p["active"] for n, p in everyone(house).items()} == {"P1": True, "P2": False, "P3": False}


def test_a_merge_that_comes_first_waits_in_a_stub_and_any_order_ends_the_same() -> None:
    messages = [adt("A28", "20260301080000", patient="P2", pid={"f13": "^PRN^PH^^^^^^^^^0102030405"}), adt("A28", "20260302080000", patient="P1"),
                a40("P1", "P2"), adt("A01", "20260303080000", patient="P2", zbe="M1")]  # fmt: skip
    seen = []
    for order in itertools.permutations(messages):
        house = House()
        house.ok(*order)
        found = everyone(house)
        seen.append(({n: (p["active"], [(k["type"], k["other"]["reference"] == f"Patient/{found['P1']['id']}") for k in p["link"]], p.get("telecom")) for n, p in found.items()},
                     house.venue()["subject"]["reference"] == f"Patient/{found['P1']['id']}"))  # fmt: skip
        house.store.close()

    assert all(one == seen[0] for one in seen)
    assert seen[0][1]


def a44(into: str, source: str, dossier: str = "D1", when: str = "20260310080000") -> bytes:
    return adt("A44", when, patient=into, dossier=dossier, before=mrg(ipp(source), f"{dossier}^^^HOP&{OID}&ISO^AN"))


def test_a44_moves_the_dossier_with_its_encounters_and_tasks_and_nothing_else(house: House) -> None:
    house.ok(adt("A28", patient="P2"), adt("A01", patient="P1", zbe="M1"), adt("A01", patient="P1", zbe="M2", venue="V2", dossier="D2"))
    source, into = (f"Patient/{everyone(house)[n]['id']}" for n in ("P1", "P2"))
    moved, kept = (house.put({"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": source},
                              "encounter": {"reference": f"Encounter/{house.venue(v)['id']}"}}) for v in ("V1", "V2"))  # fmt: skip

    house.ok(a44("P2", "P1"), adt("A02", "20260311080000", patient="P2", zbe="M3"))

    assert house.venue("V1")["subject"]["reference"] == into
    assert house.venue("V2")["subject"]["reference"] == source
    assert house.get(f"Task/{moved['id']}")["for"]["reference"] == into
    assert house.get(f"Task/{kept['id']}")["for"]["reference"] == source
    assert {m["identifier"][0]["value"]: m["subject"]["reference"] for m in house.movements()} == {"M1": into, "M2": source, "M3": into}
    assert {a["identifier"][0]["value"]: a["subject"][0]["reference"] for a in house.find("Account")} == {"D1": into, "D2": source}


def test_a44_before_the_stay_it_moves(house: House) -> None:
    house.ok(a44("P2", "P1"), adt("A01", "20260301080000", patient="P1", zbe="M1", extra=("DG1|1||I50.0^Insuffisance^CIM10", "AL1|1|DA|^Pénicilline")))

    found = {n: f"Patient/{p['id']}" for n, p in everyone(house).items()}
    assert house.venue()["subject"]["reference"] == found["P2"]
    assert house.find("Condition")[0]["subject"]["reference"] == found["P2"]
    assert house.find("AllergyIntolerance")[0]["patient"]["reference"] == found["P1"]


def test_a47_changes_a_number_and_late_messages_still_find_their_patient(house: House) -> None:
    house.ok(adt("A28", patient="OLD"), adt("A47", "20260310080000", patient="NEW", dossier="", before=mrg(ipp("OLD"))))

    assert len(house.find("Patient")) == 1
    assert {i["value"]: i.get("use") for i in house.patient("NEW")["identifier"]} == {"OLD": "old", "NEW": None}
    house.ok(adt("A31", "20260305080000", patient="OLD", pid={"f16": "M"}), adt("A31", "20260311080000", patient="NEW"))
    assert len(house.find("Patient")) == 1
    assert {i["value"]: i.get("use") for i in house.patient("NEW")["identifier"]} == {"OLD": "old", "NEW": None}


def test_a_number_changed_back_is_in_use_again(house: House) -> None:
    house.ok(adt("A28", patient="OLD"), adt("A47", "20260310080000", patient="NEW", dossier="", before=mrg(ipp("OLD"))))
    house.ok(adt("A47", "20260311080000", patient="OLD", dossier="", before=mrg(ipp("NEW"))))

    assert {i["value"]: i.get("use") for i in house.patient("OLD")["identifier"]} == {"OLD": None, "NEW": "old"}


def qualified(number: str = "P1", when: str = "20260301080000", event: str = "A28", **more: Any) -> bytes:
    return adt(event, when, numbers=f"{ipp(number)}~{ins(INS)}", dossier="", pid={"f32": "VALI"}, **more)


def withdrawal(status: str = "VALI", when: str = "20260310080000") -> bytes:
    return adt("A47", when, numbers=ins('""'), dossier="", pid={"f32": status}, before=mrg(ins(INS)))


@pytest.mark.parametrize("status", ["VALI", "PROV"])
def test_a_withdrawn_or_downgraded_ins_is_nowhere_current(house: House, status: str) -> None:
    house.ok(qualified())
    reference = f"Patient/{house.patient()['id']}"
    doctor = house.put({"resourceType": "Practitioner", "name": [{"family": "Blanc"}]})
    house.put({"resourceType": "CareTeam", "status": "active", "subject": {"reference": reference}, "participant": [{"member": {"reference": f"Practitioner/{doctor['id']}"}}]})

    house.ok(withdrawal(status))

    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []
    assert INS not in canonical(house.patient()).decode()
    snapshots = house.store.view(lambda r: [*r.records(keys.FEED), *r.records(keys.TRANSLATION, owner=keys.feed("GAM^HOP", reference))])
    assert [s.key for s in snapshots if INS.encode() in s.body and b'"A47"' not in s.body] == []
    task = house.find("Task")[0]
    assert task["code"]["coding"][0]["code"] == "ins-withdrawn"
    assert [i["valueReference"]["reference"] for i in task["input"]] == [f"Practitioner/{doctor['id']}"]
    assert INS not in canonical(task).decode()
    assert ('"PROV"' in canonical(house.patient()).decode()) == (status == "PROV")


def test_no_filing_by_a_withdrawn_ins_and_older_messages_do_not_bring_it_back(house: House) -> None:
    house.ok(qualified(), withdrawal(), qualified("P1", "20260305080000", "A31"))
    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []

    house.ok(adt("A28", "20260311080000", numbers=f"{ipp('Q1', '1.2.250.1.999.6')}~{ins(INS)}", facility="CLI", pid={"f32": "VALI"}))
    assert len(house.find("Patient")) == 2
    house.ok(qualified("P1", "20260312080000", "A31"))
    assert {i["value"] for i in house.patient()["identifier"]} >= {"P1", INS}


def test_an_ins_that_lost_its_status_first_is_still_purged_by_its_withdrawal(house: House) -> None:
    house.ok(qualified(), adt("A31", "20260302080000", pid={"f32": "PROV"}), withdrawal())

    assert len(house.find("Patient")) == 1
    reference = f"Patient/{house.patient()['id']}"
    kept = house.store.view(lambda r: r.records(keys.TRANSLATION, owner=keys.feed("GAM^HOP", reference)))
    assert [k.key for k in kept if INS.encode() in k.body and b'"A47"' not in k.body] == []
    assert [t["code"]["coding"][0]["code"] for t in house.find("Task")] == ["ins-withdrawn"]


def test_a_withdrawal_that_comes_before_what_it_withdraws(house: House) -> None:
    house.ok(withdrawal(), qualified())

    assert len(house.find("Patient")) == 1
    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []


def test_a47_changes_an_ins(house: House) -> None:
    house.ok(qualified(), adt("A47", "20260310080000", numbers=ins("148026938311499"), dossier="", pid={"f8": "M", "f32": "VALI"}, before=mrg(ins(INS))))

    assert {i["value"] for i in house.patient()["identifier"]} == {"P1", "148026938311499"}
    assert house.patient()["gender"] == "male"


def test_a_regional_number_is_withdrawn_and_the_rest_stays(house: House) -> None:
    rri = "RRI-1^^^DAC&1.2.250.1.999.7&ISO^RRI"
    house.ok(adt("A28", numbers=f"{ipp('P1')}~{rri}"), adt("A47", "20260310080000", numbers=rri.replace("RRI-1", '""'), dossier="", before=mrg(rri)))

    assert {i["value"] for i in house.patient()["identifier"]} == {"P1"}


def test_the_nir_of_the_same_digits_outlives_the_withdrawn_ins(house: House) -> None:
    nir = f"{INS}^^^ASIP-SANTE-INS-NIR&{INS_OID}&ISO^NH"
    house.ok(adt("A28", numbers=f"{ipp('P1')}~{ins(INS)}~{nir}", pid={"f32": "VALI"}), withdrawal())

    assert [i["type"]["coding"][0]["code"] for i in house.patient()["identifier"]] == ["PI", "NH"]


def test_an_a47_about_nobody_we_know_changes_nothing(house: House) -> None:
    house.ok(withdrawal())

    assert house.find("Patient") == []


def test_a24_links_two_files_and_a37_unlinks_them(house: House) -> None:
    second = f"PID|2||{ipp('P2')}||MARTIN^Odile^^^^^L"
    house.ok(adt("A28", patient="P1"), adt("A28", patient="P2"), adt("A24", "20260310080000", patient="P1", extra=(second,)))
    assert [p["link"][0]["type"] for p in house.find("Patient")] == ["seealso", "seealso"]

    house.ok(adt("A37", "20260311080000", patient="P1", extra=(second,)))
    assert [p.get("link") for p in house.find("Patient")] == [None, None]


@pytest.mark.parametrize("numbers", [f"{ins(INS)}~{ipp('P2')}", f"{ipp('P2')}~{ins(INS)}"])
def test_a_merge_is_by_the_number_of_the_hospital_whatever_stands_first_in_mrg_1(house: House, numbers: str) -> None:
    house.ok(adt("A28", patient="P1"), adt("A28", patient="P2"))
    house.ok(adt("A40", "20260310080000", patient="P1", dossier="", before=mrg(numbers)))

    assert len(house.find("Patient")) == 2
    assert [i["value"] for i in house.patient()["identifier"]] == ["P1", "P2"]
    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []


def test_a_merge_that_names_nothing_but_an_ins_makes_no_patient_and_says_so(house: House) -> None:
    house.ok(adt("A28", patient="P1"))
    answer = house.send(adt("A40", "20260310080000", patient="P1", dossier="", before=mrg(ins(INS))))

    assert answer.code == "AA"
    assert b"icops-merge-unnamed" in answer.body
    assert len(house.find("Patient")) == 1


def test_a_withdrawn_ins_leaves_every_file_of_a_chain_of_merges(house: House) -> None:
    house.ok(qualified("P3"), adt("A28", patient="P2"), adt("A28", patient="P1"), a40("P2", "P3", "20260302080000"), a40("P1", "P2", "20260303080000"))
    house.ok(adt("A47", "20260310080000", numbers=f"{ipp('P1')}~{ins(chr(34) * 2)}", dossier="", pid={"f32": "VALI"}, before=mrg(ins(INS))))

    assert [p["id"] for p in house.find("Patient") if INS in canonical(p).decode()] == []
    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []


def test_a_withdrawn_ins_leaves_the_references_that_name_the_patient_by_it(house: House) -> None:
    house.ok(qualified())
    named = {"system": SYSTEM, "value": INS}
    subject = {"reference": f"Patient/{house.patient()['id']}", "identifier": named}
    house.put({"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": subject})
    house.put({"resourceType": "DocumentReference", "status": "current", "subject": subject, "content": [{"attachment": {"url": "urn:x"}}],
               "context": {"sourcePatientInfo": {"identifier": named}}})  # fmt: skip

    house.ok(withdrawal())

    left = [*house.find("CarePlan"), *house.find("DocumentReference")]
    assert [r["subject"] for r in left] == [{"reference": subject["reference"]}] * 2
    assert "context" not in left[1]


@pytest.mark.parametrize("old", [ipp("P1"), f"{ipp('P1')}~{ins(INS)}", ""])
def test_what_mrg_1_only_names_the_patient_by_is_not_withdrawn(house: House, old: str) -> None:
    house.ok(qualified())
    house.ok(adt("A47", "20260310080000", numbers=f"{ipp('P1')}~{ins(chr(34) * 2)}", dossier="", pid={"f32": "VALI"}, before=mrg(old) if old else ()))

    assert [i["value"] for i in house.patient()["identifier"]] == ["P1"]
    assert [t["code"]["coding"][0]["code"] for t in house.find("Task")] == ["ins-withdrawn"]
    house.ok(qualified("P1", "20260305080000", "A31"))
    assert house.find("Patient", identifier=f"{SYSTEM}|{INS}") == []


def test_an_identity_message_deletes_the_identifiers_it_says_are_empty(house: House) -> None:
    rri = "RRI-1^^^DAC&1.2.250.1.999.7&ISO^RRI"
    house.ok(adt("A28", numbers=f"{ipp('P1')}~{ins(INS)}~{rri}", dossier="", pid={"f32": "VALI"}))
    empty = f"{ipp('P1')}~{ins(chr(34) * 2)}~{rri.replace('RRI-1', chr(34) * 2)}"
    house.ok(adt("A31", "20260302080000", numbers=empty, dossier="", pid={"f32": "VALI"}))

    assert [i["value"] for i in house.patient()["identifier"]] == ["P1"]
