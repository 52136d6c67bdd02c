"""Messages as bytes: framing, several headers in one file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.json import dumps, loads
from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.message import decode, encode

HEAD = b"MSH|^~\\&|DPI|CHU|ICOPS|TOWN|20260302103000||ADT^A01^ADT_A01|M1|P|2.5\r"


@given(st.text(st.sampled_from("ab \x0b\x1c"), min_size=1, max_size=8))
def test_framing_goes_and_the_same_bytes_inside_text_stay(text: str) -> None:
    raw = HEAD + f"NTE|1||x{text}x\r".encode()
    if "\x1c\x0b" in text:  # the end of a block and the start of the next
        return

    assert er7.render(er7.parse(raw)) == raw
    assert er7.render(er7.parse(b"\x0b" + raw + b"\x1c\r")) == raw


def test_each_header_of_a_file_keeps_its_control_id_and_time() -> None:
    raw = HEAD + HEAD.replace(b"M1", b"M2").replace(b"20260302", b"20260303") + b"PID|1||42^^^CHU\r"

    assert encode(loads(dumps(decode(raw)))) == raw


def test_a_shorter_family_name_does_not_leave_the_old_one() -> None:
    bundle = decode(HEAD + b"PID|1||42^^^CHU||ARBOIS&D&ARBOIS^LINE^^^^^L\r")
    patient = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")

    patient["name"][0] = {"id": patient["name"][0]["id"], "family": "DUPONT"}

    assert b"|DUPONT\r" in encode(bundle)


def test_an_identifier_that_cannot_be_held_leaves_its_authority_carried() -> None:
    raw = HEAD + b"PID|1||42^^^CHU\rDG1||||||||||||||||\"\"^^^^^^^^CHU&1.2.3&ISO^^^^RPPS\r"

    assert encode(loads(dumps(decode(raw)))) == raw


def test_the_second_identifier_of_a_member_without_a_first_stays_second() -> None:
    raw = HEAD + b"PID|1||42^^^CHU\rROL||||^DUPONT~99\r"

    assert encode(loads(dumps(decode(raw)))) == raw


def test_a_telephone_whose_local_part_cannot_be_held_is_carried() -> None:
    raw = HEAD + b"PID|||||ARBOIS||||||||^^^^^M^ \r"

    assert encode(loads(dumps(decode(raw)))) == raw


def test_an_unknown_action_on_a_legal_mode_comes_back() -> None:
    raw = HEAD + b"PID|1||42^^^CHU\rZFS|||||M\r"

    assert encode(loads(dumps(decode(raw)))) == raw


def test_parts_of_an_authority_or_a_telephone_that_cannot_be_held_are_carried() -> None:
    raw = HEAD + b"PID|||42^^^&1.2.3& ||ARBOIS||||||||^^^^^M^0\x1f^^^^^19790328\r"

    assert encode(loads(dumps(decode(raw)))) == raw


def test_each_stay_of_a_message_has_its_own_class_and_no_other() -> None:
    raw = b"MSH|^~\\&|A|B|||20260302||ADT^A17^ADT_A17|1|P|2.5\rPID|1||1\rPV1|1|E\rPID|2||2\rPV1|2||W1\r"
    bundle = decode(raw)

    stays = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Encounter"]
    assert [stay["class"]["code"] for stay in stays] == ["EMER", "UNK"]
    assert encode(bundle) == raw
