"""The MLLP client: one persistent connection, one message at a time, its own acknowledgment or an error.

HL7 v2.5.1 §2.9.2 (original and enhanced mode), §2.15.8 (MSA-2 is the MSH-10 of the message). An
acknowledgment that comes late, twice or for another message closes the connection: taken for the next
message's it would say that something was received which was not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from ssl import SSLContext
from typing import Any, TypeVar

from icops_fhir.exchange.transport import TransportError
from icops_fhir.fhir.issue import FhirError
from icops_fhir.mappers.v2 import ack, er7
from icops_fhir.mappers.v2.ack import Acknowledgment
from icops_fhir.mappers.v2.frame import Block, Framer, wrap

T = TypeVar("T")
_ANSWER_LIMIT = 4 << 20
_GRACE = 0.25
"""How long an answer is waited for that may or may not come (MSH-15, MSH-16 other than AL)."""


class Client:
    """A Transport over MLLP. Not for several tasks at once: each waits for its turn."""

    def __init__(self, host: str, port: int, *, timeout: float = 10.0, connect: float = 5.0, tls: SSLContext | None = None) -> None:
        self.where = f"{host}:{port}"
        self._host, self._port, self._tls = host, port, tls
        self._timeout, self._connect = timeout, connect
        self._turn = asyncio.Lock()
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._framer = Framer(_ANSWER_LIMIT)
        self._answers: list[Block] = []

    async def send(self, message: bytes) -> Acknowledgment:
        """The acknowledgment of this very message; code "" when its MSH-15 and MSH-16 ask for none."""
        control_id, commit, application = _asks(message)
        block = wrap(message)
        async with self._turn:
            try:
                _, writer = await self._fresh()
                await self._within(self._write(writer, block))
                return await self._conversation(control_id, commit, application)
            except BaseException:  # cancelled too: whatever comes later must meet a closed door
                await self._drop()
                raise

    async def close(self) -> None:
        async with self._turn:
            await self._drop()

    # ------------------------------------------------------------ what is asked, and what comes

    async def _conversation(self, control_id: str, commit: str, application: str) -> Acknowledgment:
        if not commit and not application:
            return await self._answer(control_id)
        answer = Acknowledgment("", control_id)
        for asked in (commit, application):
            if asked == "AL":
                answer = await self._answer(control_id)
            else:  # ER and SU depend on the outcome; NE and "" are answered all the same by many
                answer = await self._perhaps(control_id) or answer
            if answer.code and answer.code != "CA":  # a refusal, or an application answer: the last word
                break
        return answer

    async def _perhaps(self, control_id: str) -> Acknowledgment | None:
        """Only bytes can be waited for this way: a timeout in the middle of an answer is an error like any other."""
        if not self._answers:
            data = await self._at_once(_GRACE)
            if data is None:
                return None
            self._feed(data)
        return await self._answer(control_id)

    async def _answer(self, control_id: str) -> Acknowledgment:
        assert self._link is not None
        reader = self._link[0]
        while not self._answers:
            self._feed(await self._within(reader.read(65536)))
        found = ack.read(self._answers.pop(0).body)
        if found is None:
            raise TransportError("unreadable", self.where)
        if found.control_id.strip() != control_id.strip():
            raise TransportError("mismatched", self.where, f"MSA-2 {found.control_id!r} for MSH-10 {control_id!r}")
        return found

    def _feed(self, data: bytes) -> None:
        if not data:
            raise TransportError("reset", self.where)
        for event in self._framer.feed(data):
            if not isinstance(event, Block):
                raise TransportError("unframed", self.where, event.issue.diagnostics)
            self._answers.append(event)
        if self._framer.waste:
            raise TransportError("unframed", self.where)

    # ------------------------------------------------------------ the connection

    async def _fresh(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which nothing is left of another message."""
        if self._link and (self._answers or self._framer.inside or await self._stale()):
            await self._drop()
        if not self._link:
            self._framer, self._answers = Framer(_ANSWER_LIMIT), []
            try:
                async with asyncio.timeout(self._connect):
                    self._link = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
            except (OSError, TimeoutError) as error:
                raise TransportError("refused", self.where, type(error).__name__) from error
        return self._link

    async def _stale(self) -> bool:
        """Closed by the peer, or holding bytes nobody asked for (the optional end of the last block aside)."""
        data = await self._at_once(0)
        return data is not None and bool(data.strip(b"\r\n") or not data)

    async def _at_once(self, seconds: float) -> bytes | None:
        """What has come, b"" when the peer left, None when nothing did."""
        assert self._link is not None
        try:
            async with asyncio.timeout(seconds):
                return await self._link[0].read(65536)
        except TimeoutError:
            return None
        except OSError:
            return b""

    async def _within(self, step: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await step
        except TimeoutError as error:
            raise TransportError("timeout", self.where, f"{self._timeout:g} s") from error
        except OSError as error:
            raise TransportError("reset", self.where, type(error).__name__) from error

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link:
            link[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await link[1].wait_closed()

    @staticmethod
    async def _write(writer: asyncio.StreamWriter, block: bytes) -> None:
        writer.write(block)
        await writer.drain()


def _asks(message: bytes) -> tuple[str, str, str]:
    """MSH-10, MSH-15 and MSH-16; a message without a readable MSH has no id, and is answered with none."""
    try:
        found = er7.parse(message)
    except FhirError:
        return "", "", ""
    return found.control_id, found.get("MSH-15"), found.get("MSH-16")
