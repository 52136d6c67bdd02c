"""The channel of a Subscription: rest-hook, its endpoint, payload, headers and periods.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/channels.html#rest-hook
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from icops_fhir.fhir.issue import Issue
from icops_fhir.subscriptions import endpoint
from icops_fhir.subscriptions.backport import BACKPORT, issue, object_, values

Resource = dict[str, Any]

CONTENTS = ("empty", "id-only", "full-resource")
MEDIA = ("application/fhir+json", "application/json")
HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)")
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"})



def check(channel: Resource, policy: endpoint.Policy) -> Iterator[Issue]:
    """What keeps this channel from being served."""
    kind, address = channel.get("type"), channel.get("endpoint")
    custom = object_(channel.get("_type")).get("extension")
    if kind != "rest-hook" or custom:
        shown = "an extended channel type" if custom else repr(kind)
        yield issue("not-supported", "Subscription.channel.type", f"this server notifies by rest-hook only, not by {shown}",
                    f"ce serveur ne notifie que par rest-hook, pas par {shown}", "channel")
    if not isinstance(address, str) or not address:
        yield issue("required", "Subscription.channel.endpoint", "a rest-hook needs its endpoint (https://…)", "un rest-hook a besoin de son adresse (https://…)", "endpoint")
    else:
        yield from endpoint.check(address, policy)
    yield from _payload(channel, policy)
    yield from _headers(channel.get("header", []))
    for name in ("backport-heartbeat-period", "backport-timeout", "backport-max-count"):
        found = values(channel, name)
        if len(found) > 1 or any(not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31 for value in found):
            yield issue("value", "Subscription.channel.extension", f"{name} is one whole number, 1 or more", f"{name} est un nombre entier, 1 ou plus", "channel")


def _payload(channel: Resource, policy: endpoint.Policy) -> Iterator[Issue]:
    if channel.get("payload") not in MEDIA:
        yield issue("not-supported", "Subscription.channel.payload", f"the payload is {MEDIA[0]}, not {channel.get('payload')!r}",
                    f"le contenu est en {MEDIA[0]}, pas en {channel.get('payload')!r}", "payload")
    content = values(object_(channel.get("_payload")), "backport-payload-content")
    if len(content) != 1 or content[0] not in CONTENTS:
        yield issue("required", "Subscription.channel.payload.extension", f"say how much to send with {BACKPORT}backport-payload-content (valueCode {', '.join(CONTENTS)})",
                    f"dites combien envoyer avec {BACKPORT}backport-payload-content (valueCode {', '.join(CONTENTS)})", "payload")
    elif content == ["full-resource"] and not endpoint.private(str(channel.get("endpoint", "")), policy):
        yield issue("security", "Subscription.channel.endpoint", "full-resource shows health data: use https://, or id-only",
                    "full-resource montre des données de santé : utilisez https://, ou id-only", "endpoint")


def _headers(headers: Any) -> Iterator[Issue]:
    for text in headers if isinstance(headers, list) else [headers]:
        found = HEADER.fullmatch(text) if isinstance(text, str) else None
        if found is None or found[1].lower() in _OURS or not text.isascii():
            name = found[1] if found else "?"
            yield issue("value", "Subscription.channel.header", f"header {name} cannot be sent; write Name: value, and leave to us {', '.join(sorted(_OURS))}",
                        f"l'en-tête {name} ne peut pas être envoyé ; écrivez Nom: valeur, et laissez-nous {', '.join(sorted(_OURS))}", "header")
