"""Searches against the store, with the definitions' own parameters: what is found, page by page, and how it is planned."""

import random
from datetime import UTC, datetime

import pytest
from store_kit import BACKENDS, Hands

from icops_fhir.search.query import parse
from icops_fhir.store import engine

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def patient(n, **members):
    return {"resourceType": "Patient", "id": f"p{n:03}", "gender": "female" if n % 2 else "male", "birthDate": f"{1930 + n}-03-01",
            "identifier": [{"system": "urn:oid:1.2", "value": str(n)}], "name": [{"family": f"Martin{n % 5}", "given": ["Zoé"]}], **members}


def task(n, owner):
    return {"resourceType": "Task", "id": f"t{n:03}", "status": "requested", "intent": "order", "for": {"reference": f"Patient/p{owner:03}"}}


@pytest.fixture(scope="module", params=BACKENDS)
def filled(request, tmp_path_factory):
    """60 patients, one of them edited, one deleted, and a Task for each third."""
    clock = Hands()
    store = engine.open(BACKENDS[request.param](tmp_path_factory.mktemp("search")), clock)
    for n in range(60):
        for resource in (patient(n), *([task(n, n)] if n % 3 == 0 else [])):
            made = engine.prepare(resource)
            store.submit(lambda tx, made=made: tx.write(made)).result()
        clock.forward(seconds=1)
    store.submit(lambda tx: tx.write(engine.prepare(patient(10, gender="other")))).result()
    store.submit(lambda tx: tx.delete("Patient", "p020")).result()
    yield store
    store.close()


def find(store, type, *params):
    return store.view(lambda r: r.search(parse(type, params, strict=True)))


def ids(page):
    return [version.id for version in page.versions]


def test_a_search_finds_the_current_versions_by_their_rows(filled):
    assert ids(find(filled, "Patient", ("identifier", "urn:oid:1.2|7"))) == ["p007"]
    assert ids(find(filled, "Patient", ("gender", "other"))) == ["p010"]
    assert len(find(filled, "Patient", ("gender", "male")).versions) == 28  # p010 is no longer one, p020 is gone
    assert ids(find(filled, "Patient", ("family", "martin3"), ("gender", "female"))) == ["p003", "p013", "p023", "p033", "p043", "p053"]
    assert ids(find(filled, "Task", ("patient", "p009"))) == ["t009"]
    assert ids(find(filled, "Patient", ("birthdate", "ge1988"))) == ["p058", "p059"]
    assert ids(find(filled, "Patient", ("_id", "p009,p003,p020,none"))) == ["p003", "p009"]
    assert ids(find(filled, "Patient", ("identifier", "urn:oid:1.2|20"))) == []
    body = find(filled, "Patient", ("_id", "p010")).versions[0].body
    assert filled.view(lambda r: r.read("Patient", "p010")).body == body


@pytest.mark.parametrize("params", [(), (("gender", "female"),), (("_sort", "_lastUpdated"),), (("_sort", "-_lastUpdated"), ("gender:not", "other"))])
def test_pages_follow_each_other_without_a_gap_or_a_repeat(filled, params):
    whole = ids(find(filled, "Patient", *params, ("_count", "1000")))
    for count in (1, 7, len(whole), len(whole) + 1):
        pages, cursor = [], ()
        while cursor is not None:
            page = find(filled, "Patient", *params, ("_count", str(count)), *cursor)
            pages += ids(page)
            assert len(page.versions) <= count
            cursor = (("_cursor", page.next),) if page.next else None
        assert whole == pages
    if ("_sort", "-_lastUpdated") in params:
        assert whole[0] == "p059" or whole[0] == "p010"


def test_counts_are_exact_and_only_made_when_asked(filled):
    assert (find(filled, "Patient", ("_summary", "count")).total, find(filled, "Patient", ("_summary", "count")).versions) == (59, [])
    assert (find(filled, "Patient", ("gender", "male"), ("_total", "accurate"), ("_count", "2")).total,
                       len(find(filled, "Patient", ("gender", "male"), ("_total", "accurate"), ("_count", "2")).versions)) == (28, 2)
    assert find(filled, "Patient").total is None


