"""ER7, the HL7 v2 "vertical bar" form, as text that is never rewritten.

    message = [segment, ...]   field = [repetition, ...]   repetition = [component, ...]   component = [subcomponent, ...]

HL7 v2.5.1 §2.5-2.10. A segment keeps its line and is split only when asked; `render(parse(raw)) == raw`, byte for byte.
A leaf is a subcomponent, as text: escape sequences are read (`text`), and written again (`escape`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.mappers.v2 import charset
from icops_fhir.mappers.v2.site import DEFAULT, Site

HEADERS = ("MSH", "FHS", "BHS")
NULL = '""'

Component = list[str]
Repetition = list[Component]
Field = list[Repetition]
Place = tuple[int, int, int, int]  # field, repetition, component, subcomponent, each from 1
Leaves = dict[Place, str]


class Delimiters(NamedTuple):
    """MSH-1 and MSH-2. HL7 v2.5.1 §2.5.4; v2.7 adds the truncation character."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    declared: str = "^~\\&"  # MSH-2 as written


@lru_cache(maxsize=64)
def delimiters(head: str) -> Delimiters:
    """The delimiters that the start of an MSH, FHS or BHS declares: "MSH|^~\\&"."""
    separator = head[3:4] or "|"
    declared = head[4:]
    if not declared:
        return Delimiters(separator, declared="")
    rest = "^~\\&"[len(declared) :]
    both = declared + rest if not set(declared) & set(rest) else declared + "\0" * len(rest)
    return Delimiters(separator, both[0], both[1], both[2], both[3], declared[4:5], declared)


# ---------------------------------------------------------------- escape sequences, HL7 v2.5.1 §2.7

_NAMED = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)\Z")


def _sequence(inside: str, d: Delimiters) -> str | None:
    """What one escape sequence stands for, or None where it stays as it is written."""
    if inside in _NAMED:
        return d[_NAMED[inside]]
    if inside == "P":
        return d.truncation or "#"
    if inside.lower() == ".br":
        return "\n"
    found = _HEX.match(inside)
    if found:
        raw = bytes.fromhex(found[1])
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    return None


def text(raw: str, d: Delimiters) -> str:
    """A leaf as text: known escape sequences read, all others left as they are written."""
    mark = d.escape
    if mark not in raw:
        return raw
    out, at = [], 0
    while True:
        start = raw.find(mark, at)
        end = raw.find(mark, start + 1) if start >= 0 else -1
        if end < 0:
            out.append(raw[at:])
            return "".join(out)
        meant = _sequence(raw[start + 1 : end], d)
        if meant is None:
            out.append(raw[at : start + 1])
            at = start + 1
        else:
            out += (raw[at:start], meant)
            at = end + 1


@lru_cache(maxsize=64)
def _writing(d: Delimiters) -> tuple[re.Pattern[str], dict[str, str]]:
    special = {d[i]: f"{d.escape}{name}{d.escape}" for name, i in _NAMED.items() if d[i] != "\0"}
    special |= {"\n": f"{d.escape}.br{d.escape}", "\r": f"{d.escape}X0D{d.escape}"}
    if d.truncation:
        special[d.truncation] = f"{d.escape}P{d.escape}"
    return re.compile("[" + "".join(map(re.escape, special)) + "]"), special


def escape(value: str, d: Delimiters) -> str:
    """Text as a leaf."""
    pattern, special = _writing(d)
    return pattern.sub(lambda found: special[found[0]], value) if pattern.search(value) else value


# ---------------------------------------------------------------- segments and messages

_PATH = re.compile(r"(?:([A-Z][A-Z0-9]{2})-)?(\d+)(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?\Z")


@lru_cache(maxsize=4096)
def place(path: str) -> tuple[str, Place]:
    """'PID-3[2].4.1' -> ("PID", (3, 2, 4, 1)); what is left out is 1."""
    found = _PATH.match(path)
    if not found:
        raise ValueError(f"not a v2 path: {path!r}; write it like PID-3[2].4.1")
    return found[1] or "", (int(found[2]), int(found[3] or 1), int(found[4] or 1), int(found[5] or 1))


