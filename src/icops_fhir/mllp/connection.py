"""One MLLP connection: blocks in, acknowledgments out, in the order of the messages.

    peer ── bytes ── reading ── blocks ── [ at most `pending` ] ── answering ── receiver ── acknowledgments ── peer

HL7 v2.5.1 §2.9.2 (processing rules); IHE ITI TF-2 C.2. Nothing is read while too much waits, so a fast
peer is slowed by TCP itself; nothing waits for a peer without a limit of time.
"""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ssl import SSLContext
from typing import Protocol

from icops_fhir.fhir.issue import Issue
from icops_fhir.mappers.v2.ack import COMMIT, acknowledge
from icops_fhir.mappers.v2.frame import HEAD, Block, Fault, Framer, wrap

log = logging.getLogger("icops_fhir.mllp")
Observe = Callable[[str, str, float], None]
"""(what, which, how much): message AA 0.004 | fault mllp-junk 1 | opened, closed idle 1 | refused full 1."""

_CHUNK = 64 * 1024
_MSA_1 = re.compile(rb"[\r\n]MSA.([A-Z]{2})")


class Receiver(Protocol):
    """What is done with a message: the acknowledgments to send, in order."""

    def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Wire:
    """Where an MLLP server listens and how long, how big, how many. Times are seconds."""

    host: str = "127.0.0.1"
    port: int = 2575  # 0: any free one
    frame_limit: int = 16 << 20  # one message; beyond: AR, and the connection goes on
    connections: int = 256
    pending: int = 16  # messages of one connection that may wait for their turn
    idle: float = 300.0  # silence between two messages
    read: float = 60.0  # from the first byte of a message to its last
    write: float = 30.0  # for a peer to take its acknowledgment
    drain: float = 10.0  # to finish what is under way when stopping
    peers: tuple[str, ...] = ()  # networks allowed; () = all
    tls: SSLContext | None = None


def quiet(what: str, which: str, value: float) -> None:
    """The observer that looks away."""


def utc() -> datetime:
    return datetime.now(UTC)


class Connection:
    """Runs until the peer leaves, is too slow, or the server stops."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str, receiver: Receiver, wire: Wire, observe: Observe = quiet
    ) -> None:
        self._reader, self._writer, self.peer = reader, writer, peer
        self._receiver, self._wire, self._observe = receiver, wire, observe
        self._framer = Framer(wire.frame_limit)
        self._pending: asyncio.Queue[Block | Fault | None] = asyncio.Queue()
        self._room = asyncio.Condition()
        self._waiting = 0  # blocks not answered yet
        self._held = 0  # their bytes
        self._begun: float | None = None  # when the first byte of the block being read came
        self._reading: asyncio.Task[None] | None = None
        self._deaf = self._stopped = False  # the peer takes no acknowledgment any more; we take no message any more
        self.reason = "peer"

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read())
                group.create_task(self._answer())
                await asyncio.sleep(0)  # a task cancelled before it begins would not tell the other
                self._reading = reading
                if self._stopped:
                    reading.cancel()
        finally:
            await self._close()
            self._observe("closed", self.reason, 1)

    def stop(self) -> None:
        """Take no more; what has been received is still answered."""
        self.reason, self._stopped = "drain", True
        if self._reading:
            self._reading.cancel()

    # ------------------------------------------------------------ reading

    async def _read(self) -> None:
        try:
            while data := await self._more():
                events = self._framer.feed(data)
                if events or self._begun is None:
                    self._begun = asyncio.get_running_loop().time() if self._framer.inside else None
                for event in events:
                    await self._take(event)
                if self._framer.waste > 4 * self._wire.frame_limit:
                    self.reason = "waste"
                    break
            if fault := self._framer.close():
                await self._take(fault)
        finally:
            self._pending.put_nowait(None)

    async def _take(self, event: Block | Fault) -> None:
        """Waits for room: one connection holds `pending` messages at most, and together not more than the largest one."""
        async with self._room:
            await self._room.wait_for(lambda: self._has_room(_size(event)))
            self._waiting += 1
            self._held += _size(event)
            self._pending.put_nowait(event)

    def _has_room(self, size: int) -> bool:
        return not self._waiting or (self._waiting < self._wire.pending and self._held + size <= self._wire.frame_limit)

    async def _more(self) -> bytes:
        """The next bytes; b"" when the connection is over, whoever ended it."""
        while True:
            now = asyncio.get_running_loop().time()
            limit = self._wire.idle if self._begun is None else max(0.0, self._begun + self._wire.read - now)
            try:
                async with asyncio.timeout(limit):
                    return await self._reader.read(_CHUNK)
            except TimeoutError:
                if self._begun is None and self._waiting:
                    continue  # silent because it waits for us
                self.reason = "idle" if self._begun is None else "slow"
                return b""
            except OSError:
                self.reason = "reset"
                return b""

    # ------------------------------------------------------------ answering

    async def _answer(self) -> None:
        while event := await self._pending.get():
            if isinstance(event, Block):
                await self._message(event.body)
            else:
                await self._fault(event)
            async with self._room:
                self._waiting -= 1
                self._held -= _size(event)
                self._room.notify()

    async def _message(self, body: bytes) -> None:
        started, code = asyncio.get_running_loop().time(), ""
        try:
            async for answer in self._receiver.receive(body, self.peer):
                code = _code(answer)
                await self._send(answer)
        except Exception as error:
            reference = uuid.uuid4().hex[:20]
            log.error("message from %s not processed, reference %s: %s", self.peer, reference, where(error))
            if not code or code in COMMIT:
                code = "AE"
                await self._send(acknowledge(body[:HEAD], code, (_internal(reference),), control_id=reference, now=utc()))
        self._observe("message", code or "none", asyncio.get_running_loop().time() - started)

    async def _fault(self, fault: Fault) -> None:
        self._observe("fault", fault.issue.rule, 1)
        log.warning("%s: %s (%s)", self.peer, fault.issue.diagnostics, fault.issue.rule)
        if fault.answer:
            await self._send(acknowledge(fault.head, "AR", (fault.issue,), control_id=uuid.uuid4().hex[:20], now=utc()))

    async def _send(self, answer: bytes) -> None:
        """A peer that does not take its answer is left: the message is kept, and it will ask again."""
        if self._deaf:
            return
        try:
            self._writer.write(wrap(answer))
            async with asyncio.timeout(self._wire.write):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            self._deaf = True
            self.reason = "deaf" if isinstance(error, TimeoutError) else "reset"
            self._writer.transport.abort()

    async def _close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(self._wire.write):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


def where(error: BaseException) -> str:
    """What failed and where, without its text: that may hold what the message said."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('icops_fhir/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _size(event: Block | Fault) -> int:
    return len(event.body if isinstance(event, Block) else event.head)


def _code(answer: bytes) -> str:
    found = _MSA_1.search(answer)
    return found[1].decode() if found else "none"


def _internal(reference: str) -> Issue:
    return Issue(
        "error",
        "exception",
        f"internal error, reference {reference}: the message was not taken; send it again, and give this reference if it lasts",
        rule="mllp-internal-error",
        french=f"Erreur interne, référence {reference} : le message n'a pas été pris ; le renvoyer, et donner cette référence si cela dure.",
    )
