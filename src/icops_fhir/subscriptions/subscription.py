"""A topic-based Subscription in R4: read, and refused at creation when it could never notify.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/StructureDefinition-backport-subscription.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.subscriptions import backport, endpoint
from icops_fhir.subscriptions import channel as channels
from icops_fhir.subscriptions import filter as filters
from icops_fhir.subscriptions.explain import FIRED, Reason
from icops_fhir.subscriptions.filter import Condition
from icops_fhir.subscriptions.topic import Topic, topics

Resource = dict[str, Any]

MAX_COUNT = 100     # events of one notification, whatever the subscriber asks
_STATUS = "icops-subscription-status"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the engine needs of one version of one Subscription."""

    id: str
    status: str
    topic: Topic
    conditions: tuple[tuple[str, tuple[Condition, ...]], ...]   # per type the filters of that type; absent: every change of the topic
    typed: bool                                                 # some filter names its type
    endpoint: str
    headers: tuple[tuple[str, str], ...]
    media: str
    content: str
    max_count: int
    timeout: float      # 0: the server's own
    heartbeat: int      # 0: none
    end: str

    def stands(self, at: str) -> Reason:
        """Whether it is to hear of anything, at that instant."""
        if self.status == "off":
            return Reason("off")
        return Reason("ended", self.end) if self.end and at and self.end <= at else FIRED

    def admits(self, resource: Resource) -> Reason:
        """Every filter of the resource's type must pass; when filters name types, the other types are left out.

        The guide's own example ANDs `Patient?…` with `Encounter?…`: per type, or nothing would ever pass. A type no
        filter names is left out rather than let through, so that `Task?patient=…` never shows other patients' plans.
        """
        type_ = str(resource.get("resourceType", ""))
        mine = dict(self.conditions).get(type_)
        if mine is None:
            return Reason("filtered-type", type_) if self.typed else FIRED
        failed = next((one for one in mine if not one.matches(resource)), None)
        return FIRED if failed is None else Reason("filtered", str(failed))

    @property
    def channel(self) -> tuple[Any, ...]:
        """What a handshake has verified."""
        return self.endpoint, self.headers, self.media, self.content


def check(resource: Resource, policy: endpoint.Policy = endpoint.Policy(), now: datetime | None = None,  # noqa: B008
          known: Mapping[str, Topic] | None = None) -> list[Issue]:
    """Everything that would keep this Subscription from notifying; empty when it can be served."""
    return _read(resource, policy, now, topics() if known is None else known)[1]


def read(resource: Resource, known: Mapping[str, Topic] | None = None) -> Subscription:
    """A stored Subscription, whatever status we gave it; FhirError when it cannot be served.

    The endpoint's host is asked at delivery, when its name is an address.
    """
    subscription, issues = _read(resource, endpoint.Policy(("*",)), None, topics() if known is None else known)
    if subscription is None:
        raise FhirError(issues, status=422)
    return subscription


def _read(resource: Resource, policy: endpoint.Policy, now: datetime | None, known: Mapping[str, Topic]) -> tuple[Subscription | None, list[Issue]]:
    issues = list(backport.misplaced(resource))
    channel = backport.object_(resource.get("channel"))
    topic = known.get(str(resource.get("criteria", "")).partition("|")[0])
    if topic is None:
        names = ", ".join(sorted(known)) or "none"
        issues.append(backport.issue("not-found", "Subscription.criteria", f"{resource.get('criteria')!r} is not a topic of this server; the topics are: {names}",
                                     f"{resource.get('criteria')!r} n'est pas un sujet de ce serveur ; les sujets sont : {names}", "topic"))
    elif "|" in str(resource["criteria"]) and str(resource["criteria"]).partition("|")[2] != topic.version:
        issues.append(backport.issue("not-found", "Subscription.criteria", f"this server has version {topic.version} of that topic",
                                     f"ce serveur a la version {topic.version} de ce sujet", "topic"))
    issues += _lifecycle(resource, now)
    issues += channels.check(channel, policy)
    conditions: dict[str, tuple[Condition, ...]] = {}
    typed = False
    if topic is not None:
        texts = [str(value) for value in backport.extensions(resource, "backport-filter-criteria")]
        typed = any(filters.split(text)[0] for text in texts)
        conditions = _conditions(topic, texts, issues)
    if topic is None or any(issue.refuses and issue.rule != _STATUS for issue in issues):
        return None, issues
    return Subscription(
        str(resource.get("id", "")), str(resource.get("status", "")), topic, tuple(conditions.items()), typed, channel["endpoint"],
        tuple(channels.HEADER.fullmatch(text).groups() for text in channel.get("header", ())),      # type: ignore[union-attr, misc]
        str(channel["payload"]), str(backport.first(resource, "backport-payload-content")),
        min(int(backport.first(resource, "backport-max-count") or 1), MAX_COUNT), float(backport.first(resource, "backport-timeout") or 0),
        int(backport.first(resource, "backport-heartbeat-period") or 0), _instant(resource.get("end", "")) or "",
    ), issues


