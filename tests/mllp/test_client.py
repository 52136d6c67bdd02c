"""The MLLP client: its own acknowledgment or an error. HL7 v2.5.1 §2.9.2; MSA-2 is the MSH-10 of the message."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from mllp_peers import Echo, accepted, message

from icops_fhir.exchange.transport import TransportError
from icops_fhir.mappers.v2.frame import Framer, wrap
from icops_fhir.mllp.client import Client
from icops_fhir.mllp.connection import Wire
from icops_fhir.mllp.server import serve

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(answer: Answer) -> AsyncIterator[tuple[int, list[int]]]:
    """A receiver that does with each message what the test says; counts its connections."""
    connections = [0]

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        framer = Framer()
        try:
            while data := await reader.read(65536):
                for event in framer.feed(data):
                    await answer(event.body, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(enter, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections
    finally:
        server.close()


async def kind(client: Client, raw: bytes) -> str:
    try:
        return (await client.send(raw)).code
    except TransportError as error:
        return error.kind


def client(port: int, timeout: float = 0.3) -> Client:
    return Client("127.0.0.1", port, timeout=timeout)


def test_one_connection_carries_many_messages_each_with_its_own_answer() -> None:
    async def run() -> None:
        echo = Echo()
        async with serve(echo, Wire(port=0)) as port:
            speaker = client(port, 5)
            answers = [await speaker.send(message(f"m{i}")) for i in range(20)]
            await speaker.close()
        assert [(a.code, a.control_id) for a in answers] == [("AA", f"m{i}") for i in range(20)]

    asyncio.run(run())


def test_a_late_acknowledgment_is_never_taken_for_the_next_message() -> None:
    """The receiver answers the first message when the second one is already there."""

    async def run() -> None:
        late: list[bytes] = []

        async def answer(raw: bytes, writer: asyncio.StreamWriter) -> None:
            if not late:
                late.append(raw)
                await asyncio.sleep(0.5)
            writer.write(wrap(accepted(raw)))

        async with receiver(answer) as (port, connections):
            speaker = client(port)
            assert await kind(speaker, message("first")) == "timeout"
            assert await kind(speaker, message("second")) == "AA"
            assert connections == [2]
            await speaker.close()

    asyncio.run(run())


def test_the_acknowledgment_of_another_message_closes_the_connection() -> None:
    async def run() -> None:
        async def answer(raw: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(wrap(accepted(message("other") if b"|first|" in raw else raw)))

        async with receiver(answer) as (port, connections):
            speaker = client(port)
            assert await kind(speaker, message("first")) == "mismatched"
            assert await kind(speaker, message("second")) == "AA"
            assert connections == [2]
            await speaker.close()

    asyncio.run(run())


def test_an_acknowledgment_sent_twice_does_not_answer_the_next_message() -> None:
    async def run() -> None:
        async def answer(raw: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(wrap(accepted(raw)) * 2)

        async with receiver(answer) as (port, connections):
            speaker = client(port)
            assert await kind(speaker, message("first")) == "AA"
            await asyncio.sleep(0.05)
            assert await kind(speaker, message("second")) == "AA"
            assert connections == [2]
            await speaker.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"OK\r\n", "unframed"),
        (wrap(accepted(message("1")))[1:], "unframed"),
        (wrap(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\r"), "unreadable"),
        (wrap(accepted(message("1")))[:-10], "timeout"),
        (b"", "timeout"),
        (None, "reset"),
    ],
)
def test_each_way_of_failing_has_its_own_name(answer: bytes | None, expected: str) -> None:
    async def run() -> None:
        async def say(raw: bytes, writer: asyncio.StreamWriter) -> None:
            if answer is None:
                writer.transport.abort()
            else:
                writer.write(answer)

        async with receiver(say) as (port, _):
            speaker = client(port)
            assert await kind(speaker, message("1")) == expected
            await speaker.close()

    asyncio.run(run())


def test_nobody_listening_is_refused() -> None:
    async def run() -> None:
        async with receiver(lambda raw, writer: asyncio.sleep(0)) as (port, _):
            pass
        assert await kind(client(port), message("1")) == "refused"

    asyncio.run(run())


def test_a_connection_closed_while_idle_is_opened_again_without_an_error() -> None:
    async def run() -> None:
        async with serve(Echo(), Wire(port=0, idle=0.1)) as port:
            speaker = client(port, 5)
            assert await kind(speaker, message("1")) == "AA"
            await asyncio.sleep(0.3)
            assert await kind(speaker, message("2")) == "AA"
            await speaker.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("asks", "answers", "expected"),
    [
        ("AL|AL", ("CA", "AE"), "AE"),
        ("AL|NE", ("CA",), "CA"),
        ("AL|ER", ("CA",), "CA"),
        ("AL|ER", ("CA", "AE"), "AE"),
        ("AL|AL", ("CR",), "CR"),
        ("NE|AL", ("AA",), "AA"),
        ("AL|AL", ("AA",), "AA"),  # a receiver that knows only the original mode
        ("NE|NE", (), ""),
        ("AL|NE", ("CA", "AA"), "AA"),
        ("NE|NE", ("AA",), "AA"),
    ],
)
def test_enhanced_mode_waits_for_what_the_message_asks(asks: str, answers: tuple[str, ...], expected: str) -> None:
    async def run() -> None:
        raw = message("1").replace(b"|P|2.5", f"|P|2.5|||{asks}".encode())
        async with serve(Echo(codes=answers), Wire(port=0)) as port:
            speaker = client(port, 2)
            assert await kind(speaker, raw) == expected
            await speaker.close()

    asyncio.run(run())
