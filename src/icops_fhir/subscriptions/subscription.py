"""A topic-based Subscription in R4: read, and refused at creation when it could never notify.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/StructureDefinition-backport-subscription.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.subscriptions import endpoint
from icops_fhir.subscriptions import filter as filters
from icops_fhir.subscriptions.explain import FIRED, Reason
from icops_fhir.subscriptions.filter import Condition
from icops_fhir.subscriptions.topic import Topic, topics

Resource = dict[str, Any]

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
# Extension: (where it goes, its value member)
EXTENSIONS = {
    "backport-filter-criteria":  ("Subscription.criteria", "valueString"),
    "backport-payload-content":  ("Subscription.channel.payload", "valueCode"),
    "backport-channel-type":     ("Subscription.channel.type", "valueCoding"),
    "backport-heartbeat-period": ("Subscription.channel", "valueUnsignedInt"),
    "backport-timeout":          ("Subscription.channel", "valueUnsignedInt"),
    "backport-max-count":        ("Subscription.channel", "valuePositiveInt"),
}
CONTENTS = ("empty", "id-only", "full-resource")
MEDIA = ("application/fhir+json", "application/json")
MAX_COUNT = 100     # events of one notification, whatever the subscriber asks
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)")
_STATUS = "icops-subscription-status"
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"})


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
    issues = list(_misplaced(resource))
    channel = _object(resource.get("channel"))
    topic = known.get(str(resource.get("criteria", "")).partition("|")[0])
    if topic is None:
        names = ", ".join(sorted(known)) or "none"
        issues.append(_issue("not-found", "Subscription.criteria", f"{resource.get('criteria')!r} is not a topic of this server; the topics are: {names}",
                             f"{resource.get('criteria')!r} n'est pas un sujet de ce serveur ; les sujets sont : {names}", "topic"))
    elif "|" in str(resource["criteria"]) and str(resource["criteria"]).partition("|")[2] != topic.version:
        issues.append(_issue("not-found", "Subscription.criteria", f"this server has version {topic.version} of that topic",
                             f"ce serveur a la version {topic.version} de ce sujet", "topic"))
    issues += _lifecycle(resource, now)
    issues += _channel(channel, policy)
    conditions: dict[str, tuple[Condition, ...]] = {}
    typed = False
    if topic is not None:
        texts = [str(value) for value in _extensions(resource, "backport-filter-criteria")]
        typed = any(filters.split(text)[0] for text in texts)
        conditions = _conditions(topic, texts, issues)
    if topic is None or any(issue.refuses and issue.rule != _STATUS for issue in issues):
        return None, issues
    return Subscription(
        str(resource.get("id", "")), str(resource.get("status", "")), topic, tuple(conditions.items()), typed, channel["endpoint"],
        tuple(_HEADER.fullmatch(text).groups() for text in channel.get("header", ())),      # type: ignore[union-attr, misc]
        str(channel["payload"]), str(_one(resource, "backport-payload-content")),
        min(int(_one(resource, "backport-max-count") or 1), MAX_COUNT), float(_one(resource, "backport-timeout") or 0),
        int(_one(resource, "backport-heartbeat-period") or 0), _instant(resource.get("end", "")) or "",
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
        yield _issue("value", "Subscription.status", f"status {status!r} is set by the server; send requested to (re)activate, off to stop",
                     f"le statut {status!r} est donné par le serveur ; envoyez requested pour (ré)activer, off pour arrêter", "status")
    end = resource.get("end")
    if end is not None:
        at = _instant(end)
        if at is None:
            yield _issue("value", "Subscription.end", f"{end!r} is no instant (2026-12-31T12:00:00Z)", f"{end!r} n'est pas un instant (2026-12-31T12:00:00Z)", "end")
        elif now is not None and at <= instant(now) and status != "off":
            yield _issue("value", "Subscription.end", f"the end {end} is past: it would never notify", f"la fin {end} est passée : rien ne serait notifié", "end")


def _channel(channel: Resource, policy: endpoint.Policy) -> Iterator[Issue]:
    kind = channel.get("type")
    custom = _object(channel.get("_type")).get("extension")
    if kind != "rest-hook" or custom:
        shown = "an extended channel type" if custom else repr(kind)
        yield _issue("not-supported", "Subscription.channel.type", f"this server notifies by rest-hook only, not by {shown}",
                     f"ce serveur ne notifie que par rest-hook, pas par {shown}", "channel")
    if not isinstance(channel.get("endpoint"), str) or not channel["endpoint"]:
        yield _issue("required", "Subscription.channel.endpoint", "a rest-hook needs its endpoint (https://…)", "un rest-hook a besoin de son adresse (https://…)", "endpoint")
    else:
        yield from endpoint.check(channel["endpoint"], policy)
    if channel.get("payload") not in MEDIA:
        yield _issue("not-supported", "Subscription.channel.payload", f"the payload is {MEDIA[0]}, not {channel.get('payload')!r}",
                     f"le contenu est en {MEDIA[0]}, pas en {channel.get('payload')!r}", "payload")
    content = _values(_object(channel.get("_payload")), "backport-payload-content")
    if len(content) != 1 or content[0] not in CONTENTS:
        yield _issue("required", "Subscription.channel.payload.extension", f"say how much to send with {BACKPORT}backport-payload-content (valueCode {', '.join(CONTENTS)})",
                     f"dites combien envoyer avec {BACKPORT}backport-payload-content (valueCode {', '.join(CONTENTS)})", "payload")
    for text in channel.get("header", ()):
        found = _HEADER.fullmatch(text) if isinstance(text, str) else None
        if found is None or found[1].lower() in _OURS or not text.isascii():
            name = found[1] if found else "?"
            yield _issue("value", "Subscription.channel.header", f"header {name} cannot be sent; write Name: value, and leave to us {', '.join(sorted(_OURS))}",
                         f"l'en-tête {name} ne peut pas être envoyé ; écrivez Nom: valeur, et laissez-nous {', '.join(sorted(_OURS))}", "header")
    for name, least in (("backport-heartbeat-period", 1), ("backport-timeout", 1), ("backport-max-count", 1)):
        values = _values(channel, name)
        if len(values) > 1 or any(not isinstance(value, int) or isinstance(value, bool) or value < least for value in values):
            yield _issue("value", "Subscription.channel.extension", f"{name} is one whole number, {least} or more", f"{name} est un nombre entier, {least} ou plus", "channel")


def _misplaced(resource: Resource) -> Iterator[Issue]:
    """Our extensions anywhere but in their place would be ignored: say where they go."""
    stack: list[tuple[str, Any]] = [("Subscription", resource)]
    while stack:
        where, node = stack.pop()
        if isinstance(node, list):
            stack += [(where, one) for one in node]
        if not isinstance(node, dict):
            continue
        for one in node.get("extension", ()) if isinstance(node.get("extension"), list) else ():
            url = str(_object(one).get("url", ""))
            if not url.startswith(BACKPORT):
                continue
            place, member = EXTENSIONS.get(url.removeprefix(BACKPORT), ("", ""))
            if not place:
                yield _issue("not-supported", where + ".extension", f"{url} is unknown; the extensions are {', '.join(EXTENSIONS)}",
                             f"{url} est inconnue ; les extensions sont {', '.join(EXTENSIONS)}", "extension")
            elif place != where or member not in one:
                yield _issue("structure", where + ".extension", f"{url} goes on {place} with {member}", f"{url} se place sur {place} avec {member}", "extension")
        stack += [(f"{where}.{name.removeprefix('_')}", child) for name, child in node.items() if name != "extension"]


def _extensions(resource: Resource, name: str) -> list[Any]:
    place = EXTENSIONS[name][0].split(".")[1:]
    node: Any = resource
    for step in place[:-1]:
        node = _object(node).get(step)
    holder = _object(node).get(place[-1]) if place[-1] == "channel" else _object(node).get("_" + place[-1])
    return _values(_object(holder), name)


def _values(holder: Resource, name: str) -> list[Any]:
    member = EXTENSIONS[name][1]
    found = holder.get("extension")
    return [one.get(member) for one in found if isinstance(one, dict) and one.get("url") == BACKPORT + name] if isinstance(found, list) else []


def _one(resource: Resource, name: str) -> Any:
    return next(iter(_extensions(resource, name)), None)


def _object(value: Any) -> Resource:
    return value if isinstance(value, dict) else {}


def instant(moment: datetime) -> str:
    """As the store writes it: UTC, milliseconds, Z; texts of this form sort like the moments."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _instant(text: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return instant(moment) if moment.tzinfo else None


def _issue(code: str, where: str, english: str, french: str, rule: str) -> Issue:
    return Issue("error", code, f"{where}: {english}.", (where,), rule=f"icops-subscription-{rule}", french=f"{where} : {french}.")


def _filter(english: str, french: str) -> Issue:
    return _issue("value", "Subscription.criteria.extension", english, french, "filter")
