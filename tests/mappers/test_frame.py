"""MLLP framing. HL7 v2.5.1 appendix C; IHE ITI TF-2 C.2."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.issue import FhirError
from icops_fhir.mappers.v2.frame import HEAD, Block, Fault, Framer, wrap

MESSAGE = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\rPID|1\r"
piece = st.binary(max_size=8) | st.sampled_from(
    [b"\x0b", b"\x1c", b"\x1c\r", b"\r", b"\n", b"MSH|", b"\x0bMSH|", b"FHS", MESSAGE, b"\x0b" + MESSAGE + b"\x1c\r"]
)
stream = st.lists(piece, max_size=25).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(p % (len(data) + 1) for p in places)})
    return [data[a:b] for a, b in pairwise(marks)]


def fed(pieces: list[bytes], limit: int = 2**20) -> list[object]:
    framer = Framer(limit)
    out: list[object] = [event for part in pieces for event in framer.feed(part)]
    return [*out, framer.waste, framer.inside, framer.close()]


@given(stream, st.lists(st.integers(0, 2000), max_size=12), st.sampled_from([3, 40, 2**20]))
def test_any_cutting_gives_the_same_blocks_and_faults(data: bytes, places: list[int], limit: int) -> None:
    expected = fed([data], limit)

    assert expected == fed(cut(data, places), limit)
    assert expected == fed([data[i : i + 1] for i in range(len(data))], limit)


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda b: b"\x1c" not in b and b"\x0b" not in b), max_size=8))
def test_what_is_wrapped_comes_out_whole_and_in_order(messages: list[bytes]) -> None:
    assert [Block(m) for m in messages] == Framer().feed(b"".join(map(wrap, messages)))


@given(stream)
def test_no_byte_of_a_block_is_made_up_or_moved(data: bytes) -> None:
    at = 0
    for event in Framer().feed(data):
        body = event.body if isinstance(event, Block) else event.head
        at = data.index(body, at) + len(body)


def test_the_closing_carriage_return_is_optional_and_two_blocks_may_follow_each_other() -> None:
    assert [Block(b"one"), Block(b"two"), Block(b"three")] == Framer().feed(b"\x0bone\x1c\x0btwo\x1c\r\n\x0bthree\x1c")


def test_junk_between_blocks_is_said_and_the_next_block_is_read() -> None:
    first, fault, second = Framer().feed(wrap(b"one") + b"hello" + wrap(b"two"))

    assert (Block(b"one"), Block(b"two")) == (first, second)
    assert isinstance(fault, Fault)
    assert (fault.issue.rule, fault.answer) == ("mllp-junk", False)
    assert "5 bytes" in fault.issue.diagnostics


def test_a_block_given_up_by_a_new_start_is_said_and_the_new_one_is_whole() -> None:
    fault, block = Framer().feed(b"\x0bMSH|^~\\&|half" + wrap(MESSAGE))

    assert block == Block(MESSAGE)
    assert isinstance(fault, Fault)
    assert (fault.issue.rule, fault.head) == ("mllp-torn", b"MSH|^~\\&|half")


def test_a_vertical_tab_inside_a_text_stays_in_its_message() -> None:
    text = MESSAGE + b"NTE|1||line\x0bline"

    assert [Block(text)] == Framer().feed(wrap(text))


def test_a_block_over_the_limit_is_refused_once_with_its_head_and_the_next_is_read() -> None:
    framer = Framer(limit=10_000)
    huge = MESSAGE + b"x" * 100_000
    events = framer.feed(wrap(huge)[:50_000])
    assert not events
    assert framer.waste > 0

    fault, block = framer.feed(wrap(huge)[50_000:] + wrap(MESSAGE))

    assert isinstance(fault, Fault)
    assert (fault.issue.rule, fault.answer) == ("mllp-too-long", True)
    assert fault.head == huge[:HEAD]
    assert block == Block(MESSAGE)


def test_a_block_of_exactly_the_limit_passes() -> None:
    assert [Block(b"x" * 10)] == Framer(limit=10).feed(wrap(b"x" * 10))


def test_a_stream_that_ends_inside_a_block_says_so() -> None:
    framer = Framer()
    framer.feed(b"\x0bMSH|half")

    fault = framer.close()

    assert fault is not None
    assert (fault.issue.rule, fault.head) == ("mllp-torn", b"MSH|half")


def test_a_message_that_would_be_cut_is_not_wrapped() -> None:
    with pytest.raises(FhirError, match="0x1C"):
        wrap(b"MSH|\x1c|")


def test_the_cost_grows_with_the_bytes_and_not_with_the_pieces_before_them() -> None:
    """Counted work, not time: a framer that looks again at what it holds would need minutes here."""
    framer, one = Framer(), b"x" * 16
    started = time.process_time()
    framer.feed(b"\x0b")
    for _ in range(200_000):
        framer.feed(one)
    (block,) = framer.feed(b"\x1c\r")

    assert block == Block(one * 200_000)
    assert time.process_time() - started < 20
