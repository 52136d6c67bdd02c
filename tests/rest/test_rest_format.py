"""Formats, languages, methods and limits: https://hl7.org/fhir/R4/http.html#mime-type, #Status-Codes"""

from __future__ import annotations

from typing import Any

from rest_kit import Web, open_web, patient, rule


def test_xml_is_refused_clearly_both_ways(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))

    assert web.get("Patient/a", Accept="application/fhir+xml").status_code == 406
    assert web.get("Patient/a?_format=xml").status_code == 406
    assert web.ask("POST", "Patient", b"<Patient/>", Content_Type="application/fhir+xml").status_code == 415
    assert web.ask("POST", "Patient", b"{}", Content_Encoding="gzip").status_code == 415
    assert web.ask("POST", "Patient", b"{}", Content_Type="application/json; charset=latin1").status_code == 415


def test_what_browsers_and_tools_ask_for_is_answered(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    for accept in ("*/*", "application/json", "application/fhir+json; fhirVersion=4.0", "text/html,application/xml;q=0.9,*/*;q=0.8"):
        assert web.get("Patient/a", Accept=accept).status_code == 200
    assert web.get("Patient/a", Accept="application/fhir+json; fhirVersion=3.0").status_code == 406
    assert web.get("Patient/a?_format=application/fhir+json", Accept="application/fhir+xml").status_code == 200


def test_every_refusal_is_an_outcome_with_a_rule_and_speaks_french_when_asked(web: Web) -> None:
    asked: tuple[tuple[str, str, Any], ...] = (
        ("GET", "Patient/none", None), ("PATCH", "Patient/a", {}), ("GET", "", None), ("GET", "nothing/here/at/all/x", None),
        ("TRACE", "Patient/a", None), ("GET", "Patient/a/$none", None), ("OPTIONS", "Patient", None))
    for method, place, body in asked:
        english, french = web.ask(method, place, body), web.ask(method, place, body, Accept_Language="fr-FR,fr;q=0.9,en;q=0.1")

        assert rule(english).startswith("icops-")
        assert 400 <= english.status_code < 502
        assert english.json()["issue"][0]["details"]["text"] != french.json()["issue"][0]["details"]["text"]


def test_405_says_what_is_allowed(web: Web) -> None:
    response = web.ask("PATCH", "Patient/a", {})

    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET, PUT"


def test_a_body_over_the_limit_is_413_announced_or_not() -> None:
    with open_web(body_limit=2000) as web:
        fits, large = b" " * 1900 + b'{"resourceType":"Patient"}', b" " * 2001

        async def parts() -> Any:
            for _ in range(300):
                yield b" " * 10

        assert web.post("Patient", fits).status_code == 201
        assert web.post("Patient", large).status_code == 413
        assert rule(web.post("Patient", large)) == "icops-body-limit"
        chunked = web.run(web._client.request("POST", "Patient", content=parts(), headers={"Content-Type": "application/fhir+json"}))
        assert chunked.status_code == 413
        assert rule(chunked) == "icops-body-limit"


def test_a_bundle_over_the_limit_of_entries_is_413() -> None:
    with open_web(bundle_entries=3) as web:
        entries = [{"request": {"method": "GET", "url": "metadata"}}] * 4

        assert web.post("", {"resourceType": "Bundle", "type": "batch", "entry": entries}).status_code == 413
        assert web.post("", {"resourceType": "Bundle", "type": "batch", "entry": entries[:3]}).status_code == 200


def test_a_page_is_never_larger_than_its_limit() -> None:
    with open_web(page_limit=2) as web:
        for _ in range(3):
            web.post("Patient", patient())

        assert len(web.get("Patient?_count=1000").json()["entry"]) == 2
        assert len(web.get("_history?_count=1000").json()["entry"]) == 2


def test_a_fault_of_ours_is_a_500_that_tells_nothing_of_the_data(web: Web) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("DUPONT")

    web.store.current = broken  # type: ignore[method-assign]
    web.app.fhir._current = lambda *_: None  # type: ignore[union-attr]
    response = web.get("Patient/a", X_Request_Id="abc-1")

    assert response.status_code == 500
    assert rule(response) == "icops-internal"
    assert "abc-1" in response.text
    assert "DUPONT" not in response.text


def test_a_request_id_is_given_back_and_one_that_could_harm_a_log_is_not(web: Web) -> None:
    assert web.get("metadata", X_Request_Id="abc-1").headers["x-request-id"] == "abc-1"
    assert web.get("metadata", X_Request_Id="a b<script>").headers["x-request-id"] != "a b<script>"
    assert web.get("metadata").headers["x-request-id"] != web.get("metadata").headers["x-request-id"]


def test_too_many_parameters_or_bytes_that_are_no_text_are_400(web: Web) -> None:
    assert web.get("Patient?" + "&".join(f"a{number}=1" for number in range(600))).status_code == 400
    assert web.get("Patient?name=%ff").status_code == 400
