"""A message received: kept, translated, applied and acknowledged, in one store job, all or nothing.

HL7 v2.5.1 §2.9.2 (original mode), §2.9.3 (enhanced mode, MSH-15/16), §2.9.3.1 (repeats).

    bytes ─ parse ─ decode ─┬─ one job: repeat? ─ original ─ translation ─ resources ─ pathway ─ acknowledgment ─ AA
                            └─ refused ─ one job: original ─ dead letter ─ acknowledgment ─ AE, AR or AA with warnings
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from icops_fhir.exchange import dead_letters, keys, moment
from icops_fhir.exchange import message as application
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import Resource, dumps, loads
from icops_fhir.mappers.v2.ack import acknowledge
from icops_fhir.mappers.v2.er7 import Message, parse
from icops_fhir.mappers.v2.message import decode
from icops_fhir.mappers.v2.site import DEFAULT, Site
from icops_fhir.store.clock import instant
from icops_fhir.store.protocol import Clock, Original, Store, Transaction

MEDIA_TYPE = "x-application/hl7-v2+er7"
BUSY = (429, 503, 507)  # not now: nothing is kept, the sender tries again
ALWAYS, NEVER, ERRORS, SUCCESSES = "AL", "NE", "ER", "SU"  # table 0155
PATIENCE = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
INLINE = 64 * 1024  # larger messages are translated in a thread

Sites = Callable[[Message], Site]


@dataclass(frozen=True, slots=True)
class Received:
    """One message on its way: its bytes, what could be read of it, and its key."""

    raw: bytes
    key: str
    message: Message | None
    site: Site
    at: str
    sender: str = ""
    control_id: str = ""
    bundle: Resource | None = None
    translation: bytes = b""  # the Bundle, as it is kept
    trouble: FhirError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An application acknowledgment: its code and its bytes."""

    code: str
    body: bytes


class Inbound:
    """The receiver of HL7 v2 messages, whatever brings them."""

    def __init__(self, store: Store, sites: Sites = lambda message: DEFAULT, clock: Clock | None = None) -> None:
        from icops_fhir.store.clock import utc

        self.store, self.sites, self.clock = store, sites, clock or utc

    async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
        """The acknowledgments to send, in order: one in original mode; in enhanced mode what MSH-15 and MSH-16 ask."""
        received = await self._read(raw)
        accept, application_ack = _asked(received.message)
        if not accept and not application_ack:
            yield (await self._answer(received)).body
            return
        try:
            await self.store.write(lambda tx: _accept(tx, received))
        except FhirError as error:
            if accept in (ALWAYS, ERRORS):
                yield self._ack(received, "CE", error.issues)
            elif application_ack in (ALWAYS, ERRORS):
                yield self._ack(received, "AE", error.issues)
            return
        if accept in (ALWAYS, SUCCESSES):
            yield self._ack(received, "CA", ())
        answer = await self._answer(received, PATIENCE)
        good = answer.code == "AA"
        if application_ack == ALWAYS or (application_ack == ERRORS and not good) or (application_ack == SUCCESSES and good):
            yield answer.body

    async def process(self, raw: bytes) -> Answer:
        """The application acknowledgment of a message, whatever it asks."""
        return await self._answer(await self._read(raw))

    async def resume(self) -> int:
        """Applies what was accepted (CA) and not applied before the last stop; gives how many."""
        done = 0
        while True:
            waiting = await self.store.read(lambda reader: reader.records(keys.INBOX, limit=100))
            for record in waiting:
                original = await self.store.read(lambda reader, key=record.key: reader.original(key))  # type: ignore[misc]
                if original is not None:
                    await self.process(original.body)
                await self.store.write(lambda tx, key=record.key: tx.drop(keys.INBOX, key))  # type: ignore[misc]
                done += 1
            if not waiting:
                return done

    async def replay(self, key: str) -> Answer | None:
        """Tries a dead letter again; None when there is no such original."""
        original = await self.store.read(lambda reader: reader.original(key))
        return await self.process(original.body) if original else None

    async def _read(self, raw: bytes) -> Received:
        if len(raw) > INLINE:
            return await asyncio.to_thread(self._translate, raw)
        return self._translate(raw)

    def _translate(self, raw: bytes) -> Received:
        at = instant(self.clock())
        try:
            message = parse(raw)
            site = self.sites(message)
            if site is not DEFAULT:
                message = parse(raw, site)
        except Exception as error:  # every message gets an answer
            return Received(raw, keys.original("", "", raw), None, DEFAULT, at, trouble=_trouble(error))
        key = keys.original(message.sender, message.control_id, raw)
        received = Received(raw, key, message, site, at, message.sender, message.control_id)
        try:
            bundle = decode(message, site)
            return replace(received, bundle=bundle, translation=dumps(bundle))
        except Exception as error:
            return replace(received, trouble=_trouble(error))

    async def _answer(self, received: Received, patience: Sequence[float] = ()) -> Answer:
        """`patience`: the pauses before another try while the store is busy; what was accepted is not given back."""
        if received.trouble is not None:
            return await self._bury(received, received.trouble)
        for pause in (*patience, None):
            try:
                return await self.store.write(lambda tx: self._apply(tx, received))
            except FhirError as error:
                if error.status not in BUSY:
                    return await self._bury(received, error)
                if pause is None:
                    return Answer("AE", self._ack(received, "AE", error.issues))
                await asyncio.sleep(pause)
            except Exception as error:
                return await self._bury(received, _trouble(error))
        raise AssertionError("the last try answers")

    def _apply(self, tx: Transaction, received: Received) -> Answer:
        before = _answered(tx, received.key)
        if before is not None and tx.record(keys.DEAD, received.key) is None:
            tx.drop(keys.INBOX, received.key)
            return before
        message, bundle = received.message, received.bundle
        assert message is not None
        assert bundle is not None
        _keep(tx, received)
        stamp = moment.stamp(message, received.at, received.site)
        work = Work(tx, received.sender, stamp)
        patient = application.apply(work, message, received.site, bundle, received.at, received.key)
        owner = keys.feed(received.sender, patient)
        tx.put(keys.TRANSLATION, received.key, received.translation, owner=owner)
        _latest(tx, owner, stamp, received.key)
        tx.drop(keys.DEAD, received.key)
        return self._seal(tx, received, "AA", work.issues)

    async def _bury(self, received: Received, error: FhirError) -> Answer:
        """The original is kept with the reason; a repeat that fails in the same way gets the same acknowledgment."""
        def job(tx: Transaction) -> Answer:
            code, issues = error.ack, list(error.issues)
            if received.message is not None and received.site.dead_letter == "AA":
                code, issues = "AA", [replace(issue, severity="warning") for issue in issues]
            before = _answered(tx, received.key)
            known = tx.record(keys.DEAD, received.key)
            if before is not None and known is None:
                return before
            _keep(tx, received)
            letter = dead_letters.letter(received.message, received.sender, received.control_id, received.at, code, error.issues, known)
            tx.put(keys.DEAD, received.key, dumps(letter), owner=received.sender)
            if before is not None and before.code == code:
                tx.drop(keys.INBOX, received.key)
                return before
            return self._seal(tx, received, code, issues)

        try:
            return await self.store.write(job)
        except FhirError as busy:
            return Answer("AE", self._ack(received, "AE", busy.issues))

    def _seal(self, tx: Transaction, received: Received, code: str, issues: Sequence[Issue]) -> Answer:
        body = self._ack(received, code, issues)
        tx.put(keys.ACK, received.key, dumps({"code": code, "ack": base64.b64encode(body).decode()}), owner=received.sender)
        tx.drop(keys.INBOX, received.key)
        return Answer(code, body)

    def _ack(self, received: Received, code: str, issues: Sequence[Issue]) -> bytes:
        return acknowledge(received.message or received.raw, code, issues, control_id=f"{code}{received.key[:18]}", now=self.clock())


