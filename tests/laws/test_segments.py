"""The laws of every segment table the registry finds (design: two-way mapping)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icops_fhir.fhir.json import canonical, dumps, loads
from icops_fhir.mappers import registry
from icops_fhir.mappers.v2 import er7, message
from icops_fhir.mappers.v2.segment import Segment

HEAD = "MSH|^~\\&|DPI^1.2.250.1.1^ISO|CHU|ICOPS|TOWN|20260302103000||ADT^A01^ADT_A01|M1|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8"
PATIENT = "PID|1||42^^^CHU&1.2.3&ISO^PI||ARBOIS^LINE^LINE ANNE^^^^L||19520312|F"
VISIT = "PV1|1|I|||||||||||||||||77^^^CHU&1.2.3&ISO^VN"

ATOMS = (
    "M", "F", "X", "L", "D", "Y", "N", '""', "19790328", "2023110211", "20231102113045.12-0500", "202607010800", "20260230",
    "1.2.250.1.213.1.4.8", "1.2.250.1", "ISO", "INS", "PI", "VALI", "PROV", "BDL", "ORI", "PRN", "WPN", "PH", "CP", "Internet",
    "a@b.fr", "0612345678", "(555)555-2004", "33", "555", "1.50", "-0", "007", "NM", "CE", "TS", "ST", "LN", "HL70443", "99ZZ",
    "I", "E", "O", "R", "IO", "INO", "NA", "IC", "INC", "INSERT", "CANCEL", "HMS", "A01", "A03", "DA", "SV", "2", "0",
    " ", " x", "é œ €", "\\F\\", "\\S\\", "\\H\\", "\\.br\\", "\\X41\\", "\\X0A\\", "C:\\TEMP", "a\\", "\x01",
)  # fmt: skip
atom = st.one_of(
    st.just(""),
    st.sampled_from(ATOMS),
    st.text(st.characters(exclude_characters="|^~&\r\n\x0b\x1c\ufeff", exclude_categories=("Cs",)), max_size=5),
)
repetition = st.lists(st.lists(atom, min_size=1, max_size=3), min_size=1, max_size=13)
fields = st.dictionaries(st.integers(1, 45), st.lists(repetition, min_size=1, max_size=3), max_size=8)
tables = st.sampled_from([table.name for table in registry.every()])


def written(name: str, content: dict[int, Any]) -> str:
    """A line from generated content."""
    low = 3 if name == "MSH" else 1
    parts = ["~".join("^".join("&".join(c) for c in rep) for rep in content.get(n, [])) for n in range(low, max([*content, low - 1]) + 1)]
    return "|".join([name, *(["^~\\&"] if name == "MSH" else []), *parts])


def whole(name: str, content: dict[int, Any]) -> bytes:
    """A message with the generated segment in its usual company."""
    line = written(name, content)
    lines = {"MSH": [line, PATIENT], "PID": [HEAD, line], "PV1": [HEAD, PATIENT, line]}.get(name, [HEAD, PATIENT, VISIT, line])
    return ("\r".join(lines) + "\r").encode()


def texts(raw: bytes) -> list[tuple[str, dict[Any, str]]]:
    """What a message says: its segments and their leaves, escape sequences read."""
    parsed = er7.parse(raw)
    return [(s.name, s.leaves()) for s in parsed.segments]


@given(tables, fields)
@example("ZBE", {1: [[["M"], [""], ["1.2.250.1"]]]})
@example("PID", {10: [[[""]], [[""], ["M"], [""], ["M"]]]})
@example("NK1", {5: [[["0612"], ["PRN"]]], 4: [[["x"]] * 14]})
@example("PID", {13: [[[""], ["WPN"], ["PH"], [""], ["33"], ["1"], ["555"]]]})
@example("OBX", {2: [[["NM"]]], 5: [[["007"]]], 6: [[["mg"]]]})
@example("EVN", {2: [[["20260302"]]]})
@example("MSH", {18: [[["8859/1"]]], 9: [[["ADT"], ["A01"]]]})
def test_nothing_is_lost_and_nothing_is_invented(name: str, content: dict[int, Any]) -> None:
    raw = whole(name, content)

    again = message.encode(loads(dumps(message.decode(raw))))

    assert texts(raw) == texts(again)


@given(tables, fields)
def test_the_second_reading_is_the_first(name: str, content: dict[int, Any]) -> None:
    first = message.decode(whole(name, content))

    second = message.decode(message.encode(first))

    assert _without_ids(first) == _without_ids(second)


def _without_ids(bundle: dict[str, Any]) -> bytes:
    """A Bundle whose ids are ranks: ids are made from the bytes, and bytes may be spelled otherwise."""
    text = dumps(bundle).decode()
    for n, entry in enumerate(bundle["entry"]):
        text = text.replace(entry["resource"]["id"], str(n))
    return text.encode()


@given(tables, fields, st.randoms(use_true_random=False))
def test_the_order_of_carried_leaves_does_not_matter(name: str, content: dict[int, Any], chance: Any) -> None:
    bundle = message.decode(whole(name, content))
    edited = copy.deepcopy(bundle)
    _patient(edited)["gender"] = "other"
    one = message.encode(edited)

    for node in _with_extensions(edited["entry"]):
        if not any(e.get("url", "").endswith("v2-segment") for e in node["extension"]):
            chance.shuffle(node["extension"])

    assert texts(one) == texts(message.encode(edited))


def _with_extensions(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for one in value for found in _with_extensions(one)]
    if not isinstance(value, dict):
        return []
    mine = [value] if any(e.get("url", "").endswith("v2-carried") for e in value.get("extension", ())) else []
    return mine + [found for one in value.values() for found in _with_extensions(one)]


def _patient(bundle: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    return found


pid = fields.map(lambda content: {k: v for k, v in content.items() if k not in (8,)})


@given(fields, st.sampled_from(["male", "female"]))
def test_an_edit_wins_and_touches_only_its_place(content: dict[int, Any], gender: str) -> None:
    raw = whole("PID", content)
    edited = message.decode(raw)
    _patient(edited)["gender"] = gender

    out = message.encode(edited)

    assert _patient(message.decode(out))["gender"] == gender
    before, after = dict(texts(raw))["PID"], dict(texts(out))["PID"]
    assert {p[0] for p in before.keys() | after.keys() if before.get(p) != after.get(p)} <= {8}


@given(fields, st.text("BCDFGH", min_size=1, max_size=5))
def test_an_edited_item_changes_its_repetition_only(content: dict[int, Any], family: str) -> None:
    raw = whole("PID", {**content, 5: [[["DOE"], ["Jo"], ["mid"]], *content.get(5, [])]})
    edited = message.decode(raw)
    _patient(edited)["name"][0]["family"] = family

    out = message.encode(edited)

    before, after = dict(texts(raw))["PID"], dict(texts(out))["PID"]
    assert {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)} <= {(5, 1, 1, 1)}
    assert after[5, 1, 1, 1] == family


@given(fields)
def test_a_deleted_item_goes_whole_and_its_neighbours_stay(content: dict[int, Any]) -> None:
    raw = whole("PID", {**content, 5: [[["DOE"], ["Jo"], ["middle"], ["", "x"]], *content.get(5, [])]})
    edited = message.decode(raw)
    del _patient(edited)["name"][0]

    out = message.encode(edited)

    before, after = dict(texts(raw))["PID"], dict(texts(out))["PID"]
    assert {p[:2] for p in before.keys() | after.keys() if before.get(p) != after.get(p)} == {(5, 1)}
    assert not any(p[:2] == (5, 1) for p in after)


@given(fields, st.text("ABCDEF", min_size=1, max_size=5))
def test_a_new_item_is_appended(content: dict[int, Any], family: str) -> None:
    edited = message.decode(whole("PID", content))
    _patient(edited).setdefault("name", []).append({"family": family})

    back = _patient(message.decode(message.encode(edited)))

    names = [n for n in back["name"] if n["id"].startswith("PID-5.")]
    assert names[-1]["family"] == family


@given(tables, fields)
@example("ZFS", {6: [[['""']]]})
def test_what_a_table_reads_it_reads_again_from_what_it_writes(name: str, content: dict[int, Any]) -> None:
    """decode(encode(decode(x))) == decode(x), without any carried leaf: the law codecs obey."""
    bundle = message.decode(whole(name, content))
    bare = loads(dumps(bundle))
    for node in _with_extensions(bare["entry"][1:]):
        node["extension"] = [e for e in node["extension"] if not e.get("url", "").endswith("v2-carried")]
    again = message.decode(message.encode(bare))

    assert _meaning(bundle) == _meaning(again)


def _meaning(bundle: dict[str, Any]) -> list[bytes]:
    """The resources without ids, carried leaves and the order of segments."""
    out = loads(_without_ids(bundle))
    for entry in out["entry"]:
        _strip(entry)
    return [canonical(entry["resource"]) for entry in out["entry"]]


def _strip(node: Any) -> None:
    if isinstance(node, list):
        for one in node:
            _strip(one)
    elif isinstance(node, dict):
        if "extension" in node:
            node["extension"] = [e for e in node["extension"] if not str(e.get("url", "")).endswith(("v2-carried", "v2-segment"))]
            if not node["extension"]:
                del node["extension"]
        for one in node.values():
            _strip(one)


@pytest.mark.parametrize("table", registry.every(), ids=lambda t: t.name)
def test_every_row_names_an_alias_of_its_table(table: Segment) -> None:
    assert {row.alias for row in table.rows} <= set(table.aliases)
