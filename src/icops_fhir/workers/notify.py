"""Notifies subscribers: follows the feed, and one sender per subscription brings its events in order, for as long as it takes.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/workflow.html

    store.changed ─► follower ─ outbox.keep ─► wake ─► sender 1 ─► endpoint 1
                                                  └──► sender 2 ─► endpoint 2      each alone with its own delays
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from icops_fhir.fhir import json
from icops_fhir.fhir.issue import FhirError
from icops_fhir.store.protocol import Clock, Store
from icops_fhir.subscriptions import notification
from icops_fhir.subscriptions import state as states
from icops_fhir.subscriptions.endpoint import Policy
from icops_fhir.subscriptions.state import Limits, State
from icops_fhir.subscriptions.subscription import Subscription, instant
from icops_fhir.workers import outbox
from icops_fhir.workers.outbox import Live
from icops_fhir.workers.resthook import RestHook

log = logging.getLogger(__name__)
T = TypeVar("T")
STRIDE = 1000   # changes that mean nothing to anyone before the cursor is written all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What app.py hands down."""

    base: str = ""              # public address of FHIR, no slash at the end
    timeout: float = 10.0       # seconds an endpoint has to answer, at most
    drain: float = 1.0          # seconds for what is on its way when stopping
    posts: int = 64             # under way at one time; as many again for the endpoints that are failing
    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)


async def run(store: Store, clock: Clock, settings: Settings) -> None:
    """Until cancelled; what is under way is done again at the next start, with the same numbers."""
    notifier = Notifier(store, clock, settings)
    try:
        await notifier.follow()
    finally:
        await notifier.stop()


