"""JSON keeps what was written. https://hl7.org/fhir/R4/json.html, RFC 8259"""

import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import Number, canonical, dumps, loads, same

digits = st.text("0123456789", min_size=1, max_size=30)
integer = st.one_of(st.just("0"), st.builds(lambda first, rest: first + rest, st.sampled_from("123456789"), st.text("0123456789", max_size=30)))
lexeme = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(["", "-"]), integer, st.one_of(st.just(""), digits.map(lambda d: f".{d}")),
    st.one_of(st.just(""), st.builds(lambda e, s, d: e + s + d, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.text("0123456789", min_size=1, max_size=21))),
)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
awkward = st.one_of(text, st.sampled_from(['":', ":", '"', '":1.5', ',1.5', "[1.5", "\\", "\\u0022:", 'a":"b', "NaN", "1.2.250.1", "\u2028", "\ufeff", "é"]))
spelled = st.recursive(
    st.one_of(lexeme, st.sampled_from(["true", "false", "null"]), awkward.map(lambda s: json.dumps(s, ensure_ascii=False))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(awkward, inner, max_size=4).map(
            lambda members: "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{value}" for name, value in members.items()) + "}"
        ),
    ),
    max_leaves=12,
)


@given(spelled)
def test_what_was_read_is_written_with_the_same_numbers_members_and_order(source):
    expected = source.encode()

    assert expected == dumps(loads(source))


@given(spelled)
def test_spaces_and_escapes_change_nothing_else(source):
    value = loads(source)
    plain = json.loads(source, parse_float=Number, parse_int=lambda t: loads(t))

    for indent, ascii_only, separators in ((2, True, None), (None, True, (" , ", " : ")), (1, False, None)):
        spaced = _spell(plain, indent, ascii_only, separators)

        assert dumps(value) == dumps(loads(spaced))


def _spell(value, indent, ascii_only, separators):
    """stdlib's spelling, each Number by its text."""
    numbers = []

    def hide(node):
        if isinstance(node, Number):
            numbers.append(node.text)
            return f"\x00number{len(numbers) - 1}\x00"
        if isinstance(node, dict):
            return {name: hide(child) for name, child in node.items()}
        return [hide(child) for child in node] if isinstance(node, list) else node

    out = json.dumps(hide(value), indent=indent, ensure_ascii=ascii_only, separators=separators)
    for i, number in enumerate(numbers):
        out = out.replace(f'"\\u0000number{i}\\u0000"', number)
    return out


@given(spelled, spelled)
def test_two_values_are_the_same_exactly_when_their_canonical_bytes_are(a, b):
    def spelling(value):
        if isinstance(value, dict):
            return {name: spelling(child) for name, child in value.items()}
        if isinstance(value, list):
            return [spelling(child) for child in value]
        return ("number", str(value)) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else (type(value), value)

    left, right = loads(a), loads(b)

    assert (spelling(left) == spelling(right)) == same(left, right)
    assert canonical(left) == canonical(loads(dumps(left)))


spaces = st.sampled_from(["", " ", "\n "])


HIDES = ["", '"x\\u0022:":1,', '"x":"\\u003a",', '"x":"\\u003A",', '"x":"a\\u0022:",']
hides = st.sampled_from(HIDES)


@example("1", "a", "", "", HIDES[1], False, False)
@example("1", "a", "", "", HIDES[2], False, False)
@example("1", "a", "", "", HIDES[3], False, True)
@example("1", "a", " ", "", "", False, False)
@given(spelled, awkward, spaces, spaces, hides, st.booleans(), st.booleans())
def test_a_member_that_stands_twice_is_refused_wherever_and_however_it_is_spelled(value, name, space, other, hidden, escaped, deep):
    first = json.dumps(name, ensure_ascii=False)
    second = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in name)
    twice = f"{{{first}{space}:{value},{other}{hidden}" + (f'"{second}"' if escaped else first) + f"{other}:1}}"
    with pytest.raises(FhirError) as caught:
        loads(f'{{"a":[{twice}]}}' if deep else twice)

    assert (caught.value.issues[0].code, caught.value.status) == ("structure", 400)
    assert "twice" in caught.value.issues[0].diagnostics


@pytest.mark.parametrize("lexeme", ["1.50", "1e3", "-0", "0.0", "-0.00", "1E+2", "123456789012345678901234567890", "1234567890123456789", "1e99999999999999999999", "-1e-99999999999999999999"])
def test_these_numbers_keep_their_text(lexeme):
    value = loads(lexeme)

    assert isinstance(value, Number)
    assert lexeme == str(value) == dumps(value).decode()


@pytest.mark.parametrize(("lexeme", "value"), [("0", 0), ("-1", -1), ("123456789012345678", 123456789012345678)])
def test_plain_integers_are_ints(lexeme, value):
    found = loads(lexeme)

    assert value == found
    assert int is type(found)


@given(lexeme)
def test_no_float_ever_comes_out(source):
    assert type(loads(source)) in (int, Number)


@pytest.mark.parametrize(("source", "place"), [
    (b'{"a":1,\n "a":2}', "line 2, column 2"),
    (b'{"a":\n  NaN}', "line 2, column 3"),
    (b"[-Infinity]", "line 1, column 2"),
    (b'["\\ud800"]', "line 1, column 3"),
    (b'{"a":}', "line 1, column 6"),
    (b"[1,]", "line 1, column 4"),
    (b"[01]", "line 1, column 3"),
    (b'"a\xff"', "line 1, column 3"),
    (b"", "line 1, column 1"),
    (b"'a'", "line 1, column 1"),
    (b'{"a":1} x', "line 1, column 9"),
    ("\ud800", "line 1, column 1"),
])  # fmt: skip
def test_what_is_no_json_is_refused_with_its_place(source, place):
    with pytest.raises(FhirError) as caught:
        loads(source)

    issue = caught.value.issues[0]
    assert (place,) == issue.location
    assert place in issue.diagnostics
    assert "inutilisable" in issue.french
    assert (caught.value.status, caught.value.ack) == (400, "AR")


def test_two_hundred_levels_are_read_and_one_more_is_refused():
    deep = "[" * 200 + "]" * 200

    assert deep.encode() == dumps(loads(deep))
    for source in (f"[{deep}]", '{"a":' * 201 + "1" + "}" * 201, "[" * 100_000):
        with pytest.raises(FhirError):
            loads(source)


def test_a_text_over_the_limit_is_refused_as_too_large():
    with pytest.raises(FhirError) as caught:
        loads(b"[1,2,3]", limit=6)

    assert caught.value.status == 413
    assert loads(b"[1,2,3]", limit=7) == [1, 2, 3]


def test_pairs_of_surrogates_and_a_byte_order_mark_are_read():
    assert loads(b'\xef\xbb\xbf["\\ud83d\\ude00"]') == ["😀"]


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], Decimal("NaN"), {1: 2}, {"a": object()}, "\ud800"])
def test_what_is_no_json_value_is_not_written(value):
    with pytest.raises(TypeError):
        dumps(value)


def test_other_numbers_are_written_by_value():
    assert dumps((1.5, Decimal("1E+2"), True, None, 10**20)) == b"[1.5,1E+2,true,null,100000000000000000000]"


def test_true_is_not_one_and_spelling_counts():
    assert not same(True, 1)
    assert not same(loads("1.5"), loads("1.50"))
    assert same(loads('{"a":1,"b":2}'), loads('{ "b" : 2, "a" : 1 }'))


def test_numbers_survive_copies():
    import copy
    import pickle

    value = {"value": Number("1.50")}

    for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert dumps(twin) == b'{"value":1.50}'