def _conditions(topic: Topic, texts: list[str], issues: list[Issue]) -> dict[str, tuple[Condition, ...]]:
    found: dict[str, tuple[Condition, ...]] = {}
    for text in texts:
        type_, pairs = filters.split(text)
        if type_ and type_ not in topic.types:
            names = ", ".join(sorted(topic.types))
            issues.append(_filter(f"{text!r} can never pass: the topic watches {names}", f"{text!r} ne peut jamais passer : le sujet surveille {names}"))
            continue
        if not pairs:
            issues.append(_filter(f"{text!r} says nothing; write Type?name=value", f"{text!r} ne dit rien ; écrivez Type?nom=valeur"))
        for name, modifier, value in pairs:
            holders = [one for one in sorted(topic.types) if type_ in ("", one) and (one, name) in topic.parameters]
            if not holders:
                names = ", ".join(sorted(f"{one}?{code}" for one, code in topic.parameters if type_ in ("", one)))
                issues.append(_filter(f"{text!r}: the topic has no filter {name}; it has {names}", f"{text!r} : le sujet n'a pas de filtre {name} ; il a {names}"))
            for one in holders:
                condition, wrong = filters.condition(topic.parameters[one, name], modifier, value)
                issues += wrong
                found[one] = (*found.get(one, ()), condition)
            if not type_ and holders and set(holders) != set(topic.types):
                other = ", ".join(sorted(set(topic.types) - set(holders)))
                issues.append(_filter(f"{text!r}: {other} has no filter {name}; name the type ({holders[0]}?{name}=…)",
                                      f"{text!r} : {other} n'a pas de filtre {name} ; nommez le type ({holders[0]}?{name}=…)"))
    for mine in found.values():
        issues.extend(filters.contradictions(mine))
    return found


def _lifecycle(resource: Resource, now: datetime | None) -> Iterator[Issue]:
    status = resource.get("status")
    if status not in ("requested", "active", "off"):
        yield backport.issue("value", "Subscription.status", f"status {status!r} is set by the server; send requested to (re)activate, off to stop",
                             f"le statut {status!r} est donné par le serveur ; envoyez requested pour (ré)activer, off pour arrêter", "status")
    end = resource.get("end")
    if end is not None:
        at = _instant(end)
        if at is None:
            yield backport.issue("value", "Subscription.end", f"{end!r} is no instant (2026-12-31T12:00:00Z)", f"{end!r} n'est pas un instant (2026-12-31T12:00:00Z)", "end")
        elif now is not None and at <= instant(now) and status != "off":
            yield backport.issue("value", "Subscription.end", f"the end {end} is past: it would never notify", f"la fin {end} est passée : rien ne serait notifié", "end")


def instant(moment: datetime) -> str:
    """As the store writes it: UTC, milliseconds, Z; texts of this form sort like the moments."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _instant(text: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(str(text))
        return instant(moment) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _filter(english: str, french: str) -> Issue:
    return backport.issue("value", "Subscription.criteria.extension", english, french, "filter")