class Notifier:
    """The live subscriptions and their senders."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._live: dict[str, Live] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._healthy, self._failing = asyncio.Semaphore(settings.posts), asyncio.Semaphore(settings.posts)
        self._position = self._written = 0
        self._stopping = False

    async def follow(self) -> None:
        """Every change once, as soon as it is committed."""
        await self.resume()
        while True:
            try:
                while await self.step():
                    pass
                await self._store.changed(self._position)
            except Exception:
                log.exception("notify: the feed after %s", self._position)
                await asyncio.sleep(1.0)

    async def resume(self) -> None:
        """All stored subscriptions live again, whatever they were doing."""
        self._live, cursor = await self._patiently(lambda: self._store.read(lambda reader: (outbox.load(reader), reader.cursor(states.CURSOR))))
        self._position = self._written = cursor
        for id_ in self._live:
            self._rouse(id_)

    async def step(self) -> bool:
        """One stretch of the feed; False when there was none."""
        known, after, base = dict(self._live), self._position, self._settings.base
        plan = await self._patiently(lambda: self._store.read(lambda reader: outbox.look(reader, after, known)))
        if plan.steps or plan.upto - self._written >= STRIDE:
            limits = self._settings.limits
            touched = await self._patiently(lambda: self._store.write(lambda transaction: outbox.keep(transaction, plan, limits, base)))
            self._written = plan.upto
            for id_, live in touched.items():
                self._learn(id_, live)
                self._rouse(id_)
        self._position = plan.upto
        return plan.upto > after

    async def stop(self) -> None:
        """What is on its way may arrive and be noted; the rest waits for the next start."""
        self._stopping = True
        tasks = list(self._senders.values())
        for wake in self._wake.values():
            wake.set()
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.drain)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _learn(self, id_: str, live: Live) -> None:
        before = self._live.get(id_)
        newer = before is None or live.state.revision >= before.state.revision
        self._live[id_] = live if newer or before is None else replace(live, state=before.state)

    def _rouse(self, id_: str) -> None:
        self._wake.setdefault(id_, asyncio.Event()).set()
        if id_ not in self._senders:
            task = asyncio.create_task(self._send(id_), name=f"notify {id_}")
            self._senders[id_] = task

            def over(_: object) -> None:
                del self._senders[id_]
                if not self._stopping and not task.cancelled() and self._wake[id_].is_set():   # roused while it was closing
                    self._rouse(id_)

            task.add_done_callback(over)

    async def _send(self, id_: str) -> None:
        """The sender of one subscription; ends when there is nothing it could ever send."""
        hook = RestHook(self._settings.policy, self._settings.timeout)
        try:
            while not self._stopping:
                self._wake[id_].clear()
                try:
                    wait = await self._next(id_, hook)
                except Exception:
                    log.exception("notify: sender of Subscription/%s", id_)
                    wait = 5.0
                if wait is None:
                    if not self._wake[id_].is_set():
                        return
                elif wait > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._wake[id_].wait()
        finally:
            await hook.close()

    async def _next(self, id_: str, hook: RestHook) -> float | None:
        """Does the next thing and says how long nothing is to be done (at most): 0 go on, None for ever."""
        live = self._live[id_]
        subscription, state, now = live.subscription, live.state, self._clock()
        if state.deleted:
            return 0.0 if await self._settle(id_, lambda found: found) else None
        if subscription is None or state.status not in ("requested", "active"):
            return None
        if subscription.end and subscription.end <= instant(now):
            await self._settle(id_, lambda found: states.stop(found, f"ended on {subscription.end} / terminé le {subscription.end}"))
            return None
        if state.status == "requested":
            bundle = notification.handshake(self._settings.base, subscription, state, instant(now))
            await self._deliver(id_, hook, subscription, state, bundle, 0)
            return 0.0
        if not state.waiting:
            return await self._idle(id_, hook, subscription, state, now)
        if state.due > instant(now):
            return max(0.001, _until(state.due, now))
        first, last = state.delivered + 1, min(state.events, state.delivered + subscription.max_count)
        bundles = await self._patiently(lambda: self._store.read(lambda reader: outbox.events(reader, id_, first, last)))
        await self._deliver(id_, hook, subscription, state, notification.batch(bundles), last)
        return 0.0

    async def _idle(self, id_: str, hook: RestHook, subscription: Subscription, state: State, now: datetime) -> float | None:
        """Nothing to send: wait for the next event, the next heartbeat or the end."""
        waits = [_until(subscription.end, now)] if subscription.end else []
        if subscription.heartbeat:
            since = datetime.fromisoformat(max(state.contact, state.due) or instant(now)) if state.contact or state.due else now
            beat = instant(since + timedelta(seconds=subscription.heartbeat)) if not state.attempts else state.due
            if beat <= instant(now):
                await self._deliver(id_, hook, subscription, state, notification.heartbeat(self._settings.base, subscription, state, instant(now)), 0)
                return 0.0
            waits.append(_until(beat, now))
        return max(0.001, min(*waits, 3600.0)) if waits else 3600.0

    async def _deliver(self, id_: str, hook: RestHook, subscription: Subscription, state: State, bundle: dict[str, object], upto: int) -> None:
        async with self._failing if state.attempts else self._healthy:
            result = await hook.post(subscription, json.dumps(bundle))
        now, limits = self._clock(), self._settings.limits

        def told(found: State) -> State:
            if found.version != state.version or found.status != state.status:
                return found    # written by a client meanwhile: what was asked of the endpoint is no longer the question
            if not result.code:
                return states.accept(found, upto, now)
            return states.fail(found, result.code, result.why, now, limits, random.random())  # noqa: S311

        def taken(found: State) -> State:
            # Events the endpoint took stay taken, whatever became of the subscription.
            after = told(found)
            return replace(after, delivered=max(after.delivered, upto)) if not result.code and not found.deleted else after

        await self._settle(id_, taken)

    async def _settle(self, id_: str, change: Callable[[State], State]) -> bool:
        """Whether the state moved."""
        limits, before = self._settings.limits, self._live[id_].state
        after = await self._patiently(lambda: self._store.write(lambda transaction: outbox.settle(transaction, id_, change, limits)))
        if after is None:
            return False
        self._learn(id_, replace(self._live[id_], state=after))
        if after.status != before.status:
            log.log(logging.INFO if after.status == "active" else logging.WARNING, "notify: Subscription/%s is %s%s", id_, after.status, f": {after.error}" if after.error else "")
        return after.revision != before.revision

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """A full queue or a busy store is waited for: nothing here may be given up."""
        delay = 0.05
        while True:
            try:
                return await ask()
            except FhirError as error:
                if error.status not in (429, 503):
                    raise
                await asyncio.sleep(delay)
                delay = min(2.0, delay * 2)


def _until(at: str, now: datetime) -> float:
    return (datetime.fromisoformat(at) - now).total_seconds()
