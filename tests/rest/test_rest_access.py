"""The token, health, metrics, metadata, OpenAPI: RFC 6750; https://hl7.org/fhir/R4/http.html#capabilities"""

from __future__ import annotations

from typing import Any

import pytest
from rest_kit import Web, open_web, patient, rule

from icops_fhir.interactions.registry import interactions
from icops_fhir.operations.registry import operations


def test_with_a_token_only_metadata_and_health_are_anonymous() -> None:
    with open_web(token="s3cret") as web:
        web.put("Patient/a", patient(id="a"), Authorization="Bearer s3cret")
        refused = web.get("Patient/a")

        assert refused.status_code == 401
        assert rule(refused) == "icops-token"
        assert "Bearer" in refused.headers["www-authenticate"]
        for wrong in ("Bearer other", "Basic s3cret", "Bearer", "Bearer s3cre"):
            assert web.get("Patient/a", Authorization=wrong).status_code == 401
            assert web.post("Patient", patient(), Authorization=wrong).status_code == 401
        assert web.get("Patient/a", Authorization="bearer s3cret").status_code == 200
        for anonymous in ("metadata", "/livez", "/readyz", "/healthz", "/openapi.json", "/docs"):
            assert web.get(anonymous).status_code == 200
        assert web.get("/metrics").status_code == 401
        assert web.get("/metrics", Authorization="Bearer s3cret").status_code == 200


def test_metadata_says_exactly_the_interactions_and_operations_that_are_registered(web: Web) -> None:
    said = web.get("metadata").json()
    rest = said["rest"][0]
    typed = {item["code"] for item in rest["resource"][0]["interaction"]}
    registered = {row.code for row in interactions().values() if row.shape not in ("system", "system-history", "metadata", "operation")}

    assert said["fhirVersion"] == "4.0.1"
    assert typed == registered
    assert {item["code"] for item in rest["interaction"]} == {"transaction", "batch", "history-system"}
    assert {item["name"] for item in rest.get("operation", [])} == {item.name for item in operations() if item.level == "system"}
    assert len(rest["resource"]) > 140


def test_every_interaction_that_metadata_promises_is_done(web: Web) -> None:
    web.put("Basic/a", {"resourceType": "Basic", "id": "a", "code": {"text": "x"}})
    promised = {item["code"] for resource in web.get("metadata").json()["rest"][0]["resource"] if resource["type"] == "Basic" for item in resource["interaction"]}
    body = {"resourceType": "Basic", "id": "a", "code": {"text": "y"}}
    done = {
        "read": web.get("Basic/a"), "vread": web.get("Basic/a/_history/1"), "update": web.put("Basic/a", body), "create": web.post("Basic", body),
        "search-type": web.get("Basic?_id=a"), "history-instance": web.get("Basic/a/_history"), "history-type": web.get("Basic/_history"),
        "delete": web.delete("Basic/a")}

    assert promised == set(done)
    assert all(response.is_success for response in done.values())


def test_nothing_of_a_resource_reaches_a_log(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    web.post("Patient", patient(name=[{"family": "DUPONT"}]))
    web.post("Patient", patient(name=[{"family": "DUPONT"}], gender="DUPONT", birthDate="DUPONT", DUPONT=1))
    web.get("Patient?name=DUPONT&DUPONT=1")
    web.post("", {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": patient(name="DUPONT"), "request": {"method": "POST", "url": "Patient"}}]})
    said = capsys.readouterr()

    assert "interaction" in said.out + said.err
    assert "DUPONT" not in said.out + said.err


def test_every_search_parameter_that_metadata_promises_can_be_asked(web: Web) -> None:
    values = {"date": "2020", "number": "1", "quantity": "1", "uri": "urn:x", "reference": "Patient/1", "token": "a", "string": "a"}
    for resource in web.get("metadata").json()["rest"][0]["resource"]:
        if resource["type"] in ("Patient", "CarePlan", "Task", "Observation", "Encounter"):
            for parameter in resource["searchParam"]:
                place = f"{resource['type']}?{parameter['name']}={values[parameter['type']]}"
                response = web.get(place, Prefer="handling=strict")

                assert response.status_code == 200, (place, response.text)


def test_the_openapi_of_docs_holds_every_interaction_of_the_registry(web: Web) -> None:
    paths: dict[str, Any] = web.get("/openapi.json").json()["paths"]

    assert {"get", "put", "delete"} == set(paths["/fhir/{type}/{id}"])
    assert {"get", "post", "put", "delete"} == set(paths["/fhir/{type}"])
    assert "post" in paths["/fhir/"]
    assert "/readyz" in paths


def test_metrics_count_interactions_and_name_no_resource(web: Web) -> None:
    web.put("Patient/secret-id", patient(id="secret-id"))
    web.get("Patient/secret-id")
    text = web.get("/metrics").text

    assert 'icops_http_interactions_total{interaction="read",status="200"} 1.0' in text
    assert 'icops_http_interactions_total{interaction="update",status="201"} 1.0' in text
    assert "icops_change_feed_sequence 1.0" in text
    assert "secret-id" not in text


def test_fhir_answers_the_same_through_the_mount(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    straight = web.get("Patient/a")
    shortcut, web.app.__class__.__call__ = web.app.__class__.__call__, web.app.__class__.__mro__[1].__call__  # type: ignore[method-assign]
    try:
        mounted = web.get("Patient/a")
    finally:
        web.app.__class__.__call__ = shortcut  # type: ignore[method-assign]

    assert mounted.content == straight.content
