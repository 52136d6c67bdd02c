"""Laws of the state of a subscription, for any interleaving of what may happen to it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions.state import Limits, State

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
LIMITS = Limits(backlog=6, kept=3, give_up=100)

happenings = st.lists(st.one_of(
    st.just("count"), st.just("ok"), st.just("fail"), st.just("prune"), st.sampled_from(["ask requested", "ask active", "ask off", "remove", "refuse", "stop"])), max_size=60)


def after(state: State, what: str, now: datetime, version: int) -> State:
    if what == "count":
        return states.count(state, LIMITS) if state.counted else state
    if what == "ok":
        upto = state.delivered + 1 if state.status == "active" and state.waiting else 0
        return states.accept(state, upto, now) if state.status in ("requested", "active") else state
    if what == "fail":
        return states.fail(state, "no-response", "no answer", now, LIMITS, 0.5) if state.status in ("requested", "active") else state
    if what == "prune":
        return states.prune(state, LIMITS)[0]
    if what == "remove":
        return states.remove(state, version)
    if what == "refuse":
        return states.refuse(state, version, "why")
    if what == "stop":
        return states.stop(state, "ended")
    return states.follow(state, version, what.removeprefix("ask "), verified=version % 2 == 0)


@given(happenings)
def test_numbers_only_grow_by_one_and_nothing_undelivered_is_forgotten(whats: list[str]) -> None:
    state = State(1)
    for step, what in enumerate(whats, start=2):
        was, state = state, after(state, what, NOW + timedelta(seconds=step), step)

        assert state.events - was.events in (0, 1)
        assert was.events == state.events or what == "count"
        assert was.delivered <= state.delivered <= state.events
        assert state.waiting <= 2 * LIMITS.backlog
        assert state.oldest <= state.delivered + 1
        assert state.oldest >= was.oldest
        assert not (state.status == "error" and not state.error)
        assert states.loads(states.dumps(state)) == state


@given(st.integers(0, 200), st.floats(0, 1))
def test_retries_come_later_and_later_up_to_the_longest(attempts: int, chance: float) -> None:
    failed = states.fail(State(1, "active", attempts=attempts, failing="2026-11-22T07:59:59.000Z"), "no-response", "x", NOW, LIMITS, chance)
    delay = (datetime.fromisoformat(failed.due) - NOW).total_seconds()
    longest = min(LIMITS.longest, LIMITS.first * 2.0 ** min(attempts, 60))

    assert longest / 2 - 0.001 <= delay <= longest


def test_a_failed_handshake_is_an_error_at_once() -> None:
    assert states.fail(State(1, "requested"), "no-response", "no answer", NOW, LIMITS, 0).status == "error"


def test_a_subscription_that_fails_for_too_long_is_in_error_and_keeps_its_events() -> None:
    state = State(1, "active", 5, 2, attempts=9, failing="2026-11-22T07:00:00.000Z")
    failed = states.fail(state, "no-response", "no answer", NOW, LIMITS, 0)

    assert (failed.status, failed.waiting) == ("error", 3)
    assert "given up after 10 tries" in failed.error
    again = states.accept(states.follow(failed, 2, "requested", verified=True), 0, NOW)
    assert (again.status, again.waiting, again.attempts, again.error) == ("active", 3, 0, "")


def test_without_a_limit_it_is_tried_for_ever() -> None:
    state = State(1, "active", 5, 2, attempts=9999, failing="2000-01-01T00:00:00.000Z")

    assert states.fail(state, "no-response", "no answer", NOW, Limits(give_up=0), 0).status == "active"


def test_numbers_go_on_in_error_but_not_when_off() -> None:
    assert State(1, "error", error="x").counted
    assert State(1, "requested").counted
    assert not State(1, "off").counted


def test_the_backlog_has_a_limit_and_says_so() -> None:
    full = states.count(State(1, "error", 8, 2, error="x"), LIMITS)

    assert (full.status, full.events) == ("off", 8)
    assert "6 events wait" in full.error
    assert states.count(State(1, "active", 8, 2), LIMITS).events == 9, "an endpoint that is catching up is not stopped again at once"
    assert states.count(State(1, "active", 14, 2), LIMITS).status == "off"


def test_keeping_active_asks_for_no_handshake_only_on_the_verified_channel() -> None:
    active = State(3, "active", 5, 5)

    assert states.follow(active, 4, "active", verified=True).status == "active"
    assert states.follow(active, 4, "active", verified=False).status == "requested"
    assert states.follow(active, 4, "requested", verified=True).status == "requested"
    assert states.follow(None, 1, "active", verified=False).status == "requested"
    assert states.follow(states.remove(active, 4), 5, "active", verified=True).status == "requested"


def test_a_subscription_made_again_goes_on_counting_but_does_not_show_what_was_before() -> None:
    again = states.follow(states.remove(State(3, "active", 5, 4, 2), 4), 5, "requested", verified=False)

    assert (again.events, again.delivered, again.oldest, again.deleted) == (5, 5, 6, False)
