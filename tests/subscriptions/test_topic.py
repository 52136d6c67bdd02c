"""The topic is data: what it watches, and what is refused in its definition."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from subscription_kit import TOPIC, care_plan, task

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.packages import profiles
from icops_fhir.subscriptions.topic import Topic, read, topics

DEFINITION = profiles().get("SubscriptionTopic", TOPIC) or {}
OURS: Topic = topics()[TOPIC]

maybe_task = st.none() | st.builds(lambda plan, status: task(plan=plan, status=status), st.sampled_from([None, "p1", "p2"]), st.sampled_from(["requested", "completed"]))


@given(maybe_task, maybe_task)
def test_a_task_fires_when_it_is_or_was_based_on_a_plan(previous: dict | None, current: dict | None) -> None:
    if previous is None and current is None:
        return
    expected = any(one and "basedOn" in one for one in (previous, current))

    assert expected == OURS.triggered(previous, current)


@given(st.booleans(), st.booleans())
def test_every_interaction_on_a_plan_fires(before: bool, after: bool) -> None:
    if before or after:
        assert OURS.triggered(care_plan() if before else None, care_plan(status="completed") if after else None)


def test_a_type_the_topic_does_not_watch_never_fires() -> None:
    assert OURS.decide(None, {"resourceType": "Patient", "id": "x"}).code == "other-type"


def test_a_task_based_on_something_else_says_which_criteria_failed() -> None:
    found = OURS.decide(None, task(plan=None) | {"basedOn": [{"reference": "ServiceRequest/1"}]})

    assert found.code == "criteria"
    assert "careplan:missing=false" in found.text()
    assert found.text("fr").startswith("La ressource n'est pas")


def test_the_shape_brings_the_plan_along_with_its_task() -> None:
    assert OURS.related(task(plan="p7")) == ["CarePlan/p7"]
    assert OURS.related(care_plan()) == []


def broken(**changes: object) -> dict:
    return copy.deepcopy(DEFINITION) | changes


def trigger(**changes: object) -> list:
    return [copy.deepcopy(DEFINITION["resourceTrigger"][1]) | changes]


@pytest.mark.parametrize("definition", [
    broken(resourceTrigger=[]),
    broken(url=""),
    broken(resourceTrigger=trigger(resource="Tsak")),
    broken(resourceTrigger=trigger(supportedInteraction=["upsert"])),
    broken(resourceTrigger=trigger(fhirPathCriteria="%current.status = 'x'")),
    broken(resourceTrigger=trigger(queryCriteria={"current": "unknown-name=1"})),
    broken(resourceTrigger=trigger(queryCriteria={"current": "status=finished"})),
    broken(resourceTrigger=trigger(queryCriteria={"current": "status=draft&status=ready"})),
    broken(resourceTrigger=trigger(queryCriteria={"current": "patient=Practitioner/1"})),
    broken(canFilterBy=[{"resource": "Task", "filterParameter": "no-such"}]),
    broken(notificationShape=[{"resource": "Task", "include": ["Task:focus"]}]),
], ids=lambda definition: json.dumps(definition["resourceTrigger"])[:60])
def test_a_topic_that_can_never_fire_is_refused_with_the_reason(definition: dict) -> None:
    with pytest.raises(FhirError) as caught:
        read(definition)

    assert caught.value.issues
    assert all("can never" in issue.diagnostics and issue.french for issue in caught.value.issues)
