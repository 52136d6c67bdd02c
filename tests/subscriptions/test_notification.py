"""The shape of notifications, as the backport guide asks (R4)."""

from subscription_kit import TOPIC, care_plan, numbers, subscription, task, told

from icops_fhir.subscriptions import notification
from icops_fhir.subscriptions.channel import CONTENTS
from icops_fhir.subscriptions.notification import Item
from icops_fhir.subscriptions.state import State
from icops_fhir.subscriptions.subscription import Subscription, read

BASE = "http://127.0.0.1:8080/fhir"
AT = "2026-11-22T08:00:00.000Z"


def served(content: str = "id-only") -> Subscription:
    return read(subscription(content=content))


def event(number: int, content: str = "id-only", method: str = "update") -> dict:
    focus = Item("Task", "t1", number + 1, method, AT, None if method == "delete" else task())
    return notification.event(BASE, served(content), number, focus, (Item("CarePlan", "p1", 1, "read", AT, care_plan()),))


def history_rules(bundle: dict) -> None:
    """bdl-3, bdl-4 of R4, and the rules of the guide on the first entry."""
    assert bundle["type"] == "history"
    assert all("request" in entry and "response" in entry for entry in bundle["entry"])
    first = bundle["entry"][0]
    assert first["resource"]["resourceType"] == "Parameters"
    assert first["fullUrl"] == "urn:uuid:" + first["resource"]["id"]
    assert first["request"] == {"method": "GET", "url": f"{BASE}/Subscription/s1/$status"}
    names = [one["name"] for one in first["resource"]["parameter"]]
    assert all(names.count(name) == 1 for name in ("subscription", "status", "type", "events-since-subscription-start"))
    assert told(bundle, "subscription") == {"reference": f"{BASE}/Subscription/s1"}


def test_every_notification_obeys_the_rules_of_a_history_bundle() -> None:
    state = State(1, "active", 3)
    for content in CONTENTS:
        for bundle in (event(4, content), event(4, content, "create"), event(4, content, "delete"),
                       notification.batch([event(1, content), event(2, content)]), notification.handshake(BASE, served(content), state, AT),
                       notification.heartbeat(BASE, served(content), state, AT), notification.query_events(BASE, served(content), state, [event(3, content)], content, AT)):
            history_rules(bundle)


def test_empty_tells_nothing_of_the_resource() -> None:
    bundle = event(1, "empty")
    parameters = bundle["entry"][0]["resource"]["parameter"]

    assert len(bundle["entry"]) == 1
    assert [part["name"] for part in parameters[-1]["part"]] == ["event-number", "timestamp"]
    assert "topic" not in [one["name"] for one in parameters]
    assert "Task" not in str(bundle)


def test_id_only_names_the_resources_without_showing_them() -> None:
    bundle = event(1)

    assert [entry["fullUrl"] for entry in bundle["entry"][1:]] == [f"{BASE}/Task/t1", f"{BASE}/CarePlan/p1"]
    assert not any("resource" in entry for entry in bundle["entry"][1:])
    assert told(bundle, "topic") == TOPIC


def test_full_resource_shows_them_and_a_deletion_has_nothing_to_show() -> None:
    assert event(1, "full-resource")["entry"][1]["resource"] == task()
    gone = event(1, "full-resource", "delete")["entry"][1]
    assert "resource" not in gone
    assert (gone["request"], gone["response"]["status"]) == ({"method": "DELETE", "url": "Task/t1"}, "204")


def test_the_same_event_is_the_same_bundle_for_ever() -> None:
    assert event(7, "full-resource") == event(7, "full-resource")
    assert event(7)["id"] != event(8)["id"]


def test_a_batch_has_every_event_once_in_order_and_what_goes_along_once() -> None:
    bundle = notification.batch([event(number, "full-resource") for number in (4, 5, 6)])

    assert numbers(bundle) == [4, 5, 6]
    assert told(bundle, "events-since-subscription-start") == "6"
    assert [entry["fullUrl"].rsplit("/", 2)[-2] for entry in bundle["entry"][1:]] == ["Task", "CarePlan", "Task", "Task"]
    assert len({entry["response"]["etag"] for entry in bundle["entry"] if entry["request"]["method"] == "PUT"}) == 3


def test_events_are_answered_with_less_content_but_never_with_more() -> None:
    state = State(1, "active", 1)
    full = [event(1, "full-resource")]

    assert notification.query_events(BASE, served("full-resource"), state, full, "full-resource", AT)["entry"][1]["resource"] == task()
    less = notification.query_events(BASE, served("full-resource"), state, full, "id-only", AT)
    assert numbers(less) == [1]
    assert not any("resource" in entry for entry in less["entry"][1:])
    least = notification.query_events(BASE, served("full-resource"), state, full, "empty", AT)
    assert len(least["entry"]) == 1
    assert numbers(least) == [1]
    kept = notification.query_events(BASE, served("empty"), state, [event(1, "empty")], "full-resource", AT)
    assert len(kept["entry"]) == 1


def test_an_error_is_told_with_its_code_and_words() -> None:
    found = notification.status(BASE, "s1", TOPIC, State(1, "error", 3, code="no-response", error="no answer"))
    error = next(one for one in found["parameter"] if one["name"] == "error")

    assert error["valueCodeableConcept"] == {"coding": [{"system": notification.ERRORS, "code": "no-response"}], "text": "no answer"}
