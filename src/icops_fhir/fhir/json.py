"""JSON that keeps what was written: the text of every number, member order, every legal member.

https://hl7.org/fhir/R4/json.html, RFC 8259. Sameness is equality of `canonical` bytes, never Python `==`.

    loads ─── the stdlib scanner, numbers through hooks ─┬─ as many members as `dumps` would write: done
                                                         └─ not sure: again, looking at each object's members
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

from icops_fhir.fhir.issue import FhirError, Issue

LIMIT = 64 * 2**20
DEPTH = 200
DIGITS = 18  # an integer up to here is a plain int

Resource = dict[str, Any]


class Number(Decimal):
    """A JSON number whose text an int would not give back: `1.50`, `1e3`, `-0`, 30 digits."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        try:
            self = super().__new__(cls, text)
        except InvalidOperation:  # an exponent no Decimal can hold: the text still stands
            sign, rest = ("-", text[1:]) if text.startswith("-") else ("", text)
            mantissa, _, power = rest.lower().partition("e")
            small = power.startswith("-") or not mantissa.strip("0.")
            self = super().__new__(cls, sign + ("0" if small else "Infinity"))
        self.text = text
        return self

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Number({self.text!r})"

    def __copy__(self) -> Number:
        return self

    def __deepcopy__(self, memo: Any) -> Number:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Number, (self.text,)


# ------------------------------------------------------------------ reading

def loads(data: bytes | str, limit: int = LIMIT) -> Any:
    """The value of a JSON text; FhirError (400, with line and column) when it is not one we keep whole."""
    try:
        raw = data.encode() if isinstance(data, str) else bytes(data)
    except UnicodeEncodeError as error:
        raise _refused("a lone surrogate is not a character", "un demi-caractère (surrogate) isolé", str(data), error.start) from None
    if len(raw) > limit:
        said = f"The JSON text has {len(raw)} bytes; the limit here is {limit}."
        french = f"Le texte JSON a {len(raw)} octets ; la limite est ici de {limit}."
        raise FhirError(Issue("error", "too-long", said, rule="icops-json-size", french=french), status=413, ack="AR")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = raw[: error.start].decode(errors="replace")
        raise _refused("the bytes are not UTF-8", "les octets ne sont pas de l'UTF-8", place, len(place)) from None
    try:
        value = _QUICK.decode(text)
        if not _whole(raw, dumps(value)):
            value = _CAREFUL.decode(text)
    except _Duplicate as error:
        what = f"the member {error.args[0]!r} stands twice in one object"
        french = f"le membre {error.args[0]!r} figure deux fois dans un objet"
        raise _refused(what, french, text, _second(text)) from None
    except json.JSONDecodeError as error:
        raise _refused(error.msg, f"syntaxe : {error.msg}", text, error.pos) from None
    except _Constant as error:
        at = _outside_strings(text, error.args[0])
        raise _refused(f"{error.args[0]} is not a JSON number", f"{error.args[0]} n'est pas un nombre JSON", text, at) from None
    except RecursionError:
        raise _deep() from None
    except orjson.JSONEncodeError:
        if half := _lone_surrogate(text):
            said, french = "a lone surrogate is not a character", "un demi-caractère (surrogate) isolé"
            raise _refused(said, french, text, half.start(1)) from None
        raise _deep() from None
    if raw.count(b"{") + raw.count(b"[") > DEPTH and _too_deep(value):
        raise _deep()
    return value


_SPACED = re.compile(rb'"[ \t\r\n]+:').search
_HIDDEN = (b"\\u0022", b"\\u003a", b"\\u003A")  # a quote, a colon


def _whole(raw: bytes, written: bytes) -> bool:
    """Whether no repeated member was dropped: what we would write has as many `":` as what was read.

    A name ends in `":`; inside a string that can only stand as `\\":` or at its start, the same on both sides when
    neither is hidden by an escape and no space stands between. Where one is, we are not sure: False.
    """
    return raw.count(b'":') == written.count(b'":') and not any(escape in raw for escape in _HIDDEN) and not _SPACED(raw)


class _Duplicate(Exception):
    """The same member twice; the argument is its name."""


class _Constant(Exception):
    """NaN, Infinity, -Infinity."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Duplicate(name)
            seen.add(name)
    return out


def _int(text: str) -> int | Number:
    return Number(text) if len(text) > DIGITS + (text[0] == "-") or text == "-0" else int(text)


def _constant(text: str) -> NoReturn:
    raise _Constant(text)


_QUICK = json.JSONDecoder(parse_float=Number, parse_int=_int, parse_constant=_constant)
_CAREFUL = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number, parse_int=_int, parse_constant=_constant)


def _too_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level:
        if depth >= DEPTH:
            return True
        level = [
            child for node in level for child in (node.values() if type(node) is dict else node if type(node) is list else ())
            if type(child) in (dict, list)
        ]
        depth += 1
    return False


_HALF = re.compile(r"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2})")


def _lone_surrogate(text: str) -> re.Match[str] | None:
    return next((found for found in _HALF.finditer(text) if len(found[1]) == 6), None)


_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[{}]', re.S)


def _second(text: str) -> int:
    """Where the first repeated member stands (only to say it in the error)."""
    stack: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token[0] == "{":
            stack.append(set())
        elif token[0] == "}":
            stack.pop()
        elif token[2]:
            name = json.loads(f'"{token[1]}"')
            if name in stack[-1]:
                return token.start()
            stack[-1].add(name)
    return 0


def _outside_strings(text: str, word: str) -> int:
    return next((m.start() for m in re.finditer(rf'"(?:[^"\\]|\\.)*"|{word}', text, re.S) if m[0] == word), 0)


def _refused(what: str, french: str, text: str | bytes, at: int) -> FhirError:
    before = text[:at] if isinstance(text, str) else text[:at].decode(errors="replace")
    line, column = before.count("\n") + 1, at - before.rfind("\n")
    return FhirError(
        Issue(
            "fatal", "structure",
            f"Not usable JSON at line {line}, column {column}: {what}.",
            location=(f"line {line}, column {column}",), rule="icops-json",
            french=f"JSON inutilisable, ligne {line}, colonne {column} : {french}.",
        ),
        status=400, ack="AR",
    )


def _deep() -> FhirError:
    said, french = f"The JSON text nests deeper than {DEPTH} levels.", f"Le texte JSON dépasse {DEPTH} niveaux d'imbrication."
    return FhirError(Issue("fatal", "too-costly", said, rule="icops-json-depth", french=french), status=400, ack="AR")


# ------------------------------------------------------------------ writing

_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _write(value: Any, option: int) -> bytes:
    try:
        out = orjson.dumps(value, default=_fragment, option=option)
    except TypeError as error:
        if "64-bit" not in str(error):
            raise
        out = orjson.dumps(_each_number(value, _wide), default=_fragment, option=option)
    if b"null" in out:  # orjson writes NaN and the infinities as null
        _each_number(value, _finite)
    return out


def _each_number(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _each_number(item, change) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each_number(item, change) for item in value]
    return change(value)


def _wide(value: Any) -> Any:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63 else value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        raise TypeError(f"{value} is not a JSON number")
    return value


def dumps(value: Any) -> bytes:
    """UTF-8, compact, members in their order, each number as it was written."""
    return _write(value, _OPTIONS)


def canonical(value: Any) -> bytes:
    """`dumps` with sorted members: two values are the same exactly when these bytes are equal."""
    return _write(value, _OPTIONS | orjson.OPT_SORT_KEYS)


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same FHIR content, spelling of numbers included."""
    return canonical(a) == canonical(b)
