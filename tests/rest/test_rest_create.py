"""https://hl7.org/fhir/R4/http.html#create, #ccreate, Prefer: https://hl7.org/fhir/R4/http.html#ops"""

from __future__ import annotations

import asyncio

from rest_kit import Web, patient, rule


def test_a_created_resource_says_where_it_is_and_is_there(web: Web) -> None:
    response = web.post("Patient", patient(id="mine", gender="male"))
    place = response.headers["location"]

    assert response.status_code == 201
    assert place.startswith("http://test/fhir/Patient/")
    assert place.endswith("/_history/1")
    assert "/mine/" not in place
    assert web.get(place).content == response.content


def test_prefer_return_is_obeyed(web: Web) -> None:
    minimal = web.post("Patient", patient(), Prefer="return=minimal")
    outcome = web.post("Patient", patient(), Prefer="return=OperationOutcome")
    whole = web.post("Patient", patient(), Prefer="return=representation")

    assert (minimal.status_code, minimal.content) == (201, b"")
    assert outcome.json()["resourceType"] == "OperationOutcome"
    assert whole.json()["resourceType"] == "Patient"


def test_what_cannot_be_read_is_400_and_what_breaks_the_rules_is_422(web: Web) -> None:
    assert web.post("Patient", b"{").status_code == 400
    assert web.post("Patient", b'{"resourceType":"Patient","active":true,"active":false}').status_code == 400
    assert web.post("Patient", b"[]").status_code == 400
    assert web.post("Patient", {"resourceType": "Observation", "status": "final", "code": {}}).status_code == 400
    wrong = web.post("Patient", patient(gender="x", foo=1))
    assert wrong.status_code == 422
    assert [issue["expression"][0] for issue in wrong.json()["issue"]] == ["Patient.gender", "Patient.foo"]


def test_a_type_that_r4_does_not_have_is_404(web: Web) -> None:
    response = web.post("Foo", {"resourceType": "Foo"})

    assert response.status_code == 404
    assert rule(response) == "icops-unknown-type"


def test_if_none_exist_creates_once(web: Web) -> None:
    body = patient(identifier=[{"system": "urn:x", "value": "1"}])
    first = web.post("Patient", body, If_None_Exist="identifier=urn:x|1")
    second = web.post("Patient", body, If_None_Exist="identifier=urn:x|1")
    third = web.post("Patient", patient(identifier=[{"system": "urn:x", "value": "1"}]))
    ambiguous = web.post("Patient", body, If_None_Exist="identifier=urn:x|1")

    assert (first.status_code, second.status_code, third.status_code) == (201, 200, 201)
    assert second.json()["id"] == first.json()["id"]
    assert ambiguous.status_code == 412
    assert rule(ambiguous) == "icops-conditional-ambiguous"
    assert web.post("Patient", body, If_None_Exist="").status_code == 412


def test_conditional_creates_at_the_same_time_make_one_resource(web: Web) -> None:
    body = patient(identifier=[{"system": "urn:x", "value": "1"}])

    async def all_at_once() -> list[int]:
        answers = await asyncio.gather(*(web.asking("POST", "Patient", body, If_None_Exist="identifier=urn:x|1") for _ in range(24)))
        return sorted(answer.status_code for answer in answers)

    assert web.run(all_at_once()) == [200] * 23 + [201]
    assert web.get("Patient?_summary=count").json()["total"] == 1
