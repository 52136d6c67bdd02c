"""https://hl7.org/fhir/R4/http.html#read, #vread, #cread, #head"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rest_kit import Web, open_web, patient, rule


def test_what_is_read_is_what_was_written_number_texts_included(web: Web) -> None:
    body = b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50,"unit":"kg"}}'
    web.put("Observation/o", body)

    response = web.get("Observation/o")

    assert response.status_code == 200
    assert b'"value":1.50,' in response.content
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert response.headers["etag"] == 'W/"1"'
    assert response.headers["last-modified"].endswith("GMT")


def test_the_hot_path_and_the_long_way_answer_the_same_bytes_and_headers(web: Web) -> None:
    web.put("Patient/a", patient(id="a", gender="female"))
    quick, long = web.get("Patient/a"), web.get("Patient/a?_format=json")

    assert quick.content == long.content
    for name in ("etag", "last-modified", "content-type", "content-length", "cache-control"):
        assert quick.headers[name] == long.headers[name]


def test_a_resource_nobody_wrote_is_404_and_a_deleted_one_410(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    web.delete("Patient/a")

    assert web.get("Patient/never").status_code == 404
    assert web.get("Patient/a").status_code == 410
    assert rule(web.get("Patient/a")) == "icops-deleted"
    assert web.get("Patient/a/_history/1").status_code == 200
    assert web.get("Patient/a/_history/2").status_code == 410
    assert web.get("Patient/a/_history/9").status_code == 404
    assert web.get("Patient/a/_history/x").status_code == 404


def test_what_the_client_has_already_is_not_sent_again(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    first = web.get("Patient/a")

    again = web.get("Patient/a", If_None_Match=first.headers["etag"])
    since = web.get("Patient/a", If_Modified_Since=first.headers["last-modified"])
    other = web.get("Patient/a", If_None_Match='W/"7"')

    assert (again.status_code, again.content) == (304, b"")
    assert since.status_code == 304
    assert other.status_code == 200


def test_head_says_what_get_says_without_a_body(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    get, head = web.get("Patient/a"), web.ask("HEAD", "Patient/a")

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


def test_every_version_stays_readable(web: Web) -> None:
    for gender in ("male", "female", "other"):
        web.put("Patient/a", patient(id="a", gender=gender))

    assert [web.get(f"Patient/a/_history/{number}").json()["gender"] for number in (1, 2, 3)] == ["male", "female", "other"]
    assert web.get("Patient/a").json()["meta"]["versionId"] == "3"


PLACES = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#%?"), max_size=40)


@given(PLACES)
def test_any_address_is_answered_with_an_outcome_and_never_with_a_500(place: str) -> None:
    response = SHARED.get("./" + place.lstrip("/."))

    assert response.status_code < 500
    assert response.status_code == 200 or response.json()["resourceType"] == "OperationOutcome"


_opened = open_web()
SHARED = _opened.__enter__()


def teardown_module() -> None:
    _opened.__exit__(None, None, None)
