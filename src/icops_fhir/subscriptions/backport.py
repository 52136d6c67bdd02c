"""The extensions that make an R4 Subscription topic-based: where each goes, what it holds.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/StructureDefinition-backport-subscription.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from icops_fhir.fhir.issue import Issue

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


def misplaced(resource: Resource) -> Iterator[Issue]:
    """Our extensions anywhere but in their place would be ignored: say where they go."""
    stack: list[tuple[str, Any]] = [("Subscription", resource)]
    while stack:
        where, node = stack.pop()
        if isinstance(node, list):
            stack += [(where, one) for one in node]
        if not isinstance(node, dict):
            continue
        for one in node.get("extension", ()) if isinstance(node.get("extension"), list) else ():
            url = str(object_(one).get("url", ""))
            if not url.startswith(BACKPORT):
                continue
            place, member = EXTENSIONS.get(url.removeprefix(BACKPORT), ("", ""))
            if not place:
                yield issue("not-supported", where + ".extension", f"{url} is unknown; the extensions are {', '.join(EXTENSIONS)}",
                            f"{url} est inconnue ; les extensions sont {', '.join(EXTENSIONS)}", "extension")
            elif place != where or member not in one:
                yield issue("structure", where + ".extension", f"{url} goes on {place} with {member}", f"{url} se place sur {place} avec {member}", "extension")
        stack += [(f"{where}.{name.removeprefix('_')}", child) for name, child in node.items() if name != "extension"]


def extensions(resource: Resource, name: str) -> list[Any]:
    """The values of an extension at its place in a Subscription."""
    place = EXTENSIONS[name][0].split(".")[1:]
    node: Any = resource
    for step in place[:-1]:
        node = object_(node).get(step)
    holder = object_(node).get(place[-1]) if place[-1] == "channel" else object_(node).get("_" + place[-1])
    return values(object_(holder), name)


def values(holder: Resource, name: str) -> list[Any]:
    """The values of an extension on the element that holds it."""
    member = EXTENSIONS[name][1]
    found = holder.get("extension")
    return [one.get(member) for one in found if isinstance(one, dict) and one.get("url") == BACKPORT + name] if isinstance(found, list) else []


def first(resource: Resource, name: str) -> Any:
    return next(iter(extensions(resource, name)), None)


def object_(value: Any) -> Resource:
    return value if isinstance(value, dict) else {}


def issue(code: str, where: str, english: str, french: str, rule: str) -> Issue:
    return Issue("error", code, f"{where}: {english}.", (where,), rule=f"icops-subscription-{rule}", french=f"{where} : {french}.")
