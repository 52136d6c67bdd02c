"""`icops-fhir send`. HL7 v2.5.1 §2.10.3 (batch protocol)."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mllp_peers import Echo, accepted, message

from icops_fhir.mappers.v2.frame import wrap
from icops_fhir.mllp.connection import Wire
from icops_fhir.mllp.send import send, split
from icops_fhir.mllp.server import serve

BATCH = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + message("1") + message("2") + b"BTS|2\rFTS|1\r"


@contextmanager
def running(receiver: Echo) -> Iterator[int]:
    """A server in a thread of its own, as the command has its own loop."""
    ready, stop, port = threading.Event(), threading.Event(), [0]

    async def run() -> None:
        async with serve(receiver, Wire(port=0)) as bound:
            port[0] = bound
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    ready.wait(5)
    try:
        yield port[0]
    finally:
        stop.set()
        thread.join(5)


@given(st.lists(st.sampled_from([message("1"), message("2", "NTE|1||MSH is a word"), message("3", "PID|1\rOBX|1||BTS")]), min_size=1, max_size=5),
       st.sampled_from([b"\r", b"\n", b"\r\n"]))  # fmt: skip
def test_messages_come_out_of_a_file_as_they_stand(messages: list[bytes], terminator: bytes) -> None:
    messages = [m.replace(b"\r", terminator) for m in messages]

    assert split(b"".join(messages)) == messages
    assert split(b"".join(map(wrap, messages))) == messages


def test_a_batch_is_its_messages_without_its_envelope() -> None:
    assert split(BATCH) == [message("1"), message("2")]


def test_a_byte_order_mark_and_blank_lines_stay_with_their_message() -> None:
    raw = b"\xef\xbb\xbf" + message("1") + b"\r\n\r\n"

    assert split(raw) == [raw]
    assert split(b"\r\n\r\n" + message("1")) == [message("1")]


def test_each_message_has_a_line_and_the_sum_is_said(tmp_path: Path) -> None:
    class Picky(Echo):
        async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
            self.seen.append(raw)
            yield accepted(raw, "AE" if b"|bad|" in raw else "AA")

    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "batch.hl7").write_bytes(BATCH)
    (tmp_path / "x.hl7").write_bytes(message("bad").replace(b"\r", b"\n"))
    (tmp_path / "notes.txt").write_text("not a message")
    picky, out = Picky(), io.StringIO()
    with running(picky) as port:
        status = send("127.0.0.1", port, [str(tmp_path)], out=out)

    assert picky.seen == [message("1"), message("2"), message("bad").replace(b"\r", b"\n")]
    assert status == 1
    lines = out.getvalue().splitlines()
    assert [line.split()[1:] for line in lines[:3]] == [["1", "AA"], ["2", "AA"], ["bad", "AE"]]
    assert "batch.hl7#2" in lines[1]
    assert "3 messages" in lines[3]
    assert "AA 2 (66.7 %)" in lines[3]


def test_all_accepted_is_zero_and_types_may_be_chosen_and_json_is_one_object_per_line(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message("1"))
    (tmp_path / "c.hl7").write_bytes(b"no message, so no ADT")
    (tmp_path / "b.hl7").write_bytes(message("2").replace(b"ADT^A01^ADT_A01", b"ORU^R01"))
    out = io.StringIO()
    with running(Echo()) as port:
        status = send("127.0.0.1", port, [str(tmp_path)], json_lines=True, type="^ADT", connections=3, rate=500, out=out)

    first, summary = map(json.loads, out.getvalue().splitlines())
    assert status == 0
    assert (first["controlId"], first["type"], first["code"], first["errors"]) == ("1", "ADT^A01", "AA", [])
    assert summary["summary"] == {"AA": 1}


@pytest.mark.parametrize("listening", [True, False])
def test_what_cannot_be_read_or_reached_is_two(tmp_path: Path, listening: bool) -> None:
    (tmp_path / "a.hl7").write_bytes(b"no message" if listening else message("1"))
    out = io.StringIO()
    with running(Echo()) as port:
        pass
    with running(Echo()) as open_port:
        status = send("127.0.0.1", open_port if listening else port, [str(tmp_path / "a.hl7"), str(tmp_path / "absent.hl7")], out=out)

    assert status == 2
    assert ("unreadable" if listening else "refused") in out.getvalue()
