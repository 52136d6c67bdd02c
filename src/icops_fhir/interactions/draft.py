"""The entries of a transaction made ready: each with its target, its references rewritten, its bytes and index rows.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from dataclasses import dataclass, field

from icops_fhir.fhir.bundle import rewrite
from icops_fhir.interactions import entry_error
from icops_fhir.interactions.conditional import Condition, Matches
from icops_fhir.interactions.content import ID
from icops_fhir.interactions.registry import Interaction
from icops_fhir.interactions.request import Request, Resource, new_id
from icops_fhir.store.engine import prepare
from icops_fhir.store.protocol import Prepared


@dataclass(slots=True)
class Step:
    """One entry: what is asked, the condition that names its target, the id it gets when it creates."""

    request: Request
    interaction: Interaction | None = None
    condition: Condition | None = None
    resource: Resource | None = None
    new_id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Draft:
    """The entries made ready for one set of matches."""

    matches: Matches
    targets: tuple[str, ...]                                 # "Patient/1" per entry, "" for a GET
    existing: frozenset[int]                                 # entries whose conditional create found its resource
    prepared: tuple[tuple[Prepared, Resource] | None, ...]


def drafted(steps: list[Step], matches: Matches, name: entry_error.Namer) -> Draft:
    """Targets, then references rewritten to them, then bytes and index rows."""
    targets: list[str] = []
    existing: set[int] = set()
    creating: dict[str, str] = {}           # a condition that matched nothing → the id it will have
    for number, step in enumerate(steps):
        request, condition = step.request, step.condition
        match_ = matches.get(condition.key, "") if condition else ""
        if request.method in ("GET", "HEAD"):
            targets.append("")
        elif condition is None:
            targets.append(f"{request.type}/{request.id or step.new_id}")
        elif match_:
            targets.append(f"{request.type}/{match_}")
            if request.method == "POST":
                existing.add(number)
        elif request.method == "POST" and condition.key in creating:
            targets.append(creating[condition.key])
            existing.add(number)
        elif request.method == "DELETE":
            targets.append("")
        else:
            own = (step.resource or {}).get("id", "") if request.method == "PUT" else ""
            if own and not ID.fullmatch(str(own)):
                own = ""
            targets.append(f"{request.type}/{own or step.new_id}")
            creating[condition.key] = targets[-1]
    _refuse_overlap(steps, targets, existing)
    mapping = {text: f"{text.partition('?')[0]}/{id_}" for text, id_ in matches.items() if not text.startswith(("POST ", "PUT ", "DELETE "))}
    for step, target in zip(steps, targets, strict=True):
        if step.request.full_url and target and step.request.method in ("POST", "PUT"):
            mapping.update(_aliases(step.request, target))
    prepared: list[tuple[Prepared, Resource] | None] = []
    for number, (step, target) in enumerate(zip(steps, targets, strict=True)):
        if step.resource is None or number in existing:
            prepared.append(None)
            continue
        with name(number):
            resource = rewrite(step.resource, mapping) if mapping else step.resource
            prepared.append((prepare(resource, id=target.partition("/")[2]), resource))
    return Draft(matches, tuple(targets), frozenset(existing), tuple(prepared))


def _aliases(request: Request, target: str) -> dict[str, str]:
    """How other entries may call this one: its fullUrl, and for a create also the Type/id inside that url."""
    url = request.full_url
    names = {url: target}
    if request.method == "POST" and url.startswith("http"):
        parts = url.rstrip("/").split("/")
        if len(parts) > 2 and parts[-2] == request.type:
            names["/".join(parts[-2:])] = target
    return names


def _refuse_overlap(steps: list[Step], targets: list[str], existing: set[int]) -> None:
    """No two entries may write the same resource: https://hl7.org/fhir/R4/http.html#trules"""
    first: dict[str, int] = {}
    for number, target in enumerate(targets):
        if target and number not in existing and first.setdefault(target, number) != number:
            raise entry_error.overlap(first[target], number, target)
    for number in sorted(existing):
        other = first.get(targets[number], number)
        if steps[other].request.method == "DELETE":
            raise entry_error.overlap(min(other, number), max(other, number), targets[number])
