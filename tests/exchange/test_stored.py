"""Laws of the short ways: a search written directly is the search a client would ask, a thing said again is said later."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.conftest import House
from exchange.pam import adt
from icops_fhir.exchange import keys, resolve
from icops_fhir.exchange.stored import asking
from icops_fhir.exchange.work import _token
from icops_fhir.fhir.json import dumps
from icops_fhir.search.query import parse

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = st.text(st.sampled_from("aZ1 é,|$\\:-"), min_size=1, max_size=8)


@given(TEXT, TEXT)
def test_a_search_by_identifier_is_the_one_a_client_would_ask(system: str, value: str) -> None:
    asked = ("identifier", f"{_token(system)}|{_token(value)}")
    query = parse("Patient", [asked, ("_count", "500")], strict=True)

    assert asking("Patient", asked).sql(NOW) == query.sql(NOW)


def test_a_search_by_several_parameters_is_the_one_a_client_would_ask() -> None:
    asked = [("subject", "Patient/1"), ("status", "draft,active,on-hold")]

    assert asking("CommunicationRequest", *asked, count=7).sql(NOW) == parse("CommunicationRequest", [*asked, ("_count", "7")], strict=True).sql(NOW)


JSON = st.recursive(st.sampled_from(["x", "urn:uuid:1", "urn:uuid:2", 1, True]), lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["reference", "a", "extension", "url"]), inner, max_size=3)), max_leaves=8)
RESOURCES = st.dictionaries(st.sampled_from(["a", "subject", "extension"]), JSON, max_size=3).map(lambda r: {"resourceType": "Basic", **r})


@given(RESOURCES)
def test_pointing_changes_nothing_in_place_and_leaves_no_reference_of_the_message(resource: dict[str, object]) -> None:
    clean = resolve.clean(resource)
    before = dumps(clean)
    pointed = resolve.pointed(clean, {"urn:uuid:1": "Patient/1"})

    assert dumps(clean) == before
    assert b'"reference":"urn:uuid:' not in dumps(pointed)
    assert resolve.clean(pointed) == pointed
    assert (b'"reference":"urn:uuid:' in before) or pointed is clean


DOCTOR = "10999000044^{0}^Aminata^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^L^^^RPPS"


def seen(day: int, name: str) -> bytes:
    return adt("A01", f"2026030{day}080000", zbe=f"M{day}", venue=f"V{day}", pv1={"f7": DOCTOR.format(name)}, control=str(day))


@pytest.mark.parametrize("names", ["AAB", "ABA", "BAA", "AAA", "ABB"])
def test_what_was_said_last_stands_however_often_it_was_said_and_in_whatever_order_it_came(names: str) -> None:
    messages = [seen(day, f"KONATE{name}") for day, name in enumerate(names, 1)]
    for order in permutations(messages):
        house = House()
        house.ok(*order)
        families = {p["name"][0]["family"] for p in house.find("Practitioner")}
        house.store.close()

        assert families == {f"KONATE{names[-1]}"}


def test_what_is_said_again_is_not_written_again(house: House) -> None:
    house.ok(*(seen(day, "KONATE") for day in range(1, 6)))

    doctor = house.find("Practitioner")[0]
    again = [r for r in house.store.view(lambda reader: reader.records(keys.REPEATED)) if "Practitioner/" in r.key]

    assert doctor["meta"]["versionId"] == "1"
    assert len(again) == 1
    assert b"2026-03-05" in again[0].body


def test_what_is_said_again_does_not_undo_what_town_wrote(house: House) -> None:
    house.ok(seen(1, "KONATE"), seen(2, "KONATE"))
    doctor = house.find("Practitioner")[0]
    house.put({**doctor, "telecom": [{"system": "phone", "value": "01"}], "gender": "female"})
    house.ok(seen(3, "KONATE"), seen(4, "KONATE-DIOP"))

    kept = house.find("Practitioner")[0]

    assert (kept["gender"], kept["telecom"][0]["value"], kept["name"][0]["family"]) == ("female", "01", "KONATE-DIOP")