@dataclass(slots=True)
class Value:
    """One repetition, read by component: `.get("4.2")`."""

    components: Repetition
    delimiters: Delimiters

    def get(self, path: str = "1", default: str = "") -> str:
        """The text at a component or subcomponent; `default` where nothing stands."""
        component, _, sub = path.partition(".")
        c, s = int(component) - 1, int(sub or 1) - 1
        if c < len(self.components) and s < len(self.components[c]):
            return text(self.components[c][s], self.delimiters) or default
        return default


@dataclass
class Segment:
    """One line. `fields[n]` is field n as repetitions of components of (still escaped) subcomponents."""

    line: str
    delimiters: Delimiters
    name: str = field(init=False, repr=False, compare=False)  # the three letters, or "" where the line does not begin with a segment name
    _fields: list[Field] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.name = self.line[:3] if _NAME.match(self.line) else ""

    @property
    def fields(self) -> list[Field]:
        """Index 0 is unused; MSH-1 and MSH-2 are kept as single leaves."""
        if self._fields is None:
            self._fields = self._split()
        return self._fields

    def _split(self) -> list[Field]:
        d = self.delimiters
        parts = self.line.split(d.field)
        header = self.name in HEADERS
        out: list[Field] = [[], [[[d.field]]], [[[parts[1] if len(parts) > 1 else ""]]]] if header else [[]]
        component, repetition, subcomponent = d.component, d.repetition, d.subcomponent
        for part in parts[2:] if header else parts[1:]:
            if not part:
                out.append([])
            elif component not in part and repetition not in part and subcomponent not in part:
                out.append([[[part]]])
            elif subcomponent not in part:
                out.append([[[c] for c in r.split(component)] for r in part.split(repetition)])
            else:
                out.append([[c.split(subcomponent) for c in r.split(component)] for r in part.split(repetition)])
        return out

    def leaves(self) -> Leaves:
        """Every place where something stands (empty leaves left out), raw; MSH-1 and MSH-2 are not leaves."""
        start = 3 if self.name in HEADERS else 1
        return {
            (f, r, c, s): leaf
            for f, reps in enumerate(self.fields[start:], start)
            for r, rep in enumerate(reps, 1)
            for c, component in enumerate(rep, 1)
            for s, leaf in enumerate(component, 1)
            if leaf
        }

    def get(self, path: str, default: str = "") -> str:
        """The text at "5.1" or "3[2].4.2"; `default` where nothing stands."""
        f, r, c, s = place(path)[1]
        fields = self.fields
        if f < len(fields) and r <= len(fields[f]) and c <= len(fields[f][r - 1]) and s <= len(fields[f][r - 1][c - 1]):
            return text(fields[f][r - 1][c - 1][s - 1], self.delimiters) or default
        return default

    def repetitions(self, field_number: int | str) -> list[Value]:
        """The repetitions of a field, empty ones left out."""
        at = int(field_number)
        found = self.fields[at] if at < len(self.fields) else []
        return [Value(rep, self.delimiters) for rep in found if any(leaf for c in rep for leaf in c)]


_NAME = re.compile(r"[A-Z][A-Z0-9]{2}(?![A-Za-z0-9])")
_BLOCK_END = re.compile(rb"\x1c\r?(?=\x0b|[\r\n]*\Z)")
_TERMINATOR = re.compile(r"\r\n|\r|\n")


