"""Acknowledgments: MSH, MSA and one ERR per issue, written and read.

HL7 v2.5.1 §2.9 (processing rules), §2.15.5 (ERR), §2.15.8 (MSA); tables 0008, 0211, 0357 and 0516.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.mappers.v2 import charset, er7
from icops_fhir.mappers.v2.er7 import Delimiters, Message, Segment

ACCEPTED = ("AA", "CA")
COMMIT = ("CA", "CE", "CR")
"""Table 0008: the codes of the enhanced mode's first answer (the message is safe, or is not)."""

HL70357 = {
    "0": "Message accepted", "100": "Segment sequence error", "101": "Required field missing", "102": "Data type error",
    "103": "Table value not found", "104": "Value too long", "200": "Unsupported message type", "201": "Unsupported event code",
    "202": "Unsupported processing id", "203": "Unsupported version id", "204": "Unknown key identifier",
    "205": "Duplicate key identifier", "206": "Application record locked", "207": "Application internal error",
}  # fmt: skip
CONDITION = {
    "structure": "100", "incomplete": "100", "required": "101", "value": "102", "invalid": "102", "invariant": "102",
    "code-invalid": "103", "too-long": "104", "not-supported": "200", "not-found": "204", "multiple-matches": "204",
    "duplicate": "205", "conflict": "205", "lock-error": "206",
}  # fmt: skip
"""http://hl7.org/fhir/issue-type to table 0357; what is not here is 207, told by ERR-5."""
ISSUE_TYPE = {condition: issue for issue, condition in reversed(CONDITION.items())} | {"0": "informational"}
HL70516 = {"fatal": "E", "error": "E", "warning": "W", "information": "I"}
SEVERITY = {"E": "error", "F": "fatal", "W": "warning", "I": "information"}
OURS = "99ICOPS"
"""ERR-5.3, the local coding system of our rule ids (local systems are named 99zzz, HL7 v2.5.1 table 0396)."""

_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+)(?:\.(\d+))?)?)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EXACT = {"ASCII": "ascii", "ISO IR6": "ascii", "8859/1": "latin-1"}
"""Read, these labels forgive (cp1252); written, they are what they say."""
_TYPOGRAPHY = str.maketrans({"’": "'", "…": "...", "–": "-", "—": "-", "œ": "oe", "Œ": "OE"})


