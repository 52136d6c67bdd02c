"""https://hl7.org/fhir/R4/http.html#transaction, rules: https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

from typing import Any

from rest_kit import Web, patient, rule

ONE = "urn:uuid:8d1a2f4e-0000-4000-8000-000000000001"
TWO = "urn:uuid:8d1a2f4e-0000-4000-8000-000000000002"


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: Any = None, full_url: str = "", **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made


def task(reference: str, **members: Any) -> dict[str, Any]:
    return {"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": reference}, **members}


def statuses(response: Any) -> list[str]:
    return [item["response"]["status"] for item in response.json()["entry"]]


def count(web: Web, type_: str) -> int:
    return int(web.get(f"{type_}?_summary=count").json()["total"])


def test_references_by_urn_follow_whatever_the_order_and_in_circles(web: Web) -> None:
    response = web.post("", bundle(
        entry("POST", "Task", task(ONE, partOf=[{"reference": TWO}]), TWO),
        entry("POST", "Patient", patient(extension=[{"url": "urn:e", "valueReference": {"reference": TWO}}, {"url": "urn:u", "valueUri": TWO}]), ONE),
    ))
    first, second = (item["response"]["location"].partition("/_history")[0] for item in response.json()["entry"])

    assert response.json()["type"] == "transaction-response"
    assert statuses(response) == ["201", "201"]
    assert web.get(first).json()["for"]["reference"] == second
    assert web.get(first).json()["partOf"][0]["reference"] == first
    assert web.get(second).json()["extension"][0]["valueReference"]["reference"] == first


def test_all_or_nothing_and_the_entry_at_fault_is_named(web: Web) -> None:
    web.put("Patient/a", patient(id="a"))
    stale = web.post("", bundle(entry("POST", "Patient", patient()), entry("PUT", "Patient/a", patient(id="a", active=True), ifMatch='W/"9"')))
    invalid = web.post("", bundle(entry("POST", "Patient", patient()), entry("POST", "Patient", patient(birthDate="1900-02-30"))))
    nowhere = web.post("", bundle(entry("POST", "Patient", patient()), entry("GET", "Patient/none")))

    assert (stale.status_code, invalid.status_code, nowhere.status_code) == (412, 422, 404)
    assert stale.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
    assert invalid.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.birthDate"]
    assert nowhere.json()["issue"][0]["diagnostics"].startswith("Bundle.entry[1]: ")
    assert count(web, "Patient") == 1


def test_a_reference_to_a_conditional_create_or_update_follows_its_match(web: Web) -> None:
    body = patient(identifier=[{"system": "urn:x", "value": "1"}])
    web.put("Patient/known", {**body, "id": "known"})
    response = web.post("", bundle(
        entry("POST", "Task", task(ONE)),
        entry("POST", "Task", task(TWO)),
        entry("POST", "Patient", body, ONE, ifNoneExist="identifier=urn:x|1"),
        entry("PUT", "Patient?identifier=urn:x|2", patient(identifier=[{"system": "urn:x", "value": "2"}]), TWO),
    ))
    tasks = [web.get(item["response"]["location"]).json() for item in response.json()["entry"][:2]]

    assert statuses(response) == ["201", "201", "200", "201"]
    assert tasks[0]["for"]["reference"] == "Patient/known"
    assert tasks[1]["for"]["reference"] == response.json()["entry"][3]["response"]["location"].partition("/_history")[0]


def test_two_conditional_creates_of_one_identity_are_one_resource(web: Web) -> None:
    body = patient(identifier=[{"system": "urn:x", "value": "1"}])
    response = web.post("", bundle(
        entry("POST", "Patient", body, ONE, ifNoneExist="identifier=urn:x|1"),
        entry("POST", "Patient", body, TWO, ifNoneExist="identifier=urn:x|1"),
        entry("POST", "Task", task(ONE)), entry("POST", "Task", task(TWO)),
    ))
    tasks = [web.get(item["response"]["location"]).json()["for"]["reference"] for item in response.json()["entry"][2:]]

    assert statuses(response) == ["201", "200", "201", "201"]
    assert tasks[0] == tasks[1]
    assert count(web, "Patient") == 1


def test_one_identity_asked_for_in_two_ways_is_refused_and_named(web: Web) -> None:
    body = patient(identifier=[{"system": "urn:x", "value": "1"}, {"system": "urn:y", "value": "2"}])
    response = web.post("", bundle(
        entry("POST", "Patient", body, ifNoneExist="identifier=urn:x|1"), entry("POST", "Patient", body, ifNoneExist="identifier=urn:y|2")))

    assert response.status_code == 412
    assert response.json()["issue"][0]["expression"][0].startswith("Bundle.entry[")
    assert count(web, "Patient") == 0


def test_two_entries_that_write_one_resource_are_refused_both_named(web: Web) -> None:
    for second in (entry("PUT", "Patient/a", patient(id="a")), entry("DELETE", "Patient/a")):
        response = web.post("", bundle(entry("PUT", "Patient/a", patient(id="a")), second))

        assert response.status_code == 400
        assert rule(response) == "icops-transaction-overlap"
        assert response.json()["issue"][0]["expression"] == ["Bundle.entry[0]", "Bundle.entry[1]"]


def test_a_resource_that_a_condition_found_is_not_deleted_beside_it(web: Web) -> None:
    body = patient(id="known", identifier=[{"system": "urn:x", "value": "1"}])
    web.put("Patient/known", body)
    response = web.post("", bundle(entry("POST", "Patient", body, ONE, ifNoneExist="identifier=urn:x|1"), entry("DELETE", "Patient/known")))

    assert response.status_code == 400
    assert rule(response) == "icops-transaction-overlap"
    assert web.get("Patient/known").status_code == 200


def test_a_conditional_reference_is_resolved_or_the_place_of_the_failure_is_said(web: Web) -> None:
    web.put("Patient/known", patient(id="known", identifier=[{"system": "urn:x", "value": "1"}]))
    good = web.post("", bundle(entry("POST", "Task", task("Patient?identifier=urn:x|1"))))
    bad = web.post("", bundle(entry("POST", "Patient", patient()), entry("POST", "Task", task("Patient?identifier=urn:x|404"))))

    assert web.get(good.json()["entry"][0]["response"]["location"]).json()["for"]["reference"] == "Patient/known"
    assert bad.status_code == 412
    assert bad.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.for.reference"]
    assert "identifier=urn:x|404" in bad.json()["issue"][0]["diagnostics"]
    assert count(web, "Patient") == 1


def test_reads_of_a_transaction_see_what_it_wrote(web: Web) -> None:
    response = web.post("", bundle(entry("GET", "Patient/a"), entry("PUT", "Patient/a", patient(id="a")), entry("GET", "Patient?_id=a")))

    assert response.json()["entry"][0]["resource"]["id"] == "a"
    assert response.json()["entry"][2]["resource"]["entry"][0]["resource"]["id"] == "a"


def test_deletes_come_first(web: Web) -> None:
    web.put("Patient/old", patient(id="old", identifier=[{"system": "urn:x", "value": "1"}]))
    response = web.post("", bundle(entry("POST", "Patient", patient(identifier=[{"system": "urn:x", "value": "1"}])), entry("DELETE", "Patient/old")))

    assert statuses(response) == ["201", "204"]
    assert web.get("Patient/old").status_code == 410


def test_an_entry_without_request_or_with_what_a_transaction_does_not_do_is_named(web: Web) -> None:
    for wrong in ({"resource": patient()}, entry("GET", "metadata"), entry("PATCH", "Patient/a"), entry("POST", ""), entry("GET", "Foo/1")):
        response = web.post("", bundle(entry("POST", "Patient", patient()), wrong))

        assert response.status_code in (400, 404, 405)
        assert response.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
    assert count(web, "Patient") == 0


def test_a_batch_does_each_entry_alone(web: Web) -> None:
    response = web.post("", bundle(
        entry("POST", "Patient", patient()), entry("GET", "Patient/none"), entry("PUT", "Patient/a", patient(id="b")), {"resource": patient()},
        entry("GET", "metadata"), kind="batch",
    ))

    assert response.json()["type"] == "batch-response"
    assert statuses(response) == ["201", "404", "400", "400", "200"]
    assert response.json()["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert response.json()["entry"][4]["resource"]["resourceType"] == "CapabilityStatement"


def test_prefer_representation_returns_the_resources_of_a_transaction(web: Web) -> None:
    made = bundle(entry("POST", "Patient", patient(gender="male")))

    assert "resource" not in web.post("", made).json()["entry"][0]
    assert web.post("", made, Prefer="return=representation").json()["entry"][0]["resource"]["gender"] == "male"


def test_an_empty_bundle_is_answered_and_other_bundles_are_refused(web: Web) -> None:
    assert web.post("", bundle()).json() == {"resourceType": "Bundle", "type": "transaction-response"}
    assert web.post("", bundle(kind="collection")).status_code == 400
    assert web.post("", patient()).status_code == 400