def test_a_job_finds_what_it_just_wrote(filled):
    def job(tx):
        tx.write(engine.prepare(patient(900)))
        found = tx.search(parse("Patient", [("identifier", "urn:oid:1.2|900")], strict=True))
        tx.delete("Patient", "p900")
        return ids(found), ids(tx.search(parse("Patient", [("identifier", "urn:oid:1.2|900")], strict=True)))

    assert filled.submit(job).result() == (["p900"], [])


def test_random_searches_find_what_looking_at_every_resource_finds(filled):
    dice = random.Random(3)
    patients = {n: "other" if n == 10 else "female" if n % 2 else "male" for n in range(60) if n != 20}
    for _ in range(40):
        gender, family, year = dice.choice(["male", "female", "other"]), dice.randrange(5), dice.randrange(1930, 1990)
        asked = [("gender", gender), ("family:exact", f"Martin{family}"), ("birthdate", f"lt{year}")]
        kept = dice.sample(asked, dice.randint(1, 3))
        wanted = [f"p{n:03}" for n, sex in patients.items()
                  if (asked[0] not in kept or sex == gender) and (asked[1] not in kept or n % 5 == family) and (asked[2] not in kept or 1930 + n < year)]
        assert wanted == sorted(ids(find(filled, "Patient", *kept, ("_count", "1000"))))


# Which index each search must go by, whatever the data: (type, parameters, what its plan says).
PLANS = [
    ("Patient", [], "resource_type (type=?)"),
    ("Patient", [("_id", "a,b")], "resource_id (type=? AND id=?)"),
    ("Patient", [("_lastUpdated", "ge2026")], "resource_updated (type=? AND updated>?)"),
    ("Patient", [("_sort", "-_lastUpdated")], "resource_updated (type=?)"),
    ("Patient", [("identifier", "s|v")], "index_token_value (parameter=? AND code=?)"),
    ("Patient", [("family", "a")], "index_string_value (parameter=? AND norm>? AND norm<?)"),
    ("Patient", [("family:exact", "A")], "index_string_value (parameter=? AND norm=? AND exact=?)"),
    ("Task", [("patient", "p")], "index_reference_value (parameter=? AND id=?)"),
    ("Task", [("patient", "p"), ("status", "requested")], "index_token_value (parameter=? AND code=? AND pk=?)"),
    ("Observation", [("date", "2026-03-01")], "index_date_value (parameter=? AND low>? AND low<?)"),
    ("Observation", [("date", "ge2026"), ("code", "c")], "SEARCH x USING PRIMARY KEY (pk=? AND parameter=?)"),
    ("ValueSet", [("url", "urn:x")], "index_uri_value (parameter=? AND value=?)"),
]


@pytest.mark.parametrize(("type", "params", "way"), PLANS)
def test_a_search_goes_by_its_index(filled, type, params, way):
    statement = parse(type, params, strict=True).sql(NOW)
    plan = filled.view(lambda r: [row[3] for row in r._execute("EXPLAIN QUERY PLAN " + statement.text, statement.args)])

    assert way in " / ".join(plan)
    assert "SCAN" not in " / ".join(plan)


@pytest.mark.parametrize("params", [[], [("identifier", "s|v")], [("gender", "male")], [("_sort", "-_lastUpdated"), ("gender", "male")]])
def test_a_page_of_what_many_share_needs_no_sorting(filled, params):
    statement = parse("Patient", params, strict=True).sql(NOW)
    plan = filled.view(lambda r: [row[3] for row in r._execute("EXPLAIN QUERY PLAN " + statement.text, statement.args)])

    assert "USE TEMP B-TREE FOR ORDER BY" not in plan
