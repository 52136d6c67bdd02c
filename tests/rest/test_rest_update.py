"""https://hl7.org/fhir/R4/http.html#update, #concurrency, #upsert, #cond-update, #delete"""

from __future__ import annotations

import asyncio

from rest_kit import Web, patient, rule


def test_an_update_makes_a_version_and_creates_what_was_not_there(web: Web) -> None:
    first = web.put("Patient/a", patient(id="a"))
    second = web.put("Patient/a", patient(id="a", active=True))

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["etag"] == 'W/"2"'
    assert second.json()["active"] is True


def test_if_match_refuses_what_was_changed_meanwhile(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    web.put("Patient/a", patient(id="a", active=True), If_Match='W/"1"')
    late = web.put("Patient/a", patient(id="a", active=False), If_Match='W/"1"')

    assert late.status_code == 412
    assert web.get("Patient/a").json()["active"] is True
    assert web.put("Patient/a", patient(id="a"), If_Match="three").status_code == 400


def test_of_many_updates_of_one_version_one_wins(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))

    async def all_at_once() -> list[int]:
        answers = await asyncio.gather(*(web.asking("PUT", "Patient/a", patient(id="a", active=True), If_Match='W/"1"') for _ in range(16)))
        return sorted(answer.status_code for answer in answers)

    assert web.run(all_at_once()) == [200] + [412] * 15


def test_the_address_and_the_body_name_the_same_resource(web: Web) -> None:
    assert web.put("Patient/a", patient(id="b")).status_code == 400
    assert web.put("Patient/a", patient()).status_code == 400
    assert web.put("Patient/a_b", patient(id="a_b")).status_code == 400
    assert web.put("Patient/" + "a" * 65, patient(id="a" * 65)).status_code == 400
    assert web.put("Patient/a", patient(id="a"), If_None_Match="*").status_code == 201
    assert web.put("Patient/a", patient(id="a"), If_None_Match="*").status_code == 412


def test_a_conditional_update_changes_the_one_match_or_creates(web: Web) -> None:
    body = patient(identifier=[{"system": "urn:x", "value": "1"}])
    first = web.put("Patient?identifier=urn:x|1", body)
    second = web.put("Patient?identifier=urn:x|1", {**body, "active": True})
    named = web.put("Patient?identifier=urn:x|2", {"resourceType": "Patient", "id": "chosen", "identifier": [{"system": "urn:x", "value": "2"}]})

    assert (first.status_code, second.status_code, named.status_code) == (201, 200, 201)
    assert second.json()["id"] == first.json()["id"]
    assert named.json()["id"] == "chosen"
    assert web.put("Patient", body).status_code == 412


def test_delete_is_said_once_and_asked_as_often_as_one_likes(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    stale = web.delete("Patient/a", If_Match='W/"4"')
    first, second, never = web.delete("Patient/a"), web.delete("Patient/a"), web.delete("Patient/never")

    assert stale.status_code == 412
    assert (first.status_code, second.status_code, never.status_code) == (204, 204, 204)
    assert first.headers["etag"] == 'W/"2"'
    assert web.put("Patient/a", patient(id="a")).status_code == 201
    assert web.get("Patient/a").json()["meta"]["versionId"] == "3"


def test_a_conditional_delete_takes_the_one_match_and_refuses_several(web: Web) -> None:
    for number in "112":
        web.post("Patient", patient(identifier=[{"system": "urn:x", "value": number}]))

    assert web.delete("Patient?identifier=urn:x|2").status_code == 204
    assert web.delete("Patient?identifier=urn:x|3").status_code == 204
    assert rule(web.delete("Patient?identifier=urn:x|1")) == "icops-conditional-ambiguous"
    assert web.get("Patient?_summary=count").json()["total"] == 2
