"""https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from rest_kit import Web, patient


def test_history_tells_every_version_newest_first_deletions_included(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    web.put("Patient/a", patient(id="a", active=True))
    web.delete("Patient/a")
    entries = web.get("Patient/a/_history").json()["entry"]

    assert [item["request"]["method"] for item in entries] == ["DELETE", "PUT", "POST"]
    assert [item["response"]["etag"] for item in entries] == ['W/"3"', 'W/"2"', 'W/"1"']
    assert "resource" not in entries[0]
    assert entries[1]["resource"]["active"] is True
    assert web.get("Patient/none/_history").status_code == 404


def test_pages_of_history_hold_each_version_once_while_new_ones_arrive(web: Web) -> None:
    for number in range(7):
        web.put(f"Patient/p{number}", patient(id=f"p{number}"))
    place, seen = "_history?_count=3", []
    while place:
        page = web.get(place).json()
        seen += [item["resource"]["id"] for item in page.get("entry", [])]
        web.put("Patient/new", patient(id="new"))
        place = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")

    assert seen == [f"p{number}" for number in reversed(range(7))]


def test_since_and_wrong_parameters(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))

    assert "entry" not in web.get("Patient/_history?_since=2999-01-01T00:00:00Z").json()
    assert len(web.get("Patient/_history?_since=2001-01-01T00:00:00Z").json()["entry"]) == 1
    assert web.get("Patient/_history?_count=x").status_code == 400
    assert web.get("Patient/_history?_since=yesterday").status_code == 400
    assert web.get("Patient/_history?foo=1", Prefer="handling=strict").status_code == 400
