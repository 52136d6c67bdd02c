"""One job per message: repeats, enhanced mode, dead letters, echoes, what town wrote. HL7 v2.5.1 §2.9."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from exchange.conftest import House
from exchange.pam import OID, adt
from icops_fhir.exchange import dead_letters, keys, sites
from icops_fhir.exchange import message as application
from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import canonical, loads
from icops_fhir.mappers.v2.er7 import parse
from icops_fhir.mappers.v2.message import decode
from icops_fhir.mappers.v2.site import Site


def records(house: House, kind: str, **more: Any) -> list[Any]:
    return house.store.view(lambda reader: reader.records(kind, **more))


def test_a_repeat_gets_the_same_acknowledgment_without_effect(house: House) -> None:
    message = adt("A01", zbe="M1")
    first = house.send(message)
    sequence = house.store.sequence
    house.now += timedelta(hours=1)

    assert house.send(message) == first
    assert house.store.sequence == sequence
    assert len(records(house, keys.TRANSLATION)) == 1


def test_a_control_id_used_again_with_another_body_is_a_new_message(house: House) -> None:
    house.ok(adt("A28", control="015"), adt("A31", "20260302080000", control="015", pid={"f16": "M"}))

    assert house.patient()["maritalStatus"]["coding"][0]["code"] == "M"


def test_the_bundle_is_kept_before_merging_and_is_what_convert_gives(house: House) -> None:
    message = adt("A01", zbe="M1")
    house.ok(message)
    kept = records(house, keys.TRANSLATION)[0]

    assert canonical(loads(kept.body)) == canonical(decode(message))
    assert kept.owner == keys.feed("GAM^HOP", f"Patient/{house.patient()['id']}")
    assert house.store.view(lambda reader: reader.original(kept.key)).body == message  # type: ignore[union-attr]


@pytest.mark.parametrize(("accept", "application_ack", "codes"), [
    ("AL", "AL", ["CA", "AA"]), ("NE", "AL", ["AA"]), ("SU", "SU", ["CA", "AA"]), ("ER", "ER", []),
    ("AL", "NE", ["AA"]), ("NE", "NE", ["AA"]), ("AL", "", ["AA"]),  # no application acknowledgment asked: original mode
])  # fmt: skip
def test_enhanced_mode_answers_what_is_asked(house: House, accept: str, application_ack: str, codes: list[str]) -> None:
    message = adt("A28", msh={"f15": accept, "f16": application_ack})

    assert [parse(ack).get("MSA-1") for ack in house.acks(message)] == codes
    assert house.patient()
    assert [parse(ack).get("MSA-1") for ack in house.acks(message)] == codes
    assert records(house, keys.INBOX) == []


def test_what_was_accepted_is_applied_after_a_restart(house: House) -> None:
    message = adt("A28", msh={"f15": "AL", "f16": "AL"})

    async def cut() -> None:
        answers = house.inbound.receive(message)
        async for _ in answers:
            break
        await answers.aclose()  # type: ignore[attr-defined]

    asyncio.run(cut())
    assert len(records(house, keys.INBOX)) == 1

    assert asyncio.run(house.inbound.resume()) == 1
    assert house.patient()
    assert records(house, keys.INBOX) == []


def broken(*_: Any) -> str:
    raise KeyError("secret value of a patient")


def test_what_cannot_be_applied_is_a_dead_letter_and_can_be_replayed_after_a_fix(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    message = adt("A28")
    with monkeypatch.context() as patched:
        patched.setattr(application, "apply", broken)
        answer = house.send(message)
        again = house.send(message)

    assert (answer.code, again) == ("AE", answer)
    assert b"secret" not in answer.body
    assert house.find("Patient") == []
    letter = house.store.view(dead_letters.listed)[0]
    assert (letter["event"], letter["tries"], letter["code"]) == ("ADT^A28", 2, "AE")
    assert "secret" not in str(letter)

    assert asyncio.run(dead_letters.replay(house.inbound)) == [{"key": letter["key"], "code": "AA"}]
    assert house.patient()
    assert house.store.view(dead_letters.listed) == []
    assert house.send(message).code == "AA"


def test_a_sender_may_ask_aa_with_a_warning_for_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(Site(dead_letter="AA"))
    monkeypatch.setattr(application, "apply", broken)
    answer = house.send(adt("A28"))

    assert answer.code == "AA"
    assert parse(answer.body).get("ERR-4") == "W"
    assert len(house.store.view(dead_letters.listed)) == 1
    house.store.close()


def test_bytes_that_are_no_message_are_refused_and_kept(house: House) -> None:
    answer = house.send(b"hello")

    assert answer.code == "AR"
    assert len(house.store.view(dead_letters.listed)) == 1


def test_a_failure_undoes_everything_of_its_message(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "react", broken)
    house.send(adt("A01", zbe="M1"))

    assert [house.find(t) for t in ("Patient", "Encounter", "Account", "Provenance")] == [[], [], [], []]
    assert records(house, keys.TRANSLATION) == []
    assert records(house, keys.MOVEMENT) == []


@pytest.mark.parametrize("event", ["Z98", "A60", "A20"])
def test_an_unknown_event_is_accepted_kept_and_reported(house: House, event: str) -> None:
    answer = house.send(adt(event))

    assert answer.code == "AA"
    assert b"icops-event-without-rule" in answer.body
    assert house.find("Patient") == []
    assert len(records(house, keys.TRANSLATION)) == 1


def test_an_unknown_segment_is_reported(house: House) -> None:
    answer = house.send(adt("A28", extra=("ZZ9|1|secret",)))

    assert answer.code == "AA"
    assert b"ZZ9" in answer.body
    assert b"secret" not in answer.body


def test_each_version_a_message_writes_is_marked_and_has_its_provenance(house: House) -> None:
    house.ok(adt("A01", zbe="M1"))
    patient = house.patient()

    assert f"Patient/{patient['id']}/1" in {r.key for r in records(house, keys.ORIGIN, owner="GAM^HOP")}
    provenance = house.find("Provenance")[0]
    assert f"Patient/{patient['id']}" in {t["reference"] for t in provenance["target"]}
    assert provenance["entity"][0]["what"]["reference"] == f"Binary/{records(house, keys.TRANSLATION)[0].key}"
    assert provenance["activity"]["coding"][0]["code"] == "INSERT"


def test_stored_resources_hold_no_carried_leaf(house: House) -> None:
    house.ok(adt("A01", zbe="M1", pid={"f10": "X", "f28": "Y"}, pv1={"f40": "Z"}, extra=("ZFS|1|E1|20260101||INSERT|SPDT",)))
    for type_ in ("Patient", "Encounter", "Flag", "Account"):
        for resource in house.find(type_):
            assert "StructureDefinition/v2-" not in canonical(resource).decode()
            assert "PID-" not in canonical(resource).decode()


NK1 = "NK1|1|MARTIN^Benoit^^^^^L|CHD|3 rue B^^LYON^^69003^FRA^H|^PRN^PH^^^^^^^^^0611111111||K"
ROL = "ROL||{0}|ODRP|10999000010^BERNARD^Lucie^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^L^^^RPPS|20190401|{1}"
PHONE = "^PRN^PH^^^^^^^^^0102030405"


def test_what_a_message_leaves_out_is_not_erased(house: House) -> None:
    house.ok(adt("A28", pid={"f13": PHONE}, before=(ROL.format("UC", ""),), extra=(NK1,)))
    patient, team, relative = house.patient(), house.find("CareTeam")[0], house.find("RelatedPerson")[0]
    town = {"system": "email", "value": "odile@exemple.fr", "use": "home"}
    house.put({**patient, "telecom": [{"system": "phone", "use": "home", "value": "0909090909"}, town]})
    nurse = house.put({"resourceType": "Practitioner"})
    house.put({**team, "participant": [*team["participant"], {"member": {"reference": f"Practitioner/{nurse['id']}"}}]})
    house.put({**relative, "telecom": [{"system": "phone", "value": "0622222222"}]})

    house.ok(adt("A31", "20260302080000"), adt("A31", "20260303080000", pid={"f13": PHONE}, before=(ROL.format("UC", ""),), extra=(NK1,)))

    assert [t["value"] for t in house.patient()["telecom"]] == ["0909090909", "odile@exemple.fr"]
    assert house.find("CareTeam")[0]["participant"] == [*team["participant"], {"member": {"reference": f"Practitioner/{nurse['id']}"}}]
    assert len(house.find("CareTeam")) == 1
    assert [r["telecom"] for r in house.find("RelatedPerson")] == [[{"system": "phone", "value": "0622222222"}]]

    house.ok(adt("A31", "20260304080000", pid={"f13": PHONE.replace("0102030405", "0707070707")}))
    assert [t["value"] for t in house.patient()["telecom"]] == ["0707070707", "odile@exemple.fr"]
    house.ok(adt("A31", "20260305080000", pid={"f13": '""'}))
    assert "telecom" not in house.patient()


def test_a_next_of_kin_loses_what_the_feed_deletes(house: House) -> None:
    house.ok(adt("A28", extra=(NK1,)), adt("A31", "20260302080000", extra=(NK1.replace("^PRN^PH^^^^^^^^^0611111111", '""'),)))

    relatives = house.find("RelatedPerson")
    assert len(relatives) == 1
    assert "telecom" not in relatives[0]
    assert relatives[0]["address"]


def test_a_client_that_puts_back_without_our_ids_does_not_make_a_double(house: House) -> None:
    house.ok(adt("A28", pid={"f13": PHONE + "~^NET^Internet^a@b.fr"}))
    patient = house.patient()
    house.put({**patient, "telecom": [{k: v for k, v in t.items() if not k.startswith("_")} for t in patient["telecom"]]})

    house.ok(adt("A31", "20260302080000", pid={"f13": PHONE + "~^NET^Internet^a@b.fr"}))

    assert [t["value"] for t in house.patient()["telecom"]] == ["0102030405", "a@b.fr"]


@pytest.mark.parametrize("said", [ROL.format("DE", ""), ROL.format("UP", "20260228")])
def test_a_rol_that_ends_ends_the_participation(house: House, said: str) -> None:
    house.ok(adt("A28", before=(ROL.format("AD", ""),)), adt("A31", "20260302080000", before=(said,)))

    participants = house.find("CareTeam")[0]["participant"]
    assert len(participants) == 1
    assert participants[0]["period"]["end"]


def test_a_rol_that_ends_ends_what_town_wrote_and_another_only_joins_it(house: House) -> None:
    house.ok(adt("A28"))
    patient = {"reference": f"Patient/{house.patient()['id']}"}
    doctor = house.put({"resourceType": "Practitioner", "identifier": [{"system": "https://rpps.esante.gouv.fr", "value": "10999000010"}]})
    role = house.put({"resourceType": "PractitionerRole", "practitioner": {"reference": f"Practitioner/{doctor['id']}"}})
    house.put({"resourceType": "CareTeam", "status": "active", "name": "Cercle", "subject": patient, "participant": [{"member": {"reference": f"PractitionerRole/{role['id']}"}}]})

    house.ok(adt("A31", "20260302080000", before=(ROL.format("UC", ""),)))
    assert house.find("CareTeam")[0]["participant"] == [{"member": {"reference": f"PractitionerRole/{role['id']}"}}]
    house.ok(adt("A31", "20260303080000", before=(ROL.format("DE", "20260303"),)))
    participants = house.find("CareTeam")[0]["participant"]
    assert [(p["member"]["reference"], p["period"]["end"]) for p in participants] == [(f"PractitionerRole/{role['id']}", "2026-03-03")]


def test_a_doctor_is_found_by_rpps_and_a_name_alone_is_nobody_else(house: House) -> None:
    house.put({"resourceType": "Practitioner", "identifier": [{"system": "https://rpps.esante.gouv.fr", "value": "10999000010"}]})
    house.ok(adt("A28", before=(ROL.format("AD", ""),)))
    assert len(house.find("Practitioner")) == 1

    named = "ROL||AD|ODRP|^BERNARD^Lucie|20190401"
    house.ok(adt("A28", patient="P2", before=(named,)), adt("A28", patient="P3", before=(named,)), adt("A31", "20260302080000", patient="P3", before=(named,)))
    assert len(house.find("Practitioner")) == 3


def consents(house: House) -> list[tuple[str, str]]:
    return sorted((c["category"][0]["text"], c.get("provision", {}).get("type", "")) for c in house.find("Consent"))


def test_consents_are_upserted_and_not_collected_is_never_a_refusal(house: House) -> None:
    house.ok(adt("A28", extra=("ZFA|ACTIF||||||||INO|20260101|INC|20260101", "ZFD|||Y")))
    assert [kind for _, kind in consents(house)] == ["permit", "deny", "permit"]

    house.ok(adt("A31", "20260302080000", extra=("ZFA|ACTIF||||||||IO|20260301|NA|", "ZFD|||N")))
    assert [kind for _, kind in consents(house)] == ["deny", "", "deny"]


def test_a_protected_access_labels_the_patient_until_it_is_lifted(house: House) -> None:
    house.ok(adt("A28", before=("PD1||||||||||||Y",)))
    assert house.patient()["meta"]["security"]

    house.ok(adt("A31", "20260302080000"))
    assert house.patient()["meta"]["security"]
    house.ok(adt("A31", "20260303080000", before=("PD1||||||||||||N",)))
    assert "security" not in house.patient()["meta"]


def test_sites_are_found_by_application_and_facility_then_facility_then_any() -> None:
    found = sites.finder(sites.load('{"sites": {"GAM^HOP": {"zone": "Indian/Reunion"}, "HOP": {"charset": "8859/1"}, "*": {"dead_letter": "AA"}}}'))

    assert found(parse(adt("A28"))).zone == "Indian/Reunion"
    assert found(parse(adt("A28", msh={"f3": "DPI"}))).charset == "8859/1"
    assert found(parse(adt("A28", facility="OTHER"))).dead_letter == "AA"


@pytest.mark.parametrize("text", ['[]', '{"sites": []}', '{"sites": {"A": 1}}', '{"sites": {"A": {"zon": "x"}}}', '{"sites": {"A": {"dead_letter": "AR"}}}', '{"sites": {"A": {"zone": 1}}}',
                                  '{"sites": {"A": {"zone": "Mars/Olympus"}}}', '{"sites": {"A": {"charset": "8859/99"}}}', '{"sites": {}, "route": []}'])  # fmt: skip
def test_a_wrong_setting_of_a_site_is_said(text: str) -> None:
    with pytest.raises(FhirError, match="ICOPS_SITES"):
        sites.load(text)


def test_the_sender_zone_is_its_sites(house: House) -> None:
    east = House(Site(zone="Indian/Reunion"))
    east.ok(adt("A01", zbe="M1"))

    assert east.venue()["period"]["start"] == "2026-03-01T08:00:00+04:00"
    assert OID in east.patient()["identifier"][0]["system"]
    east.store.close()


def test_what_was_deleted_here_comes_back_whole_when_the_hospital_speaks_of_it_again(house: House) -> None:
    said = ("NK1|1|DURAND^Paul^^^^^L|SPO|||K", "ROL||UC|ODRP|10999000010^BERNARD^Lucie^^^Dr^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^L^^^RPPS|20190401")
    house.ok(adt("A28", extra=said), adt("A01", "20260301090000", zbe="M1"))

    def all_of() -> list[dict[str, Any]]:
        found = [r for type_ in ("Patient", "RelatedPerson", "Practitioner", "CareTeam", "Encounter", "Account") for r in house.find(type_)]
        return sorted(({name: value for name, value in r.items() if name != "meta"} for r in found), key=lambda r: (r["resourceType"], r["id"]))

    before = all_of()
    for resource in before:
        house.store.submit(lambda tx, r=resource: tx.delete(r["resourceType"], r["id"])).result()  # type: ignore[misc]
    house.ok(adt("A31", "20260302080000", extra=said), adt("A01", "20260302090000", at="20260301090000", zbe="M1"))

    assert all_of() == before
