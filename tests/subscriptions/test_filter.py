"""Filters: the engine against a naive evaluation of the same words."""

from hypothesis import given
from hypothesis import strategies as st
from subscription_kit import TOPIC, care_plan, subscription, task

from icops_fhir.subscriptions.filter import condition, split
from icops_fhir.subscriptions.subscription import read
from icops_fhir.subscriptions.topic import topics

PARAMETERS = topics()[TOPIC].parameters
PATIENTS, PLANS = ("x", "y"), ("p1", "p2")
STATUSES = {"Task": ("requested", "completed", "draft"), "CarePlan": ("active", "completed", "draft")}

resources = st.one_of(
    st.builds(task, plan=st.sampled_from([None, *PLANS]), patient=st.sampled_from(PATIENTS), status=st.sampled_from(STATUSES["Task"])),
    st.builds(care_plan, st.sampled_from(PLANS), patient=st.sampled_from(PATIENTS), status=st.sampled_from(STATUSES["CarePlan"])),
)
words = st.one_of(
    st.tuples(st.sampled_from(["", "Task?", "CarePlan?"]), st.just("patient"), st.just(""), st.lists(st.sampled_from(["Patient/x", "y"]), min_size=1, max_size=2)),
    st.tuples(st.sampled_from(["", "Task?", "CarePlan?"]), st.just("careplan"), st.just(""), st.lists(st.sampled_from(["CarePlan/p1", "p2"]), min_size=1, max_size=2)),
    st.tuples(st.sampled_from(["Task?", "CarePlan?"]), st.just("status"), st.sampled_from(["", ":not"]), st.lists(st.sampled_from(["completed", "draft"]), min_size=1, max_size=2)),
)


def naive(resource: dict, name: str, modifier: str, values: list[str]) -> bool:
    mine = {
        "patient": [resource.get("for", resource.get("subject", {})).get("reference")],
        "careplan": [f"CarePlan/{resource['id']}"] if resource["resourceType"] == "CarePlan" else [one["reference"] for one in resource.get("basedOn", ())],
        "status": [resource["status"]],
    }[name]
    hit = any(value in (one, one.partition("/")[2]) for one in mine for value in values)
    return hit != (modifier == ":not")


@given(resources, st.lists(words, max_size=3))
def test_filters_equal_their_naive_evaluation(resource: dict, asked: list) -> None:
    texts = [f"{type_}{name}{modifier}={','.join(values)}" for type_, name, modifier, values in asked]
    try:
        served = read(subscription("http://127.0.0.1/", *texts))
    except Exception:   # two filters that contradict each other are refused: another law
        return
    mine = [one for one in asked if one[0] in ("", resource["resourceType"] + "?")]
    expected = all(naive(resource, *one[1:]) for one in mine) if mine else not any(one[0] for one in asked)

    assert expected == served.admits(resource).fires


def test_missing_is_true_where_there_is_nothing() -> None:
    owner = PARAMETERS["Task", "owner"]
    absent, issues = condition(owner, "missing", "true")

    assert issues == []
    assert absent.matches(task())
    assert not absent.matches(task() | {"owner": {"reference": "Organization/1"}})


def test_a_token_is_found_in_a_concept_with_or_without_its_system() -> None:
    done = task() | {"code": {"coding": [{"system": "urn:s", "code": "call"}], "text": "Call"}}

    for text, expected in (("call", True), ("urn:s|call", True), ("urn:s|", True), ("urn:t|call", False), ("|call", False), ("visit", False), ("visit,call", True)):
        found, issues = condition(PARAMETERS["Task", "code"], "", text)
        assert issues == []
        assert expected == found.matches(done), text


def test_a_concept_with_only_a_text_has_no_code() -> None:
    found, _ = condition(PARAMETERS["Task", "code"], "", "call")

    assert not found.matches(task() | {"code": {"text": "call"}})


def test_a_reference_of_another_server_is_not_ours() -> None:
    found, _ = condition(PARAMETERS["Task", "patient"], "", "Patient/x")

    assert not found.matches(task() | {"for": {"reference": "https://other.example/fhir/Patient/x"}})
    assert not found.matches(task() | {"for": {"display": "no reference"}})
    assert not found.matches(task() | {"for": {"reference": "urn:uuid:x"}})


def test_a_filter_is_taken_apart_into_type_names_and_values() -> None:
    assert split("Task?patient=Patient/x&status:not=draft,ready") == ("Task", [("patient", "", "Patient/x"), ("status", "not", "draft,ready")])
    assert split("patient=Patient%2Fx") == ("", [("patient", "", "Patient/x")])
