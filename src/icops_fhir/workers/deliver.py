"""The reverse road at work: follows the feed, keeps what must be told, tells it, waits for the acknowledgment.

    feed ─ cursor ─ compose ─┬─ one transaction: told, queue, cursor
                             └─ queue ─ lane per patient ─ MLLP ─ AA: done │ AE, silence: again, later │ AR, too late: Task

One follower and one sender per route: a destination that is down waits alone. HL7 v2.5.1 §2.9.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from icops_fhir.exchange import outbox, readdress
from icops_fhir.exchange.outbound import TOLD, Composed, Road
from icops_fhir.exchange.outbox import Item
from icops_fhir.exchange.route import Route
from icops_fhir.exchange.transport import Transport, TransportError
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import Resource, dumps
from icops_fhir.mappers.v2.site import Site
from icops_fhir.mllp.client import Client
from icops_fhir.mllp.connection import where
from icops_fhir.store.clock import instant
from icops_fhir.store.engine import prepare
from icops_fhir.store.protocol import Change, Clock, Reader, Store, Transaction

log = logging.getLogger("icops_fhir.deliver")
BATCH = 100
LAZY = 1000  # changes without anything to say before the cursor is written
ROUTE = "route"  # routes that have begun: a new one tells nothing of what was before it
Connect = Callable[[Route], Transport]


def mllp(route: Route) -> Transport:
    """The MLLP connection of a route."""
    tls = ssl.create_default_context(cafile=route.certificates) if route.certificates else None
    return Client(route.host, route.port, timeout=route.timeout, tls=tls)


async def run(store: Store, clock: Clock, routes: Sequence[Route], sites: Mapping[str, Site] | None = None, connect: Connect = mllp) -> None:
    """Until cancelled. What is under way when stopping is sent again at the next start, with the same control id."""
    desks = [Desk(store, clock, route, sites or {}, connect(route)) for route in routes]
    try:
        async with asyncio.TaskGroup() as group:
            for desk in desks:
                group.create_task(_lasting(desk.follow))
                group.create_task(_lasting(desk.send))
    finally:
        for desk in desks:
            await desk.transport.close()


async def _lasting(loop: Callable[[], Awaitable[None]]) -> None:
    """A loop begun again when it fails: what it was doing is still in the feed or in the queue."""
    pause = 0.1
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await loop()
        except Exception as error:
            busy = isinstance(error, FhirError) and error.status in (429, 503, 507)
            log.log(logging.WARNING if busy else logging.ERROR, "deliver: %s, tried again", where(error))
        pause = min(10.0, pause * 2) if asyncio.get_running_loop().time() - started < 60 else 0.1
        await asyncio.sleep(pause)


@dataclass
class Desk:
    """One route at work."""

    store: Store
    clock: Clock
    route: Route
    sites: Mapping[str, Site]
    transport: Transport
    failures: int = 0  # in a row, of the connection
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    # ------------------------------------------------------------ from the feed to the queue

    @property
    def cursor(self) -> str:
        return f"deliver {self.route.name}"

    async def follow(self) -> None:
        await self._begin()
        after = kept = await self.store.read(lambda reader: reader.cursor(self.cursor))
        while True:
            changes = await self.store.read(partial(_changes, after))
            if not changes:
                await self.store.changed(after)
                continue
            composed = await self.store.read(partial(self._compose, changes))
            if composed:
                await self._room()
            after = changes[-1].sequence
            if composed or after - kept >= LAZY:
                await self.store.write(partial(self._keep, composed, after))
                kept = after
                self.wake.set()

    async def _room(self) -> None:
        """Until the queue has room: what is not queued yet waits in the feed, where nothing is lost."""
        while True:
            self.room.clear()
            if len(await self.store.read(lambda reader: reader.records(outbox.kind(self.route.name), limit=self.route.queue))) < self.route.queue:
                return
            await self.room.wait()

    async def _begin(self) -> None:
        here = self.store.sequence

        def job(tx: Transaction) -> None:
            if tx.record(ROUTE, self.route.name) is None:
                tx.put(ROUTE, self.route.name, b"{}")
                if here > tx.cursor(self.cursor):
                    tx.advance(self.cursor, here)

        await self.store.write(job)

    def _compose(self, changes: Sequence[Change], reader: Reader) -> list[tuple[int, Composed | Resource]]:
        told: dict[str, dict[str, Any]] = {}
        out: list[tuple[int, Composed | Resource]] = []
        for change in changes:
            try:
                found = Road(reader, self.route, self.sites, self.clock(), told).compose(change)
            except Exception as error:  # one edit that cannot be said must not silence the others
                log.error("%s/%s version %s cannot be told to %s: %s", change.type, change.id, change.version, self.route.name, where(error))
                out.append((change.sequence, self._unsayable(change, error)))
                continue
            if found:
                told[found.key] = found.told
                out.append((change.sequence, found))
        return out

    def _keep(self, composed: Sequence[tuple[int, Composed | Resource]], after: int, tx: Transaction) -> None:
        for sequence, found in composed:
            if isinstance(found, Composed):
                tx.put(TOLD, found.key, dumps(found.told), owner=found.key.partition("|")[2])
                if found.outgoing:
                    outbox.put(tx, found.outgoing, sequence)
            else:
                tx.write(prepare(found))
        tx.advance(self.cursor, after)

    def _unsayable(self, change: Change, error: Exception) -> Resource:
        resource = f"{change.type}/{change.id}"
        issues = error.issues if isinstance(error, FhirError) else (_internal(error),)
        patient = resource if change.type == "Patient" else ""
        return outbox.task(self.route.name, f"{resource}/_history/{change.version}", patient, "A31/Z99", f"{resource}/{change.version}", issues, instant(self.clock()))

    # ------------------------------------------------------------ from the queue to the destination

    async def send(self) -> None:
        while True:
            self.wake.clear()
            items = await self.store.read(partial(outbox.due, self.route.name, instant(self.clock())))
            for item in items:
                reached = await self._tell(item)
                self.room.set()
                if not reached:
                    await asyncio.sleep(self.route.pause(self.failures - 1))
                    break
            if not items:
                await self._sleep()

    async def _sleep(self) -> None:
        """Until something is queued, or the next message is due."""
        due = await self.store.read(partial(outbox.next_due, self.route.name))
        left = max(0.01, (datetime.fromisoformat(due) - self.clock()).total_seconds()) if due else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self.wake.wait()

    async def _tell(self, item: Item) -> bool:
        """One message, whatever becomes of it; False when the destination cannot be reached."""
        item = await self._fit(item)
        try:
            answer = await self.transport.send(item.body)
        except TransportError as error:
            self.failures += 1
            await self._again(replace(item, attempts=item.attempts + 1), (error.issue,), self._late(item))
            return False
        except FhirError as error:  # it can never be sent
            await self._again(item, error.issues, final=True)
            return True
        self.failures = 0
        if answer.accepted:
            await self.store.write(lambda tx: outbox.done(tx, item))
            return True
        issues = answer.issues or (Issue("error", "processing", f"{self.route.name} answered {answer.code}", french=f"{self.route.name} a répondu {answer.code}."),)
        final = answer.code in ("AR", "CR") or item.refusals + 1 >= self.route.refusals
        log.warning("%s answered %s to %s", self.route.name, answer.code, item.control_id)
        await self._again(replace(item, attempts=item.attempts + 1, refusals=item.refusals + 1), issues, final)
        return True

    async def _again(self, item: Item, issues: Sequence[Issue], final: bool) -> None:
        now = self.clock()
        if final:
            task = prepare(outbox.task(item.route, item.resource, item.patient, item.event, item.control_id, issues, instant(now)))
            await self.store.write(lambda tx: outbox.give_up(tx, item, task))
            return
        due = instant(now + timedelta(seconds=self.route.pause(item.attempts - 1)))
        await self.store.write(lambda tx: outbox.keep(tx, item, due))

    def _late(self, item: Item) -> bool:
        return (self.clock() - datetime.fromisoformat(item.created)).total_seconds() >= self.route.patience

    async def _fit(self, item: Item) -> Item:
        """An INS withdrawn while the message waited does not leave."""
        held = readdress.ins(item.body)
        if not held:
            return item

        def check(reader: Reader) -> bool:
            allowed = Road(reader, self.route, self.sites, self.clock(), {}).allowed(item.patient, item.sender)
            return all(map(allowed, held))

        if await self.store.read(check):
            return item

        def purge(tx: Transaction) -> Item:
            allowed = Road(tx, self.route, self.sites, self.clock(), {}).allowed(item.patient, item.sender)
            name = f"{item.control_id[:18]}P{item.attempts % 10}"
            new = replace(item, control_id=name, body=readdress.purged(item.body, name, allowed))
            outbox.keep(tx, new, tx.instant)
            return new

        return await self.store.write(purge)


def _changes(after: int, reader: Reader) -> list[Change]:
    return reader.changes(after, BATCH)


def _internal(error: Exception) -> Issue:
    name = type(error).__name__
    return Issue("error", "exception", f"the message could not be composed ({name})", rule="outbound-internal", french=f"le message n'a pas pu être composé ({name})")
