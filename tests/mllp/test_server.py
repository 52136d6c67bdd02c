"""The MLLP server, over real sockets. HL7 v2.5.1 §2.9.2; IHE ITI TF-2 C.2."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from mllp_peers import Echo, Log, Peer, accepted, message

from icops_fhir.mappers.v2.frame import wrap
from icops_fhir.mllp.connection import Wire
from icops_fhir.mllp.server import serve

WIRE = Wire(port=0, idle=5, read=5, write=5, drain=5)


def wire(**settings: object) -> Wire:
    return Wire(**{"port": 0, "idle": 5, "read": 5, "write": 5, "drain": 5, **settings})  # type: ignore[arg-type]


async def drip(peer: Peer, piece: bytes, times: int, pause: float) -> None:
    for _ in range(times):
        await peer.write(piece)
        await asyncio.sleep(pause)


def test_a_connection_stays_open_and_answers_each_message_in_order() -> None:
    async def run() -> None:
        echo = Echo()
        async with serve(echo, WIRE) as port:
            peer = await Peer.to(port)
            for i in range(3):
                await peer.send(message(f"a{i}"))
                assert await peer.answer() == ("AA", f"a{i}")
            await peer.send(*[message(f"b{i}") for i in range(100)])  # more than may wait
            assert [await peer.answer() for _ in range(100)] == [("AA", f"b{i}") for i in range(100)]
            peer.close()
        assert echo.peers[0] == "127.0.0.1"

    asyncio.run(run())


def test_messages_may_come_byte_by_byte_and_the_last_carriage_return_may_stay_away() -> None:
    async def run() -> None:
        echo = Echo()
        async with serve(echo, WIRE) as port:
            peer = await Peer.to(port)
            for byte in wrap(message("slow"))[:-1]:
                await peer.write(bytes([byte]))
            assert await peer.answer() == ("AA", "slow")
            await peer.write(b"\r" + wrap(message("next")))
            assert await peer.answer() == ("AA", "next")
            peer.close()
        assert echo.seen == [message("slow"), message("next")]

    asyncio.run(run())


def test_order_holds_within_a_connection_while_connections_do_not_wait_for_each_other() -> None:
    async def run() -> None:
        held = asyncio.Event()
        echo = Echo(before=lambda raw: held.wait() if b"|slow|" in raw else None)
        async with serve(echo, WIRE) as port:
            first, second = await Peer.to(port), await Peer.to(port)
            await first.send(message("slow"), message("after"))
            await second.send(message("other"))
            assert await second.answer() == ("AA", "other")
            held.set()
            assert [await first.answer(), await first.answer()] == [("AA", "slow"), ("AA", "after")]
            first.close(), second.close()

    asyncio.run(run())


def test_an_exception_becomes_an_ae_that_names_no_data_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Echo):
        async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
            if b"DUPONT" in raw:
                raise RuntimeError(f"cannot read {raw!r}")
            yield accepted(raw)

    async def run() -> None:
        async with serve(Broken(), WIRE) as port:
            peer = await Peer.to(port)
            await peer.send(message("bad", "PID|||||DUPONT"), message("good"))
            assert [await peer.answer(), await peer.answer()] == [("AE", "bad"), ("AA", "good")]
            peer.close()

    asyncio.run(run())
    assert "DUPONT" not in caplog.text


def test_an_exception_after_the_commit_acknowledgment_still_ends_in_an_application_one() -> None:
    class Broken(Echo):
        async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
            yield accepted(raw, "CA")
            raise RuntimeError("translation")

    async def run() -> None:
        async with serve(Broken(), WIRE) as port:
            peer = await Peer.to(port)
            await peer.send(message("1"))
            assert [await peer.answer(), await peer.answer()] == [("CA", "1"), ("AE", "1")]
            peer.close()

    asyncio.run(run())


def test_a_huge_message_is_refused_with_its_id_and_the_connection_goes_on() -> None:
    async def run() -> None:
        log = Log()
        async with serve(Echo(), wire(frame_limit=10_000), log) as port:
            peer = await Peer.to(port)
            await peer.send(message("huge", "OBX|" + "x" * 30_000), message("next"))
            assert [await peer.answer(), await peer.answer()] == [("AR", "huge"), ("AA", "next")]
            peer.close()
        assert ("fault", "mllp-too-long") in log.said

    asyncio.run(run())


def test_a_message_that_never_ends_is_refused_and_the_connection_is_closed() -> None:
    async def run() -> None:
        log = Log()
        async with serve(Echo(), wire(frame_limit=10_000), log) as port:
            peer = await Peer.to(port)
            await peer.write(b"\x0b" + message("endless"))
            with pytest.raises(ConnectionError):
                await drip(peer, b"x" * 10_000, 1000, 0)
        assert ("closed", "waste") in log.said

    asyncio.run(run())


def test_junk_and_torn_blocks_get_no_acknowledgment_and_what_follows_is_read() -> None:
    async def run() -> None:
        log = Log()
        async with serve(Echo(), WIRE, log) as port:
            peer = await Peer.to(port)
            await peer.write(b"GET / HTTP/1.1\r\n\r\n" + wrap(message("1")) + b"\x0bMSH|^~\\&|torn" + wrap(message("2")))
            assert [await peer.answer(), await peer.answer()] == [("AA", "1"), ("AA", "2")]
            peer.close()
        assert [said for said in log.said if said[0] == "fault"] == [("fault", "mllp-junk"), ("fault", "mllp-torn")]

    asyncio.run(run())


def test_a_close_in_the_middle_of_a_message_takes_nothing_of_it() -> None:
    async def run() -> None:
        echo, log = Echo(), Log()
        async with serve(echo, WIRE, log) as port:
            peer = await Peer.to(port)
            await peer.write(wrap(message("whole")) + wrap(message("half"))[:-20])
            peer.writer.write_eof()
            assert await peer.answer() == ("AA", "whole")
            assert await peer.ended()
        assert echo.seen == [message("whole")]
        assert ("fault", "mllp-torn") in log.said

    asyncio.run(run())


def test_a_peer_that_drips_its_message_is_left_after_the_read_time() -> None:
    async def run() -> None:
        log = Log()
        async with serve(Echo(), wire(read=0.3), log) as port:
            peer = await Peer.to(port)
            await peer.write(b"\x0b")
            with pytest.raises(ConnectionError):
                await drip(peer, b"M", 200, 0.02)
        assert ("closed", "slow") in log.said

    asyncio.run(run())


def test_a_silent_peer_is_left_after_the_idle_time_but_not_while_it_waits_for_us() -> None:
    async def run() -> None:
        log = Log()
        echo = Echo(before=lambda raw: asyncio.sleep(0.5))
        async with serve(echo, wire(idle=0.15), log) as port:
            peer = await Peer.to(port)
            await peer.send(message("1"))
            assert await peer.answer() == ("AA", "1")
            assert await peer.ended()
        assert ("closed", "idle") in log.said

    asyncio.run(run())


def test_a_peer_that_never_reads_is_left_and_its_messages_are_not_lost() -> None:
    class Loud(Echo):
        async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
            self.seen.append(raw)
            yield accepted(raw) + b"NTE|" + b"x" * 500_000

    async def run() -> None:
        echo, log = Loud(), Log()
        async with serve(echo, wire(write=0.3), log) as port:
            peer = await Peer.to(port, limit=1024)
            peer.writer.transport.pause_reading()
            await peer.send(*[message(str(i)) for i in range(40)])
            await log.until("closed", "deaf")
            peer.close()
        assert echo.seen[0] == message("0")

    asyncio.run(run())


def test_connections_have_a_limit_and_a_place_freed_is_taken_again() -> None:
    async def run() -> None:
        log = Log()
        async with serve(Echo(), wire(connections=2), log) as port:
            one, two = await Peer.to(port), await Peer.to(port)
            await one.send(message("1")), await two.send(message("2"))
            assert [await one.answer(), await two.answer()] == [("AA", "1"), ("AA", "2")]
            assert await (await Peer.to(port)).ended()
            assert ("refused", "full") in log.said
            one.close()
            await log.until("closed", "peer")
            third = await Peer.to(port)
            await third.send(message("3"))
            assert await third.answer() == ("AA", "3")
            two.close(), third.close()

    asyncio.run(run())


def test_only_the_networks_allowed_may_speak() -> None:
    async def run() -> None:
        async with serve(Echo(), wire(peers=("10.0.0.0/8",))) as port:
            assert await (await Peer.to(port)).ended()
        async with serve(Echo(), wire(peers=("10.0.0.0/8", "127.0.0.0/8"))) as port:
            peer = await Peer.to(port)
            await peer.send(message("1"))
            assert await peer.answer() == ("AA", "1")
            peer.close()

    asyncio.run(run())


def test_stopping_finishes_and_answers_what_was_received() -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def slowly() -> None:
            begun.set()
            await asyncio.sleep(0.2)

        echo = Echo(before=lambda raw: slowly())
        async with serve(echo, WIRE) as port:
            peer = await Peer.to(port)
            await peer.send(message("1"), message("2"))
            await begun.wait()
        assert [await peer.answer(), await peer.answer(), await peer.answer()] == [("AA", "1"), ("AA", "2"), ("", "")]
        peer.close()

    asyncio.run(run())


def test_stopping_takes_a_bounded_time() -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def forever() -> None:
            begun.set()
            await asyncio.Event().wait()

        async with serve(Echo(before=lambda raw: forever()), wire(drain=0.2)) as port:
            peer = await Peer.to(port)
            await peer.send(message("1"), *[message("more")] * 30)
            await begun.wait()
        assert await peer.ended()
        peer.close()

    asyncio.run(asyncio.wait_for(run(), 5))


def test_each_message_is_counted_with_its_code_and_its_time() -> None:
    async def run() -> None:
        times: list[float] = []
        async with serve(Echo(codes=("AE",)), WIRE, lambda what, which, value: times.append(value) if (what, which) == ("message", "AE") else None) as port:
            peer = await Peer.to(port)
            await peer.send(message("1"))
            await peer.answer()
            peer.close()
        assert len(times) == 1
        assert 0 <= times[0] < 5

    asyncio.run(run())
