"""Misconfigured subscriptions are refused at creation, each with its remedy, in two languages."""

from datetime import UTC, datetime

import pytest
from subscription_kit import BACKPORT, TOPIC, extension, subscription

from icops_fhir.subscriptions.endpoint import Policy
from icops_fhir.subscriptions.subscription import check, read

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
GOOD = subscription()


def channel(**changes: object) -> dict:
    return GOOD | {"channel": {key: value for key, value in (GOOD["channel"] | changes).items() if value is not None}}


WRONG = {
    "unknown topic": (GOOD | {"criteria": "https://icops-fhir.org/fhir/SubscriptionTopic/none"}, "the topics are: " + TOPIC),
    "a topic that watches nothing here": (GOOD | {"criteria": "http://hl7.org/SubscriptionTopic/admission"}, "is not a topic of this server"),
    "criteria of plain R4": (GOOD | {"criteria": "Task?status=requested"}, "is not a topic of this server"),
    "no criteria": ({key: value for key, value in GOOD.items() if key != "criteria"}, "is not a topic of this server"),
    "another version of the topic": (GOOD | {"criteria": TOPIC + "|9.9"}, "has version 1.0.0"),
    "a type the topic never watches": (subscription("http://127.0.0.1/", "Observation?patient=Patient/x"), "can never pass: the topic watches CarePlan, Task"),
    "unknown filter": (subscription("http://127.0.0.1/", "Task?priority=urgent"), "the topic has no filter priority; it has"),
    "filter without name": (subscription("http://127.0.0.1/", "Task?"), "says nothing"),
    "untyped filter one type does not have": (subscription("http://127.0.0.1/", "owner=Practitioner/1"), "name the type (Task?owner=…)"),
    "modifier the topic does not allow": (subscription("http://127.0.0.1/", "Task?patient:not=Patient/x"), "does not allow the modifier :not"),
    "unknown modifier": (subscription("http://127.0.0.1/", "Task?status:in=x"), "does not allow the modifier :in"),
    "missing is neither true nor false": (subscription("http://127.0.0.1/", "Task?owner:missing=yes"), "write true or false"),
    "reference to a type that cannot be there": (subscription("http://127.0.0.1/", "Task?patient=Practitioner/1"), "this element refers to Patient"),
    "absolute reference": (subscription("http://127.0.0.1/", "Task?patient=https://here.example/fhir/Patient/x"), "relative to this server"),
    "no reference at all": (subscription("http://127.0.0.1/", "Task?patient="), "is no reference"),
    "code that does not exist": (subscription("http://127.0.0.1/", "Task?status=done"), "'done' is not one of"),
    "code of the other type": (subscription("http://127.0.0.1/", "status=requested"), "CarePlan?status=requested can never pass"),
    "two filters that exclude each other": (subscription("http://127.0.0.1/", "Task?status=draft", "Task?status=ready"), "can never pass together"),
    "payload extension on the channel": (channel(extension=[extension("backport-payload-content", valueCode="id-only")]), "goes on Subscription.channel.payload"),
    "filter on the subscription": (GOOD | {"extension": [extension("backport-filter-criteria", valueString="patient=Patient/x")]}, "goes on Subscription.criteria"),
    "filter with the wrong value type": (GOOD | {"_criteria": {"extension": [extension("backport-filter-criteria", valueUri="patient=x")]}}, "with valueString"),
    "extension that does not exist": (channel(extension=[extension("backport-maxcount", valuePositiveInt=1)]), "is unknown; the extensions are"),
    "no payload content": (channel(_payload=None), "backport-payload-content"),
    "wrong payload content": (subscription(content="full"), "valueCode empty, id-only, full-resource"),
    "no payload": (channel(payload=None), "the payload is application/fhir+json"),
    "xml payload": (channel(payload="application/fhir+xml"), "the payload is application/fhir+json"),
    "websocket": (channel(type="websocket"), "by rest-hook only, not by 'websocket'"),
    "email": (channel(type="email", endpoint="mailto:a@b.example"), "by rest-hook only, not by 'email'"),
    "custom channel": (channel(_type={"extension": [extension("backport-channel-type", valueCoding={"code": "zulip"})]}), "extended channel type"),
    "no endpoint": (channel(endpoint=None), "needs its endpoint"),
    "ftp endpoint": (channel(endpoint="ftp://files.example/x"), "starts with https:// or http://"),
    "file endpoint": (channel(endpoint="file:///etc/passwd"), "starts with https:// or http://"),
    "endpoint without host": (channel(endpoint="http:///hook"), "names no host"),
    "endpoint with a password": (channel(endpoint="https://u:p@host.example/"), "put credentials in channel.header"),
    "cloud metadata": (channel(endpoint="http://169.254.169.254/latest"), "does not notify 169.254.169.254"),
    "private network": (channel(endpoint="http://10.0.0.7/hook"), "does not notify 10.0.0.7"),
    "mapped private network": (channel(endpoint="http://[::ffff:10.0.0.7]/hook"), "does not notify"),
    "health data in the clear": (subscription("http://hook.example/", content="full-resource"), "use https://, or id-only"),
    "headers that are no list": (channel(header=3), "cannot be sent"),
    "end before all time": (GOOD | {"end": "0001-01-01T00:00:00+14:00"}, "is no instant"),
    "header that is ours": (channel(header=["Content-Length: 3"]), "cannot be sent"),
    "header with a line break": (channel(header=["X-A: 1\r\nX-B: 2"]), "cannot be sent"),
    "header without colon": (channel(header=["Bearer abc"]), "cannot be sent"),
    "heartbeat of zero": (channel(extension=[extension("backport-heartbeat-period", valueUnsignedInt=0)]), "one whole number"),
    "heartbeat beyond all time": (channel(extension=[extension("backport-heartbeat-period", valueUnsignedInt=2**31)]), "one whole number"),
    "count that is a text": (channel(extension=[extension("backport-max-count", valuePositiveInt="20")]), "one whole number"),
    "status only the server gives": (GOOD | {"status": "error"}, "send requested to (re)activate"),
    "end in the past": (GOOD | {"end": "2020-12-31T12:00:00Z"}, "would never notify"),
    "end that is a date": (GOOD | {"end": "2027-01-01"}, "is no instant"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_subscription_that_could_not_notify_is_refused_with_the_remedy(name: str) -> None:
    resource, expected = WRONG[name]
    issues = check(resource, Policy(), NOW)

    assert any(expected in issue.diagnostics for issue in issues), [issue.diagnostics for issue in issues]
    assert all(issue.refuses and issue.french and issue.rule and issue.expression for issue in issues)


@pytest.mark.parametrize("resource", [
    GOOD,
    GOOD | {"criteria": TOPIC + "|1.0.0"},
    GOOD | {"status": "off"},
    GOOD | {"end": "2027-01-01T00:00:00+01:00"},
    subscription("https://hook.example/x?y=1", "patient=Patient/x", "Task?status:not=draft,entered-in-error", content="full-resource"),
    subscription("http://localhost:8081/", "careplan=CarePlan/p1", content="empty"),
    channel(header=["Authorization: Bearer abc", "X-Site: a b"], payload="application/json"),
    channel(extension=[extension("backport-max-count", valuePositiveInt=20), extension("backport-timeout", valueUnsignedInt=5)]),
])
def test_a_good_subscription_is_accepted(resource: dict) -> None:
    assert check(resource, Policy(), NOW) == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    issues = check({"resourceType": "Subscription", "status": "error", "criteria": "x", "channel": {"type": "sms"}})

    assert {issue.rule for issue in issues} >= {"icops-subscription-topic", "icops-subscription-status", "icops-subscription-channel", "icops-subscription-payload"}


def test_a_resource_of_any_shape_is_judged_without_failing() -> None:
    for shape in ({}, {"channel": []}, {"channel": "x", "criteria": 3}, {"_criteria": {"extension": {}}}, {"extension": "x"}, {"channel": {"header": [3]}}):
        assert check({"resourceType": "Subscription", **shape})


def test_the_channel_is_read_as_written() -> None:
    found = read(subscription("https://hook.example/", channel=(
        extension("backport-max-count", valuePositiveInt=20), extension("backport-timeout", valueUnsignedInt=5),
        extension("backport-heartbeat-period", valueUnsignedInt=60))) | {"end": "2027-01-01T01:00:00+01:00", "status": "error"})

    assert (found.max_count, found.timeout, found.heartbeat, found.content, found.end) == (20, 5.0, 60, "id-only", "2027-01-01T00:00:00.000Z")


def test_a_site_opens_its_own_networks_and_names() -> None:
    policy = Policy(("10.1.0.0/16", "*.chu.example"))

    assert policy.reaches("10.1.2.3", "10.1.2.3")
    assert policy.reaches("sil.chu.example", "192.168.0.4")
    assert not policy.reaches("evil.example", "192.168.0.4")
    assert not policy.reaches("localhost", "127.0.0.1")
    assert not Policy().reaches("rebind.example", "10.1.2.3")
    assert not Policy().reaches("meta.example", "169.254.169.254")
    assert not Policy().reaches("any.example", "0.0.0.0")
    assert Policy().reaches("hook.example", "93.184.216.34")
    assert Policy(("catcher",)).reaches("catcher", "172.18.0.3")
    assert check(subscription("http://sil.chu.example/", content="full-resource"), policy) == []
    with pytest.raises(ValueError, match="does not appear"):
        Policy(("10.1/16",))


def test_the_extensions_are_those_of_the_guide() -> None:
    assert BACKPORT == "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
