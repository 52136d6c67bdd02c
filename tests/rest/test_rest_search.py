"""https://hl7.org/fhir/R4/search.html, paging: https://hl7.org/fhir/R4/http.html#paging"""

from __future__ import annotations

from rest_kit import Web, patient


def found(page: dict) -> list[str]:
    return [item["resource"]["id"] for item in page.get("entry", [])]


def test_get_and_post_searches_answer_the_same(web: Web) -> None:
    for number in "12":
        web.put(f"Patient/p{number}", patient(id=f"p{number}", identifier=[{"system": "urn:x", "value": number}]))
    got = web.get("Patient?identifier=urn:x|1").json()
    posted = web.ask("POST", "Patient/_search", b"identifier=urn%3Ax%7C1", Content_Type="application/x-www-form-urlencoded").json()

    assert found(got) == found(posted) == ["p1"]
    assert got["type"] == "searchset"
    assert got["entry"][0]["fullUrl"] == "http://test/fhir/Patient/p1"
    assert got["entry"][0]["search"]["mode"] == "match"


def test_next_links_visit_every_resource_once(web: Web) -> None:
    for number in range(11):
        web.put(f"Patient/p{number}", patient(id=f"p{number}", gender="female"))
    place, seen = "Patient?gender=female&_count=4", []
    while place:
        page = web.get(place).json()
        seen += found(page)
        assert len(found(page)) <= 4
        place = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")

    assert sorted(seen) == sorted(f"p{number}" for number in range(11))


def test_count_is_exact_and_holds_no_entry(web: Web) -> None:
    for number in range(3):
        web.post("Patient", patient(gender="male" if number else "female"))
    page = web.get("Patient?gender=male&_summary=count").json()

    assert page["total"] == 2
    assert "entry" not in page


def test_the_self_link_says_what_was_understood_and_unknown_parameters_are_refused_or_said(web: Web) -> None:
    web.post("Patient", patient())
    lenient, strict = web.get("Patient?foo=1&gender:not=x"), web.get("Patient?foo=1", Prefer="handling=strict")
    own = next(link["url"] for link in web.get("Patient?foo=1&_count=5").json()["link"] if link["relation"] == "self")

    assert lenient.status_code == 200
    assert "foo" not in own
    assert "_count=5" in own
    assert strict.status_code == 400
    assert any(item["resource"]["resourceType"] == "OperationOutcome" for item in web.get("Patient?foo=1").json()["entry"])


def test_a_wrong_value_is_400_and_names_the_parameter(web: Web) -> None:
    response = web.get("Patient?birthdate=tomorrow")

    assert response.status_code == 400
    assert "birthdate" in response.text


def test_a_deleted_resource_is_found_no_more(web: Web) -> None:
    web.put("Patient/a", patient(id="a", gender="male"))
    web.delete("Patient/a")

    assert found(web.get("Patient?gender=male").json()) == []
