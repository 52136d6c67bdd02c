"""transaction: every entry or none, references between entries followed, conditions met once for all.

https://hl7.org/fhir/R4/http.html#trules

    entries ─ plan ─ match (reader) ─ rewrite + prepare ──── queue ────┐
                        │                                              │ in the writer: match again; the same answer?
                        └──────────── else rewrite + prepare again ────┘ then DELETE, POST, PUT, GET, in that order
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from icops_fhir.interactions import conditional, entry_error
from icops_fhir.interactions.answers import created, deleted, found, updated
from icops_fhir.interactions.conditional import Matches
from icops_fhir.interactions.content import taken
from icops_fhir.interactions.draft import Draft, Step, drafted
from icops_fhir.interactions.identity import guarded, put
from icops_fhir.interactions.registry import find, of_entry, path_of
from icops_fhir.interactions.request import Answer, Request, Resource, Service, expected
from icops_fhir.store.protocol import Reader, Transaction

T = TypeVar("T")
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "GET": 3, "HEAD": 3}
WRITES = frozenset({"create", "update", "delete"})
IN_LOOP = 20        # entries prepared in the event loop; more of them go to a thread


async def transaction(service: Service, request: Request, entries: list[Resource]) -> list[Answer]:
    """The answers, entry by entry; a refusal names its entry."""
    steps: list[Step] = []
    for number, entry in enumerate(entries):
        with entry_error.named(number):
            asked = of_entry(entry, request)
            interaction, asked = find(path_of(entry, request.base), asked)
            if asked.method not in ORDER or (interaction.inside is None and interaction.code not in WRITES):
                raise entry_error.refused("not-supported", "is not possible in a transaction", "n'est pas possible dans une transaction")
            steps.append(Step(asked, interaction))
    return await _perform(service, steps, numbered=True)


async def perform(service: Service, requests: Sequence[Request]) -> list[Answer]:
    """Requests that are not in a Bundle, done as one."""
    return await _perform(service, [Step(request) for request in requests], numbered=False)


async def _perform(service: Service, steps: list[Step], *, numbered: bool) -> list[Answer]:
    name = entry_error.named if numbered else entry_error.plain
    work = partial(_plan, service, steps, name)
    await _aside(work, len(steps))
    references = conditional.in_references([step.resource for step in steps])
    asking = bool(references) or any(step.condition for step in steps)
    matches = await service.store.read(lambda reader: _match(reader, steps, references, name)) if asking else {}
    ready = partial(drafted, steps, matches, name)
    draft = await _aside(ready, len(steps))

    def job(tx: Transaction) -> list[Answer]:
        now = draft
        if draft.matches and (again := _match(tx, steps, references, name)) != draft.matches:
            now = drafted(steps, again, name)
        answers = _write(service, tx, steps, now, name)
        _still_one(tx, steps, now, name)
        return answers

    return await guarded(service, job)


async def _aside(work: Callable[[], T], size: int) -> T:
    return await asyncio.to_thread(work) if size > IN_LOOP else work()


def _plan(service: Service, steps: list[Step], name: entry_error.Namer) -> None:
    """What can be checked alone: the resource, the id, the condition."""
    for number, step in enumerate(steps):
        with name(number):
            request = step.request
            if request.method in ("POST", "PUT") and (step.interaction is None or step.interaction.code in ("create", "update")):
                step.resource = taken(service, request)
            expected(request.if_match)
            step.condition = conditional.of(request)


def _match(reader: Reader, steps: list[Step], references: dict[str, str], name: entry_error.Namer) -> Matches:
    """Every condition's answer on this snapshot."""
    found: Matches = {}
    for number, step in enumerate(steps):
        if step.condition is not None:
            with name(number):
                found[step.condition.key] = conditional.one(reader, step.condition)
    for text, where in references.items():
        found[text] = conditional.referenced(reader, text, where)
    return found


def _write(service: Service, tx: Transaction, steps: list[Step], draft: Draft, name: entry_error.Namer) -> list[Answer]:
    answers: dict[int, Answer] = {}
    for number in sorted(range(len(steps)), key=lambda number: ORDER[steps[number].request.method]):
        with name(number):
            answers[number] = _one(service, tx, steps[number], draft, number)
    for number in draft.existing:
        type_, _, id_ = draft.targets[number].partition("/")
        version = tx.read(type_, id_)
        if version is not None:
            answers[number] = found(version)
    return [answers[number] for number in range(len(steps))]


def _one(service: Service, tx: Transaction, step: Step, draft: Draft, number: int) -> Answer:
    request, ready = step.request, draft.prepared[number]
    if request.method in ("GET", "HEAD"):
        assert step.interaction is not None
        assert step.interaction.inside is not None
        return step.interaction.inside(service, tx, request)
    if request.method == "DELETE":
        type_, _, id_ = draft.targets[number].partition("/")
        return deleted(tx.delete(type_, id_, expected=expected(request.if_match)) if id_ else None)
    if ready is None:
        return Answer()
    prepared, resource = ready
    if request.method == "POST":
        return created(tx.write(prepared, absent=True))
    condition = step.condition
    fresh = condition is not None and not draft.matches.get(condition.key)
    return updated(put(tx, prepared, resource, expected=expected(request.if_match), absent=fresh or request.if_none_match == "*"))


def _still_one(tx: Transaction, steps: list[Step], draft: Draft, name: entry_error.Namer) -> None:
    """What this transaction wrote must not make a condition of its own ambiguous."""
    for number, step in enumerate(steps):
        if step.condition is not None and step.request.method != "DELETE" and len(steps) > 1:
            with name(number):
                conditional.one(tx, step.condition)