class Acknowledgment(NamedTuple):
    """What an acknowledgment says: MSA-1, MSA-2, and its ERR segments as issues."""

    code: str
    control_id: str
    issues: tuple[Issue, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.code in ACCEPTED


def acknowledge(
    message: Message | bytes | None, code: str, issues: Sequence[Issue] = (), *, control_id: str, now: datetime
) -> bytes:
    """The acknowledgment of a message, in its delimiters, version and charset; `control_id` is its own MSH-10.

    Bytes stand for a message that could not be parsed, or its first part: what its MSH says is used.
    """
    asked = _parsed(message) if isinstance(message, bytes) else message
    msh = _Header(asked)
    old = _before_2_5(msh.at(12))
    refusal = next((issue for issue in issues if issue.refuses), None)
    segments = [
        msh.join("MSA", code, msh.at(10), _escape(refusal.diagnostics, msh.d) if old and refusal else ""),
        *(_err(issue, msh, old) for issue in issues),
    ]
    label, codec = _charset(asked, msh.at(18))
    head = msh.answer(_escape(control_id, msh.d), f"{now:%Y%m%d%H%M%S%z}"[:19])

    def text(label: str) -> str:
        return "".join(f"{line}\r" for line in (head + label, *segments))

    try:
        return text(label).translate({} if codec == "utf-8" else _TYPOGRAPHY).encode(codec)
    except UnicodeEncodeError:  # their charset cannot hold our sentences: the label follows the bytes
        return text("UNICODE UTF-8").encode("utf-8", "surrogateescape")


def read(raw: bytes) -> Acknowledgment | None:
    """The acknowledgment in these bytes; None when they hold no MSA."""
    message = _parsed(raw)
    msa = message.first("MSA") if message else None
    if message is None or msa is None:
        return None
    code, said = msa.get("1").strip(), msa.get("3")
    issues = tuple(_issue(err, said) for err in message.named("ERR"))
    if not issues and code[1:] in ("E", "R"):
        issues = (Issue("error", "processing", said),)
    return Acknowledgment(code, msa.get("2"), issues)


def place(expression: str) -> tuple[str, ...] | None:
    """`PID[1]-3[2].1` as ERL: segment, its rank, field, repetition, component, subcomponent."""
    found = _PLACE.fullmatch(expression)
    if not found:
        return None
    segment, rank, field, repetition, component, sub = found.groups()
    parts = [segment, rank or "1", field, field and (repetition or "1"), component, sub]
    return tuple(part for part in parts if part)


def _expression(erl: Sequence[str]) -> str:
    segment, rank, field, repetition, component, sub = (*erl, "", "", "", "", "", "")[:6]
    out = segment + (f"[{rank}]" if rank not in ("", "1") else "")
    if field:
        out += f"-{field}" + (f"[{repetition}]" if repetition not in ("", "1") else "")
        out += "".join(f".{part}" for part in (component, sub) if part)
    return out


def _err(issue: Issue, msh: _Header, old: bool) -> str:
    d = msh.d
    condition = CONDITION.get(issue.code, "207") if issue.refuses else "0"
    places = [found for found in map(place, dict.fromkeys((*issue.location, *issue.expression))) if found]
    eld = ""
    if old:  # ERR-1, the only field there was before v2.5: segment, its rank, field, code
        where = [*(places[0] if places else ()), "", "", ""][:3]
        eld = d.component.join([*where, d.subcomponent.join([condition, HL70357[condition], "HL70357"])])
    return msh.join(
        "ERR", eld, d.repetition.join(d.component.join(found) for found in places),
        d.component.join([condition, HL70357[condition], "HL70357"]), HL70516[issue.severity],
        d.component.join([_escape(issue.rule, d), "", OURS]) if issue.rule else "", "",
        _escape(issue.diagnostics, d), _escape(issue.french, d),
    )  # fmt: skip


def _issue(err: Segment, msa_3: str) -> Issue:
    erl = tuple(_expression([rep.get(str(i)) for i in range(1, 7)]) for rep in err.repetitions(2))
    code = err.get("3.1") or err.get("1.4.1")
    said = err.get("7") or err.get("3.2") or err.get("1.4.2") or err.get("5.2") or msa_3
    return Issue(SEVERITY.get(err.get("4"), "error"), ISSUE_TYPE.get(code, "processing"), said, erl, (), err.get("5.1"), err.get("8"))


class _Header:
    """The MSH to answer, as raw text: fields keep the sender's spelling and escapes."""

    def __init__(self, message: Message | None) -> None:
        found = message.first("MSH") if message else None
        whole = found is not None and "\0" not in found.delimiters[:5]
        self.d = found.delimiters if found and whole else Delimiters()
        self._fields = found.line.split(self.d.field) if found else []

    def at(self, field: int) -> str:
        return self._fields[field - 1] if len(self._fields) >= field else ""

    def join(self, *fields: str) -> str:
        return self.d.field.join(fields).rstrip(self.d.field)

    def answer(self, control_id: str, instant: str) -> str:
        """MSH up to and without MSH-18: receiver and sender change places."""
        event = self.at(9).split(self.d.component)[1:2]
        kind = self.d.component.join(["ACK", *event, "ACK"] if event and event[0] else ["ACK"])
        declared = self.d.declared or "^~\\&"
        fields = ["MSH", declared, self.at(5), self.at(6), self.at(3), self.at(4), instant, "", kind, control_id,
                  self.at(11) or "P", self.at(12) or "2.5", "", "", "", "", self.at(17), ""]  # fmt: skip
        return self.d.field.join(fields)


def _parsed(raw: bytes) -> Message | None:
    try:
        return er7.parse(raw)
    except FhirError:
        return None


def _escape(value: str, d: Delimiters) -> str:
    return _CONTROL.sub(lambda found: f"{d.escape}X{ord(found[0]):02X}{d.escape}", er7.escape(value, d))


def _before_2_5(version: str) -> bool:
    found = re.match(r"2\.(\d+)", version)
    return found is not None and int(found[1]) < 5


def _charset(message: Message | None, declared: str) -> tuple[str, str]:
    """MSH-18 and the codec of the answer: what the sender declares, unless its bytes say otherwise."""
    codec = message.charset if message else "utf-8"
    label = re.split(r"[~\s]*~", declared.strip().upper())[0]
    if codec == "ascii":
        label = label if label in charset.HL70211 else "8859/15"
    elif charset.HL70211.get(label) != codec or label in ("ASCII", "ISO IR6"):
        label = charset.label(codec)
    if label == "UNICODE UTF-16":
        label = "UNICODE UTF-8"
    return label, _EXACT.get(label) or charset.HL70211[label]
