"""The examples of examples/hl7v2: what they cover, and that each is the FHIR beside it, both ways."""

import json
import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import canonical, loads
from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.message import decode, encode

EXAMPLES = Path(__file__).parents[1] / "examples" / "hl7v2"
INDEX: list[dict[str, Any]] = json.loads((EXAMPLES / "index.json").read_text("utf-8"))
MESSAGES = [entry["id"] for entry in INDEX if entry["quality"] == "full"]
REFUSED = [entry for entry in INDEX if entry["quality"] == "invalid"]
EVENTS = {*(f"A{n:02d}" for n in (*range(1, 17), 21, 22, *range(25, 29), *range(31, 34), 38, 40, 44, 47, *range(52, 56))), "Z99"}
AMENDED = {"A01", "A02", "A03", "A04", "A05", "A06", "A07", "A14", "A15", "A16", "A21", "A22", "A54"}
SEGMENTS = {"PD1", "ROL", "NK1", "PV2", "MRG", "ZBE", "ZFA", "ZFP", "ZFV", "ZFM", "ZFD", "ZFS", "OBX", "DG1", "AL1", "PR1"}


@cache
def maker() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / "index.py"))


def test_every_message_says_what_it_shows() -> None:
    files = sorted(path.name for path in EXAMPLES.glob("*.hl7"))

    assert sorted(entry["id"] for entry in INDEX) == files
    assert [entry["id"] for entry in INDEX if not entry["shows"]] == []


def test_the_index_is_that_of_the_files() -> None:
    index = list(maker()["entries"]())

    assert index == INDEX
    assert maker()["readme"](index) == (EXAMPLES / "README.md").read_text("utf-8")
    assert (EXAMPLES / "all.txt").read_text("utf-8").split() == MESSAGES


def test_every_event_segment_and_correction_of_the_profile_has_an_example() -> None:
    full = [entry for entry in INDEX if entry["quality"] == "full"]

    assert set() == EVENTS - {entry["trigger"] for entry in full}
    assert set() == SEGMENTS - {name for entry in full for name in entry["segments"]}
    assert set() == AMENDED - {entry["original"] for entry in full if entry["action"] == "UPDATE"}
    assert {"CR", "LF", "CR LF"} <= {entry["terminator"] for entry in full}
    assert {"ascii", "utf-8", "8859/1", "8859/15"} == {entry["encoding"] for entry in full}


def test_every_ins_is_a_test_number_with_a_true_key() -> None:
    wrong = []
    for name in MESSAGES:
        message = er7.parse((EXAMPLES / name).read_bytes())
        for path in ("PID-3", "MRG-1"):
            for identifier in message.repetitions(path):
                number, kind, authority = identifier.get("1"), identifier.get("5"), identifier.get("4.2")
                if kind == "INS" and number != '""':
                    assert authority in {"1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.9"}
                    if 97 - int(number[:13]) % 97 != int(number[13:]):
                        wrong.append(name)

    assert wrong == ["adt_a04_insert_wrong_ins_key.hl7"]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_becomes_the_fhir_beside_it(name: str) -> None:
    path = EXAMPLES / name
    expected = loads(path.with_suffix(".json").read_bytes())

    actual = decode(path.read_bytes())

    assert canonical(expected) == canonical(actual), "python examples/hl7v2/index.py --convert"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_fhir_becomes_the_message_beside_it(name: str) -> None:
    path = EXAMPLES / name
    expected = er7.parse(path.read_bytes())

    actual = er7.parse(encode(loads(path.with_suffix(".json").read_bytes())))

    assert leaves(expected) == leaves(actual)


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry["id"])
def test_what_is_refused_says_whose_fault_it_is(entry: dict[str, Any]) -> None:
    with pytest.raises(FhirError) as caught:
        decode((EXAMPLES / entry["id"]).read_bytes())

    assert entry["expected"] == {"ack": caught.value.ack, "rule": caught.value.issues[0].rule}


def leaves(message: er7.Message) -> list[tuple[str, dict[er7.Place, str]]]:
    """Every leaf of every segment, in order."""
    return [(segment.name, dict(segment.leaves())) for segment in message.segments]
