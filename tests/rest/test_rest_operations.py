"""https://hl7.org/fhir/R4/operations.html"""

from __future__ import annotations

import pytest
from rest_kit import Web, rule

from icops_fhir.interactions import capabilities
from icops_fhir.subscriptions.topic import topics

ER7 = {"Content_Type": "x-application/hl7-v2+er7"}


@pytest.fixture
def message() -> bytes:
    from pathlib import Path

    return (Path(__file__).parents[2] / "examples/hl7v2/adt_a03_insert_discharge_home.hl7").read_bytes()


def test_convert_gives_a_bundle_and_takes_it_back_to_the_same_bytes(web: Web, message: bytes) -> None:
    bundle = web.ask("POST", "$convert", message, **ER7)
    back = web.ask("POST", "$convert", bundle.content, Accept="x-application/hl7-v2+er7")

    assert bundle.json()["type"] == "message"
    assert back.headers["content-type"] == "x-application/hl7-v2+er7"
    assert back.content == message


def test_convert_refuses_what_it_does_not_know(web: Web, message: bytes) -> None:
    assert web.ask("POST", "$convert", message, Content_Type="text/html").status_code == 415
    assert web.ask("POST", "$convert", b"hello", **ER7).status_code == 400
    assert web.ask("POST", "$convert", b'{"resourceType":"Patient"}').status_code == 422
    assert web.ask("POST", "$convert", b"{", Content_Type="application/fhir+json").status_code == 400
    refused = web.ask("GET", "$convert")
    assert (refused.status_code, rule(refused)) == (405, "icops-operation-method")


def test_an_operation_lives_where_it_is_registered_and_nowhere_else(web: Web) -> None:
    assert web.get("Subscription/$status").status_code == 200
    assert rule(web.get("Patient/$status")) == "icops-operation"
    assert rule(web.get("$nothing")) == "icops-operation"
    assert web.get("Subscription/none/$status").status_code == 404


def test_dead_letters_are_listed(web: Web) -> None:
    assert web.get("$dead-letters").json() == {"resourceType": "Parameters"}
    assert web.post("$dead-letters", b"").status_code == 404


def test_metadata_names_the_topics_one_can_subscribe_to() -> None:
    rest = capabilities.statement("http://x/fhir")["rest"][0]
    subscription = next(item for item in rest["resource"] if item["type"] == "Subscription")

    assert [item["valueCanonical"] for item in subscription["extension"]] == list(topics())
    assert topics()