@dataclass
class Message:
    """A parsed message; `render` gives its bytes back."""

    segments: list[Segment]
    terminators: list[str]  # what followed each line, "" after an unterminated last one
    delimiters: Delimiters
    charset: str  # a Python codec name
    raw: bytes = b""
    issues: list[Issue] = field(default_factory=list)

    def named(self, name: str) -> list[Segment]:
        """The segments of a name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def first(self, name: str) -> Segment | None:
        """The first segment of a name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    def get(self, path: str, default: str = "") -> str:
        """The text at "PID-5.1" or "PID-3[2].4.2" in the first segment of that name; "" deletes reads `""`."""
        name, _, rest = path.partition("-")
        segment = self.first(name)
        return segment.get(rest, default) if segment else default

    def repetitions(self, path: str) -> list[Value]:
        """The repetitions of "PID-3" in the first segment of that name."""
        name, _, rest = path.partition("-")
        segment = self.first(name)
        return segment.repetitions(rest) if segment else []

    @property
    def type(self) -> str:
        """MSH-9.1: "ADT"."""
        return self.get("MSH-9.1")

    @property
    def event(self) -> str:
        """MSH-9.2, else EVN-1: "A01"."""
        return self.get("MSH-9.2") or self.get("EVN-1")

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.get("MSH-10")

    @property
    def sender(self) -> str:
        """MSH-3^MSH-4: sending application and facility."""
        return f"{self.get('MSH-3.1')}^{self.get('MSH-4.1')}"


def _lines(whole: str) -> Iterator[tuple[str, str]]:
    at = 0
    for found in _TERMINATOR.finditer(whole):
        yield whole[at : found.start()], found[0]
        at = found.end()
    if at < len(whole):
        yield whole[at:], ""


def parse(raw: bytes, site: Site = DEFAULT) -> Message:
    """Bytes -> Message. MLLP framing bytes around it are dropped; blank lines are kept as separators, not as segments.

    Raises FhirError (ack AR) when no MSH is found.
    """
    if b"\x1c" in raw or raw[:1] == b"\x0b":
        raw = b"".join(block.removeprefix(b"\x0b") for block in _BLOCK_END.split(raw))
    whole, codec = charset.decode(raw, site.charset)
    segments: list[Segment] = []
    terminators: list[str] = []
    d = None
    for line, terminator in _lines(whole):
        start = line.lstrip() if line[:1] in (" ", "\t", "\ufeff") else line
        start = start.lstrip("\ufeff").lstrip()
        if start[:3] in HEADERS and len(start) > 3:
            line = start
            d = delimiters(line[: 4 + len(line[4:].split(line[3], 1)[0])])
        elif not start:
            if terminators:
                terminators[-1] += line + terminator
            continue
        segments.append(Segment(line, d or Delimiters()))
        terminators.append(terminator)
    if d is None or not any(s.name == "MSH" for s in segments):
        raise FhirError(
            Issue(
                "fatal", "structure", "no MSH segment: an HL7 v2 message begins with MSH|^~\\&", ("MSH",), rule="v2-no-msh",
                french="aucun segment MSH : un message HL7 v2 commence par MSH|^~\\&",
            ),
            status=400, ack="AR",
        )  # fmt: skip
    first = next(s for s in segments if s.name == "MSH")
    return Message(segments, terminators, first.delimiters, codec, raw)


def render(message: Message) -> bytes:
    """Message -> the bytes it came from (an initial byte order mark and MLLP framing aside)."""
    whole = "".join(s.line + t for s, t in zip(message.segments, message.terminators, strict=True))
    return charset.encode(whole, message.charset)[0]


def line(name: str, leaves: Leaves, d: Delimiters) -> str:
    """A segment written from its leaves (raw text); inner empty places keep their position, trailing ones vanish."""
    header = name in HEADERS
    out = [name, d.field, d.declared] if header else [name]
    at, before = 2 if header else 0, (1, 1, 1)
    first = at + 1
    for (f, r, c, s), leaf in sorted(leaves.items()):
        if not leaf or f < first or not (r and c and s):
            continue
        if f != at:
            out.append(d.field * (f - at))
            at, before = f, (1, 1, 1)
        rep, component, sub = before
        if r != rep:
            out.append(d.repetition * (r - rep))
            component = sub = 1
        if c != component:
            out.append(d.component * (c - component))
            sub = 1
        if s != sub:
            out.append(d.subcomponent * (s - sub))
        before = r, c, s
        out.append(leaf)
    return "".join(out)
