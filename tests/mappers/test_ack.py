"""Acknowledgments. HL7 v2.5.1 §2.9, §2.15.5 (ERR), §2.15.8 (MSA)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.fhir.issue import Issue
from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.ack import Acknowledgment, acknowledge, place, read
from icops_fhir.mappers.v2.frame import Block, Framer, wrap

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=timezone(timedelta(hours=1)))
MSH = "MSH|^~\\&|GAP^1.2.3^ISO|NORDHOSP|ICOPS|REGION|20260310150000+0100||ADT^A13^ADT_A01|ADT-13|P|2.5^FRA^2.11|||||FRA|8859/15"
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def ack(raw: bytes, code: str = "AE", *issues: Issue) -> er7.Message:
    return er7.parse(acknowledge(raw, code, issues, control_id="ours-1", now=NOW))


@given(TEXT, TEXT, st.sampled_from(["|^~\\&", "#*!?%", "|^~\\&#"]), st.sampled_from(["8859/1", "8859/15", "UNICODE UTF-8", "ASCII", ""]))
def test_what_an_issue_says_is_read_back_whatever_the_delimiters_and_the_charset(english: str, french: str, d: str, label: str) -> None:
    raw = MSH.replace("|^~\\&", d, 1).replace("|", d[0]).replace("8859/15", label).encode()
    answer = acknowledge(raw, "AE", [Issue("error", "required", english, french=french)], control_id="x", now=NOW)

    (issue,) = read(answer).issues
    typographic = str.maketrans({"’": "'", "…": "...", "–": "-", "—": "-", "œ": "oe", "Œ": "OE"})
    expected = [english or "Required field missing", french]
    assert [t.translate(typographic) for t in expected] == [t.translate(typographic) for t in (issue.diagnostics, issue.french)]
    assert [Block(answer)] == Framer().feed(wrap(answer))


@given(st.binary(max_size=200))
def test_any_bytes_at_all_get_an_acknowledgment_that_can_be_framed_and_read(raw: bytes) -> None:
    answer = acknowledge(raw, "AR", [Issue("fatal", "structure", "no MSH", french="pas de MSH")], control_id="x", now=NOW)

    assert read(answer).code == "AR"
    assert [Block(answer)] == Framer().feed(wrap(answer))


def test_the_answer_goes_back_to_its_sender_in_its_version_and_says_whose_it_is() -> None:
    answer = ack(MSH.encode())

    expected = "MSH|^~\\&|ICOPS|REGION|GAP^1.2.3^ISO|NORDHOSP|20260310150000+0100||ACK^A13^ACK|ours-1|P|2.5^FRA^2.11|||||FRA|8859/15"
    assert [expected, "MSA|AE|ADT-13"] == [segment.line for segment in answer.segments]


def test_each_issue_is_one_err_with_its_place_its_code_and_both_languages() -> None:
    answer = ack(
        MSH.encode(), "AE",
        Issue("error", "required", "PID-3 has no IPP | send one", ("PID-3[2].4.2",), rule="v2-no-ipp", french="PID-3 n'a pas d'IPP"),
        Issue("warning", "value", "unknown code", ("Patient.gender",), ("PID[2]-8",)),
    )  # fmt: skip

    assert [segment.line for segment in answer.named("ERR")] == [
        "ERR||PID^1^3^2^4^2|101^Required field missing^HL70357|E|v2-no-ipp^^99ICOPS||PID-3 has no IPP \\F\\ send one|PID-3 n'a pas d'IPP",
        "ERR||PID^2^8^1|0^Message accepted^HL70357|W|||unknown code",
    ]


def test_a_version_before_2_5_also_gets_msa_3_and_err_1() -> None:
    answer = ack(MSH.replace("2.5^FRA^2.11", "2.3.1").encode(), "AR", Issue("error", "required", "no PID-3", ("PID-3",)))

    assert answer.first("MSA").line == "MSA|AR|ADT-13|no PID-3"
    assert answer.first("ERR").line.startswith("ERR|PID^1^3^101&Required field missing&HL70357|PID^1^3^1|")


@pytest.mark.parametrize(
    ("declared", "codec", "said"),
    [
        ("8859/15", "iso8859-15", "8859/15"),
        ("8859/1", "utf-8", "UNICODE UTF-8"),  # the bytes win
        ("UNICODE UTF-8", "latin-1", "8859/15"),  # the bytes are not UTF-8: the site's
        ("", "ascii", "8859/15"),
        ("ASCII", "latin-1", "8859/15"),
    ],
)
def test_msh_18_is_true_to_the_bytes(declared: str, codec: str, said: str) -> None:
    name = "Gwenaelle" if codec == "ascii" else "Gwénaëlle"
    raw = f"{MSH.replace('8859/15', declared)}\rPID|||||{name}\r".encode(codec)

    answer = acknowledge(raw, "AE", [Issue("error", "value", "é", french="été")], control_id="x", now=NOW)

    label = er7.parse(answer).get("MSH-18")
    assert label in (said, "8859/1")
    assert "été".encode({"8859/15": "iso8859-15", "8859/1": "latin-1"}.get(label, "utf-8")) in answer


def test_an_acknowledgment_without_err_still_says_why() -> None:
    raw = b"MSH|^~\\&|A|B|C|D|2026||ACK|9|P|2.3\rMSA|AE|77|PID missing\r"

    assert Acknowledgment("AE", "77", (Issue("error", "processing", "PID missing"),)) == read(raw)


def test_bytes_without_msa_are_no_acknowledgment() -> None:
    assert [read(MSH.encode()), read(b"OK\r\n")] == [None, None]


def test_a_foreign_err_is_read_by_its_code_when_it_has_no_text() -> None:
    raw = b"MSH|^~\\&|A|B|C|D|2026||ACK|9|P|2.5\nMSA|AR|77\nERR||PID^1^3|101^Required field missing^HL70357|E\n"

    (issue,) = read(raw).issues

    assert (issue.code, issue.diagnostics, issue.expression) == ("required", "Required field missing", ("PID-3",))


def test_places_that_are_no_v2_places_are_left_out() -> None:
    assert [place("PID"), place("PID[2]-3"), place("Patient.name"), place("")] == [("PID", "1"), ("PID", "2", "3", "1"), None, None]


def test_an_instant_keeps_its_zone() -> None:
    answer = acknowledge(None, "AR", control_id="x", now=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))

    assert er7.parse(answer).get("MSH-7") == "20260102030405+0000"
