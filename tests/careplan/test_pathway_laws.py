"""Laws of the pathway: replay, idempotence, cancellation, commutation, the Task state machine.

Histories are random: well-formed stays with hands that move Tasks between them, then any event again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.careplan import communication as c
from icops_fhir.careplan import event as e
from icops_fhir.careplan.activity import family
from icops_fhir.careplan.current import Pathway
from icops_fhir.careplan.event import Event
from icops_fhir.careplan.hold import is_home, resumed, suspended
from icops_fhir.careplan.pathway import react
from icops_fhir.careplan.task import CLOSED, OPEN, TRANSITIONS, part
from icops_fhir.fhir.json import same

from .world import NOW, STAY, after, amended, arrive, cancelled, event, example, homes, recipients

EXAMPLE = example()
LATER = NOW + timedelta(days=30)
CANCELLING = {e.ADMISSION: "A11", e.DISCHARGE: "A13", e.ANNOUNCED_DISCHARGE: "A25", e.ABSENCE: "A52", e.RETURN: "A53",
              e.PLANNED_ADMISSION: "A38", e.CLASS_CHANGE: "A06", e.TRANSFER: "A12", e.DEATH: "A31"}  # fmt: skip

kinds = st.sampled_from(sorted(CANCELLING))
modes = st.sampled_from(["", "0", "4", "6", "7", "8", "8", "8", "x"])
destinations = st.sampled_from(["", "1", "6", "7", "9"])


@st.composite
def inserts(draw: Any, kind: Any = kinds) -> Event:
    """Any movement, of one of two venues and four numbers: numbers are used again, as bad senders do."""
    what = draw(kind)
    day = draw(st.integers(1, 28))
    return event(
        what, draw(st.sampled_from(["M1", "M2", "M3", "M4"])), day,
        encounter=draw(st.sampled_from([STAY, "Encounter/other"])), patient_class=draw(st.sampled_from("IIIEO")),
        planned=draw(st.sampled_from(["", "", "2026-09-20", "2026-09-21T09:00:00+02:00", '""'])),
        discharge_mode=draw(modes), destination=draw(destinations), dead=what == e.DEATH or draw(st.integers(0, 30)) == 0,
        historic=draw(st.integers(0, 12)) == 0, trigger="A00",
    )  # fmt: skip


@st.composite
def events(draw: Any) -> Event:
    one = draw(inserts())
    action = draw(st.sampled_from([e.INSERT, e.INSERT, e.UPDATE, e.CANCEL]))
    if action == e.CANCEL:
        return cancelled(one, draw(st.integers(1, 28)), CANCELLING[one.kind], dead=False, scope=draw(st.sampled_from(["movement", "venue", "dossier"])))
    if action == e.UPDATE:
        return amended(one, draw(st.integers(1, 28)), at=f"2026-09-{draw(st.integers(1, 28)):02}T10:00:00+02:00")
    return one


def hand(pathway: Pathway, rank: int, move: int, made: bool = False) -> Pathway:
    """Somebody moves one Task (that a movement made), as the state machine allows."""
    tasks = [t for t in pathway.tasks if t["status"] in OPEN and (c.maker(t) or not made)]
    if not tasks:
        return pathway
    task = tasks[rank % len(tasks)]
    to = sorted(TRANSITIONS[task["status"]])
    return pathway.put([{**task, "status": to[move % len(to)]}])


hands = st.tuples(st.integers(0, 50), st.integers(0, 50))
steps = st.lists(st.one_of(events(), events(), hands), max_size=8)


def lived(history: list[Any], pathway: Pathway = EXAMPLE) -> Pathway:
    for step in history:
        pathway = hand(pathway, *step) if isinstance(step, tuple) else after(pathway, step)
    return pathway


@given(steps, events(), st.lists(hands, max_size=4))
def test_what_was_reacted_to_changes_nothing_when_it_comes_again(history, one, moves):
    """Whatever people did meanwhile with the Tasks it made, and with its messages sent."""
    now = after(lived(history), one)
    for move in moves:
        now = hand(now, *move, made=True)
    now = now.put({**n, "status": "completed"} for n in now.communications if n["status"] == "preparation")

    assert react(one, now, LATER) == []


@given(steps, events())
def test_the_same_history_gives_the_same_resources(history, one):
    assert same(react(one, lived(history), NOW), react(one, lived(history), NOW))


@given(steps, events(), st.sampled_from(["draft", "on-hold", "revoked", "completed", "entered-in-error", "unknown"]))
def test_without_an_active_plan_nothing_happens(history, one, status):
    was = lived(history)
    was = replace(was, care_plans=tuple({**p, "status": status} for p in was.care_plans))

    assert react(one, was, NOW) == []


@given(events())
def test_a_cancellation_or_a_correction_of_what_was_never_reacted_to_is_nothing(one):
    one = replace(one, action=e.CANCEL if one.action == e.INSERT else one.action, dead=False, planned="")

    assert react(one, EXAMPLE, NOW) == []


@given(steps, events())
def test_every_task_moves_as_the_state_machine_allows_and_what_is_closed_stays_closed(history, one):
    was = lived(history)
    statuses = {t["id"]: t["status"] for t in was.tasks}
    for resource in react(one, was, NOW):
        if resource["resourceType"] == "Task":
            old, new = statuses.get(resource["id"], "requested"), resource["status"]
            assert old == new or new in TRANSITIONS[old]
            assert old in OPEN or resource["id"] not in statuses


@given(steps, inserts(), st.booleans())
def test_a_historic_or_a_deadly_event_makes_no_task(history, one, dead):
    was = lived(history)
    one = replace(one, historic=not dead, dead=dead)
    known = {t["id"] for t in was.tasks}
    out = react(one, was, NOW)

    assert [r["id"] for r in out if r["resourceType"] == "Task" and r["id"] not in known] == []
    if not dead:
        assert out == []


@given(steps, inserts())
def test_after_a_death_no_task_is_open_and_only_the_coordinator_may_still_be_told(history, one):
    now = after(lived(history), replace(one, dead=True, historic=False, recorded="2026-12-01T10:00:00+01:00"))
    pending = [n for n in now.communications if n["status"] == "preparation"]

    assert [t["description"] for t in now.tasks if t["status"] in OPEN] == []
    assert {n["recipient"][0]["display"] for n in pending} <= {"Claire OLIVIER"}


@given(steps, inserts(), st.lists(hands, max_size=4))
def test_a_cancellation_takes_back_every_open_task_and_tells_exactly_who_was_told(history, one, moves):
    one = replace(one, historic=False, dead=False, planned="" if one.kind != e.ANNOUNCED_DISCHARGE else one.planned)
    was = lived(history)
    known = {r["id"] for r in (*was.tasks, *was.communications)}
    middle = after(was, one)
    new = {t["id"] for t in middle.tasks} - known
    first = [n for n in middle.communications if n["id"] not in known and c.maker(n) and not n.get("inResponseTo")]
    for move in moves:
        middle = hand(middle, *move)
    closed = {t["id"]: t["status"] for t in middle.tasks if t["status"] in CLOSED}
    now = after(middle, cancelled(one, 28, CANCELLING[one.kind]))
    counters = [n for n in now.communications if c.COUNTER in c.codes(n) and n["inResponseTo"][0]["reference"][14:] in {f["id"] for f in first}]

    assert {t["status"] for t in now.tasks if t["id"] in new} <= {"cancelled", *(closed[i] for i in new & set(closed))}
    assert recipients(counters) == recipients(first)


@given(inserts(st.sampled_from([e.DISCHARGE, e.ABSENCE, e.ADMISSION, e.CLASS_CHANGE])), st.booleans())
def test_cancelling_the_last_movement_gives_home_tasks_back_as_they_were(one, inside):
    stay = event(e.ADMISSION, "M9", 1, trigger="A01")
    one = replace(one, encounter=STAY, historic=False, dead=False, planned="", patient_class="I" if one.kind != e.CLASS_CHANGE else "O")
    was = arrive(EXAMPLE, stay) if inside or one.kind in (e.DISCHARGE, e.CLASS_CHANGE) else EXAMPLE
    now = arrive(was, one, cancelled(one, 28, CANCELLING[one.kind], patient_class="I", scope="movement" if inside else "venue"))

    assert homes(now) == homes(was)


@given(inserts(st.sampled_from([e.DISCHARGE, e.ANNOUNCED_DISCHARGE])), st.data())
def test_two_corrections_give_the_same_tasks_whichever_comes_first(one, data):
    one = replace(one, historic=False, dead=False, planned="2026-09-20", encounter=STAY, patient_class="I")
    days = data.draw(st.lists(st.integers(1, 28), min_size=2, max_size=2, unique=True))
    two = [amended(one, day, at=f"2026-09-{day:02}T12:00:00+02:00", planned=f"2026-09-{day:02}") for day in sorted(days)]
    two = [replace(z, recorded=f"2026-10-{n + 1:02}T18:00:00+02:00") for n, z in enumerate(two)]
    was = after(EXAMPLE, one)

    assert same(_dates(after(was, *two)), _dates(after(was, *reversed(two))))


def _dates(pathway: Pathway) -> list[Any]:
    return sorted([t["id"], t["status"], t.get("restriction", {}), part(c.maker(t), "date")] for t in pathway.tasks if c.maker(t))


@given(steps, inserts(), inserts())
def test_cancellations_of_different_movements_commute(history, one, other):
    was = after(lived(history), one, other)
    first = cancelled(one, 27, CANCELLING[one.kind], dead=False)
    second = cancelled(other, 27, CANCELLING[other.kind], dead=False)
    if first.movement == second.movement:
        return

    assert same(_tasks(after(was, first, second)), _tasks(after(was, second, first)))


def _tasks(pathway: Pathway) -> list[Any]:
    made = [[t["id"], t["status"]] for t in pathway.tasks if not is_home(t)]
    return sorted(made) + sorted([n["id"]] for n in pathway.communications)


stays = st.tuples(st.integers(1, 3), st.integers(4, 6), st.integers(7, 9), st.booleans(), st.booleans(), modes, destinations)


def _stay(plan: tuple[Any, ...]) -> list[Event]:
    """A well-formed stay: admission, a leave, an announcement, a discharge, perhaps cancelled and done again."""
    came, leave, announced, away, wrong, mode, destination = plan
    out = [event(e.ADMISSION, "A", came, trigger="A01")]
    if away:
        out += [event(e.ABSENCE, "B", leave), replace(event(e.RETURN, "C", leave), at=f"2026-09-{leave:02}T19:00:00+02:00")]
    out += [event(e.ANNOUNCED_DISCHARGE, "D", announced, planned="2026-09-12"), event(e.DISCHARGE, "E", 12, discharge_mode=mode, destination=destination)]
    if wrong:
        out += [cancelled(out[-1], 13, "A13"), event(e.DISCHARGE, "F", 14, discharge_mode="8")]
    return out


@given(stays, st.lists(st.integers(0, 20), max_size=5))
def test_replaying_any_event_of_a_stay_in_any_order_changes_nothing(plan, again):
    story = _stay(plan)
    now = arrive(EXAMPLE, *story)

    assert [react(story[n % len(story)], now, LATER) for n in again] == [[] for _ in again]


@given(stays)
def test_a_stay_that_ended_at_home_leaves_home_tasks_as_they_were(plan):
    now = arrive(EXAMPLE, *_stay((*plan[:5], "8", "9")))

    assert homes(now) == homes(EXAMPLE)


@given(stays)
def test_every_task_of_a_movement_is_bound_to_plan_venue_and_movement(plan):
    now = arrive(EXAMPLE, *_stay(plan))
    activities = {a["reference"]["reference"] for a in now.care_plans[0]["activity"]}
    for task in now.tasks:
        assert f"Task/{task['id']}" in activities
        if c.maker(task):
            assert task["basedOn"] == [{"reference": f"CarePlan/{now.care_plans[0]['id']}"}]
            assert task["encounter"] == {"reference": STAY}
            assert family(part(c.maker(task), "event")) in (e.ADMISSION, e.ANNOUNCED_DISCHARGE, e.DISCHARGE)


causes = st.lists(st.tuples(st.sampled_from(["stay", "absence"]), st.sampled_from(["Encounter/a", "Encounter/b"])), min_size=1, max_size=4)
open_statuses = st.sampled_from([s for s in OPEN if s != "on-hold"])


@given(open_statuses, causes, st.booleans())
def test_the_last_hold_lifted_gives_back_the_status_and_the_reason_whatever_the_order(status, given_causes, reasoned):
    task: dict[str, Any] = {"resourceType": "Task", "id": "t", "status": status, "extension": [{"url": "http://x", "valueString": "y"}]}
    if reasoned:
        task |= {"statusReason": {"text": "pourquoi"}, "reasonReference": {"reference": "Condition/1"}}
    held = task
    for cause, venue in given_causes:
        held = suspended(held, cause, venue, NOW) or held
    assert held["status"] == "on-hold"
    for rank, (cause, venue) in enumerate(dict.fromkeys(given_causes)):
        assert held["status"] == "on-hold", rank
        held = resumed(held, lambda c_, v, w=(cause, venue): (c_, v) == w, NOW) or held

    assert same({k: v for k, v in held.items() if k != "lastModified"}, task)