def _asked(message: Message | None) -> tuple[str, str]:
    """MSH-15 and MSH-16, where MSH-16 asks for an application acknowledgment; else original mode.

    A sender that wants no application acknowledgment (AL and NE, AL alone, NE and NE) still waits for one on its
    connection: it gets AA after the commit, which says more than CA. IHE ITI TF-2 C.2.3 has original mode only.
    """
    if message is None or message.get("MSH-16") not in (ALWAYS, ERRORS, SUCCESSES):
        return "", ""
    return message.get("MSH-15"), message.get("MSH-16")


def _answered(tx: Transaction, key: str) -> Answer | None:
    record = tx.record(keys.ACK, key)
    if record is None:
        return None
    said: dict[str, Any] = loads(record.body)
    return Answer(said["code"], base64.b64decode(said["ack"]))


def _keep(tx: Transaction, received: Received) -> None:
    sha = hashlib.sha256(received.raw).hexdigest()
    tx.keep(Original(received.key, received.sender, received.control_id, sha, MEDIA_TYPE, received.at, received.raw))


def _accept(tx: Transaction, received: Received) -> None:
    """Before CA: the original is durable, and marked as not applied yet."""
    if _answered(tx, received.key) is None:
        _keep(tx, received)
        tx.put(keys.INBOX, received.key, b"{}", owner=received.sender)


def _latest(tx: Transaction, owner: str, stamp: str, key: str) -> None:
    record = tx.record(keys.LATEST, owner)
    if record is None or loads(record.body)["stamp"] <= stamp:
        tx.put(keys.LATEST, owner, dumps({"stamp": stamp, "key": key}), owner=owner)


def _trouble(error: Exception) -> FhirError:
    """Whatever went wrong, as an issue: the kind of the failure, never its content."""
    if isinstance(error, FhirError):
        return error
    name = type(error).__name__
    return FhirError(Issue("fatal", "exception", f"the message could not be applied ({name}); it is kept and can be replayed.",
                           rule="icops-internal", french=f"le message n'a pas pu être appliqué ({name}) ; il est conservé et peut être rejoué."), status=500)  # fmt: skip
