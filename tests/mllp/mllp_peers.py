"""Receivers and peers of the MLLP tests: real sockets on free ports of 127.0.0.1."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.ack import acknowledge
from icops_fhir.mappers.v2.frame import Block, Framer, wrap


def message(control_id: str = "1", text: str = "PID|1") -> bytes:
    return f"MSH|^~\\&|GAP|NORDHOSP|ICOPS|REGION|20260310150000||ADT^A01^ADT_A01|{control_id}|P|2.5\r{text}\r".encode()


def accepted(raw: bytes, code: str = "AA") -> bytes:
    return acknowledge(raw, code, control_id="ours", now=datetime(2026, 1, 1, tzinfo=UTC))


class Echo:
    """Accepts every message and remembers it; `before` runs first."""

    def __init__(self, before: Callable[[bytes], object] | None = None, codes: tuple[str, ...] = ("AA",)) -> None:
        self.seen: list[bytes] = []
        self.peers: list[str] = []
        self._before, self._codes = before, codes

    async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
        self.peers.append(peer)
        if self._before is not None:
            waiting = self._before(raw)
            if waiting is not None:
                await waiting  # type: ignore[misc]
        self.seen.append(raw)
        for code in self._codes:
            yield accepted(raw, code)


class Peer:
    """The other side of a connection, in plain bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self._framer, self._found = reader, writer, Framer(), []

    @classmethod
    async def to(cls, port: int, **options: object) -> "Peer":
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, *messages: bytes) -> None:
        await self.write(b"".join(map(wrap, messages)))

    async def answer(self, seconds: float = 5) -> tuple[str, str]:
        """(MSA-1, MSA-2) of the next acknowledgment; ("", "") when the connection ended."""
        while not self._found:
            async with asyncio.timeout(seconds):
                data = await self.reader.read(65536)
            if not data:
                return "", ""
            self._found += self._framer.feed(data)
        block = self._found.pop(0)
        assert isinstance(block, Block)
        ack = er7.parse(block.body)
        return ack.get("MSA-1"), ack.get("MSA-2")

    async def ended(self, seconds: float = 5) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        self.writer.close()


class Log:
    """An observer that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self._bell = asyncio.Event()

    def __call__(self, what: str, which: str, value: float) -> None:
        self.said.append((what, which))
        self._bell.set()

    async def until(self, what: str, which: str) -> None:
        async with asyncio.timeout(5):
            while (what, which) not in self.said:
                self._bell.clear()
                await self._bell.wait()
