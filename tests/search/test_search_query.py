"""A search as it is asked: pages, counts, what is refused and what is ignored. https://hl7.org/fhir/R4/search.html"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_house import NOW, House

from icops_fhir.fhir.issue import FhirError
from icops_fhir.search.query import CONDITIONS, MOST, VALUES, parse


def patient(id, **members):
    return {"resourceType": "Patient", "id": id, **members}


instants = st.sampled_from([f"2026-01-0{day}T00:00:00.00{ms}Z" for day in (1, 2) for ms in (0, 1, 2)])


@given(st.lists(st.tuples(instants, st.booleans(), st.booleans()), max_size=12), st.integers(1, 4), st.sampled_from(["", "_lastUpdated", "-_lastUpdated"]), st.booleans())
def test_pages_by_key_give_every_match_once_and_in_order(made, count, sort, filtered):
    house = House()
    for i, (updated, active, deleted) in enumerate(made):
        house.add(patient(str(i), active=active, identifier=[{"value": "x"}, {"value": "x", "system": "s"}]), updated, int(deleted))
    kept = [(updated, i) for i, (updated, active, deleted) in enumerate(made) if not deleted and (active or not filtered)]
    expected = [str(i) for _, i in (sorted(kept, reverse=sort.startswith("-")) if sort else kept)]
    params = [("_count", str(count)), *([("_sort", sort)] if sort else []), *([("active", "true"), ("identifier", "x")] if filtered else [])]

    assert expected == house.search("Patient", *params)


@given(st.lists(instants, max_size=6), st.sampled_from(["", "ne", "lt", "gt", "le", "ge", "sa", "eb"]), instants)
def test_last_updated_compares_instants_to_the_millisecond(made, how, asked):
    house = House()
    for i, updated in enumerate(made):
        house.add(patient(str(i)), updated)
    test = {"": asked.__eq__, "ne": asked.__ne__, "lt": asked.__gt__, "eb": asked.__gt__, "gt": asked.__lt__, "sa": asked.__lt__, "le": asked.__ge__, "ge": asked.__le__}[how]

    assert [str(i) for i, updated in enumerate(made) if test(updated)] == house.search("Patient", ("_lastUpdated", how + asked))


def test_last_updated_takes_whole_days_where_the_house_stands():
    house = House()
    for id, updated in (("before", "2025-12-31T22:59:59.999Z"), ("first", "2025-12-31T23:00:00.000Z"), ("last", "2026-01-01T22:59:59.999Z"), ("after", "2026-01-01T23:00:00.000Z")):
        house.add(patient(id), updated)

    assert house.search("Patient", ("_lastUpdated", "2026-01-01")) == ["first", "last"]
    assert house.search("Patient", ("_lastUpdated", "ge2026-01-01"), ("_lastUpdated", "lt2026-01-02")) == ["first", "last"]
    assert house.search("Patient", ("_lastUpdated", "ap2026-01-01")) == ["before", "first", "last", "after"]


def test_ids_types_and_conditions_are_and_and_the_comma_is_or():
    house = House([patient("a", active=True, gender="male"), patient("b", active=True, gender="female"), patient("c", gender="male"), {"resourceType": "Group", "id": "a", "active": True}])

    assert house.search("Patient", ("_id", "a,b,x")) == ["a", "b"]
    assert house.search("Patient", ("active", "true"), ("gender", "male")) == ["a"]
    assert house.search("Patient", ("gender", "male,female"), ("active:missing", "true")) == ["c"]
    assert house.search("Patient", ("active:not", "true")) == ["c"]
    assert house.search("Patient", ("gender:not", "male"), ("active", "true")) == ["b"]
    assert house.search("Patient") == ["a", "b", "c"]
    assert house.search("Group") == ["a"]


def test_a_resource_that_has_only_text_is_not_missing():
    house = House([{"resourceType": "Observation", "id": "a", "code": {"text": "free"}}, {"resourceType": "Observation", "id": "b"}])

    assert house.search("Observation", ("code:missing", "false")) == ["a"]
    assert house.search("Observation", ("code:missing", "true")) == ["b"]


def test_the_parameters_about_the_answer_are_read():
    query = parse("Patient", [("_count", "7"), ("_sort", "-_lastUpdated"), ("_total", "accurate"), ("_format", "json"), ("name", ""), ("_summary", "false")], strict=True)

    assert (query.count, query.sort, query.total, query.summary) == (7, "-_lastUpdated", True, "")
    assert query.understood == (("_count", "7"), ("_sort", "-_lastUpdated"), ("_total", "accurate"), ("_summary", "false"))
    assert parse("Patient", [("_summary", "count")], strict=True).summary == "count"
    assert parse("Patient", [("_count", "0")], strict=True).summary == "count"
    assert parse("Patient", [("_count", "999999")], strict=True).count == MOST
    assert parse("Patient", [("_count", "999999")], strict=True).understood == (("_count", str(MOST)),)
    assert parse("Patient", [("_cursor", "5")], strict=True).cursor == "5"


@pytest.mark.parametrize("name", ["foo", "organization.name", "organization:Organization.name", "_has:Observation:patient:code", "_include", "_revinclude", "_sort", "_summary", "_elements", "near"])
def test_what_is_not_supported_is_ignored_and_said_or_refused_when_strict(name):
    type = "Location" if name == "near" else "Patient"
    query = parse(type, [(name, "x"), ("_id", "1")], strict=False)

    assert query.understood == (("_id", "1"),)
    assert [(issue.severity, issue.expression) for issue in query.issues] == [("warning", (name,))]
    assert "ignoré" in query.issues[0].french
    with pytest.raises(FhirError) as caught:
        parse(type, [(name, "x"), ("_id", "1")], strict=True)
    assert (caught.value.status, [issue.severity for issue in caught.value.issues]) == (400, ["error"])
    assert "refusé" in caught.value.issues[0].french


def test_a_composite_parameter_is_named_as_not_yet_supported():
    query = parse("Observation", [("code-value-quantity", "a$b")], strict=False)

    assert "composite" in query.issues[0].diagnostics


@pytest.mark.parametrize(("name", "value"), [
    ("name:foo", "x"), ("name:text", "x"), ("gender:in", "x"), ("birthdate:exact", "2026"), ("general-practitioner:Patient", "1"), ("_id:not", "1"),
    ("birthdate", "yesterday"), ("birthdate", "2026-13"), ("birthdate", "2026-02-30"), ("_lastUpdated", "x"), ("_count", "-1"), ("_count", "x"),
    ("active:missing", "maybe"), ("_cursor", "x"), ("_total", "x"), ("general-practitioner:Organization", "Practitioner/1"), ("_cursor", "2026~1"),
])  # fmt: skip
def test_a_wrong_modifier_or_value_is_refused_in_any_case(name, value):
    for strict in (True, False):
        with pytest.raises(FhirError) as caught:
            parse("Patient", [(name, value)], strict=strict)

        assert caught.value.status == 400
        assert caught.value.issues[0].french


@pytest.mark.parametrize(("type", "name", "value"), [("RiskAssessment", "probability", "high"), ("RiskAssessment", "probability", "1e9999"), ("Observation", "value-quantity", "|s|mg")])
def test_what_is_no_number_is_refused(type, name, value):
    with pytest.raises(FhirError):
        parse(type, [(name, value)], strict=False)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(FhirError) as caught:
        parse("Patient", [("birthdate", "x"), ("foo", "1"), ("_count", "x")], strict=True)

    assert {issue.expression for issue in caught.value.issues} == {("birthdate",), ("foo",), ("_count",)}


def test_a_search_has_limits_and_the_largest_search_runs():
    house = House([patient("a", identifier=[{"value": "1"}])])
    values = ",".join(str(i) for i in range(VALUES))

    assert house.search("Patient", ("identifier", values)) == ["a"]
    assert house.search("Patient", *[("identifier", "1")] * CONDITIONS) == ["a"]
    for params in ([("identifier", values + ",x")], [("identifier", "1")] * (CONDITIONS + 1)):
        with pytest.raises(FhirError) as caught:
            parse("Patient", params, strict=False)
        assert caught.value.issues[0].code == "too-costly"


def test_a_selective_search_starts_from_its_index():
    house = House()
    house.db.execute("CREATE INDEX tokens ON index_token (parameter, code, system, pk)")
    query = parse("Patient", [("active", "true"), ("identifier", "s|1")], strict=True)
    plan = " ".join(row[3] for row in house.db.execute("EXPLAIN QUERY PLAN " + query.sql(NOW).text, query.sql(NOW).args))

    assert "SEARCH x USING COVERING INDEX tokens (parameter=? AND code=?)" in plan
    assert "SEARCH r USING INTEGER PRIMARY KEY" in plan


def test_a_second_range_is_looked_up_by_resource_and_never_read_once_per_resource():
    house = House()
    house.db.execute("CREATE INDEX by_value ON index_date (parameter, low, high, pk)")
    query = parse("Observation", [("date", "ge2026-01-01"), ("date", "lt2026-02-01")], strict=True)
    plan = " ".join(row[3] for row in house.db.execute("EXPLAIN QUERY PLAN " + query.sql(NOW).text, query.sql(NOW).args))

    assert "SEARCH x USING PRIMARY KEY (pk=? AND parameter=?)" in plan
