"""A message of a feed turned into one of ours: its own MSH and EVN, the segments its event may have, no INS that must not leave.

IHE PAM-FR §4.3 (ITI-30 segments), §5.3.2 (Z99, A03), §6.1, §6.5, §6.6.15 (INS only where PID-32 is VALI), §6.13 (ZBE).
Works on the lines of the message, so that what nobody edited leaves in the feed's own spelling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from icops_fhir.exchange.route import Route
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.mappers.v2 import charset, er7
from icops_fhir.mappers.v2.er7 import Delimiters, Message
from icops_fhir.validator.identity_traits import INS_SYSTEMS, INS_TYPES

VERSION = ("2.5", "FRA", "2.11")
STRUCTURES = {"A31": "ADT_A05", "A03": "ADT_A03", "Z99": "ADT_A01"}
IDENTITY = ("MSH", "EVN", "PID", "PD1", "ROL", "NK1", "PV1", "ZFA", "ZFD", "ZFS")
"""Segments of ITI-30 that say who the patient is; ROL only before the PV1."""
OURS = ("MSH", "EVN")
"""Segments that say nothing of the patient: MSH is the route's; so is EVN where we declare a movement."""
_SAME = (("PV1", 44), ("PV1", 45))
"""Times of the visit that are the movement's (ZBE-2) where they were before the edit."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a route writes on a message."""

    route: Route
    sender: str  # "MSH-3^MSH-4" of the feed whose words these are
    event: str
    control_id: str
    now: datetime

    @property
    def to(self) -> tuple[str, str]:
        application, _, facility = self.sender.partition("^")
        return self.route.to_application or application, self.route.to_facility or facility


class Lines:
    """The segments of a message as lines that can be changed field by field."""

    def __init__(self, message: Message) -> None:
        self.d: Delimiters = message.delimiters
        self.charset = message.charset
        self.lines = [segment.line for segment in message.segments if segment.name]

    def first(self, name: str) -> int:
        return next((i for i, line in enumerate(self.lines) if line[:3] == name), -1)

    def get(self, name: str, field: int) -> str:
        """The raw text of a field of the first segment of that name."""
        at = self.first(name)
        parts = self.lines[at].split(self.d.field) if at >= 0 else []
        index = field - 1 if name == "MSH" else field
        return parts[index] if index < len(parts) else ""

    def put(self, name: str, field: int, text: str) -> None:
        """Writes a field of the first segment of that name, raw; nothing where there is no such segment."""
        at = self.first(name)
        if at < 0:
            return
        parts = self.lines[at].split(self.d.field)
        index = field - 1 if name == "MSH" else field
        parts += [""] * (index + 1 - len(parts))
        parts[index] = text
        self.lines[at] = self.d.field.join(parts).rstrip(self.d.field) if name != "MSH" else self.d.field.join(parts)

    def components(self, *texts: str) -> str:
        return self.d.component.join(er7.escape(text, self.d) for text in texts).rstrip(self.d.component)


def a31(raw: bytes, envelope: Envelope, allowed: Callable[[str], bool]) -> bytes:
    """A snapshot of the identity: of a movement message, only what says who the patient is.

    It differs from the feed's words in what was edited and in MSH: EVN stays (EVN-1 aside), MSH-7 tells which is newer.
    """
    message = _parsed(raw)
    out = Lines(message)
    if message.event not in ("A28", "A31"):
        visit = out.first("PV1")
        out.lines = [
            line for i, line in enumerate(out.lines)
            if line[:3] in IDENTITY and not (line[:3] == "ROL" and 0 <= visit < i)
        ]  # fmt: skip
        if (at := out.first("PV1")) >= 0:
            out.lines[at] = out.d.field.join(["PV1", "1", "N"])
    return _sealed(out, envelope, allowed)


def z99(raw: bytes, before: bytes, envelope: Envelope, allowed: Callable[[str], bool]) -> bytes:
    """The correction of a movement: same ZBE-1, ZBE-4 UPDATE, ZBE-6 the trigger that inserted it."""
    out, was = Lines(_parsed(raw)), Lines(_parsed(before))
    _follow(out, was)
    original = was.get("ZBE", 6) or _parsed(before).event
    out.put("ZBE", 4, "UPDATE")
    out.put("ZBE", 5, was.get("ZBE", 5) or "N")
    out.put("ZBE", 6, original)
    out.lines = [line for line in out.lines if line[:3] != "MRG"]
    return _sealed(out, envelope, allowed)


def a03(raw: bytes, envelope: Envelope, number: str, allowed: Callable[[str], bool]) -> bytes:
    """The end of a stay that someone else than the hospital declares: a movement under our own authority."""
    if not envelope.route.authority:
        said = f"route {envelope.route.name!r} has no authority (an OID of yours) to number our movements under"
        raise FhirError(Issue("error", "business-rule", said, ("ZBE-1",), rule="icops-route-authority", french=f"la route {envelope.route.name!r} n'a pas d'authority (un OID à vous) pour numéroter nos mouvements"))
    out = Lines(_parsed(raw))
    identity = out.components(number, envelope.route.application, envelope.route.authority, "ISO")
    if out.first("ZBE") < 0:
        at = max(out.first("PV1"), out.first("PV2")) + 1
        out.lines.insert(at, "ZBE")
    for field, text in ((1, identity), (2, out.get("PV1", 45)), (3, ""), (4, "INSERT"), (5, "N"), (6, "")):
        out.put("ZBE", field, text)
    out.put("ZBE", 9, out.get("ZBE", 9) or "HMS")
    out.lines = [line for line in out.lines if line[:3] != "MRG"]
    return _sealed(out, envelope, allowed)


def same(one: bytes, other: bytes) -> bool:
    """Whether two messages say the same, whoever sends them."""
    left, right = (Lines(_parsed(raw)).lines for raw in (one, other))
    return [line for line in left if line[:3] not in OURS] == [line for line in right if line[:3] not in OURS]


def ins(raw: bytes) -> set[str]:
    """The INS a message holds in PID-3."""
    message = _parsed(raw)
    return {rep.get("1") for pid in message.named("PID") for rep in pid.repetitions(3) if _is_ins(rep.get("4.2"), rep.get("5"))}


def purged(raw: bytes, control_id: str, allowed: Callable[[str], bool]) -> bytes:
    """A message that waited, without the INS that was withdrawn meanwhile; another message, so another MSH-10."""
    out = Lines(_parsed(raw))
    _guard(out, allowed)
    out.put("MSH", 10, control_id)
    return _bytes(out, out.get("MSH", 18))


def _parsed(raw: bytes) -> Message:
    """The message; MLLP's own bytes inside a text are written as escapes, for no reader may meet them there."""
    for byte in (b"\x0b", b"\x1c"):
        if byte in raw:
            mark = raw[6:7]
            raw = raw.replace(byte, mark + b"X%02X" % byte[0] + mark)
    return er7.parse(raw)


def _sealed(out: Lines, envelope: Envelope, allowed: Callable[[str], bool]) -> bytes:
    _guard(out, allowed)
    instant = envelope.now.astimezone(ZoneInfo(envelope.route.zone))
    written = f"{instant:%Y%m%d%H%M%S%z}"[:19]
    declared = out.get("MSH", 18)
    processing, language, profile = out.get("MSH", 11), out.get("MSH", 19), out.get("MSH", 21)
    out.lines[out.first("MSH")] = out.d.field.join(["MSH", out.d.declared or "^~\\&"])
    event, route = envelope.event, envelope.route
    for field, text in (
        (3, out.components(route.application)), (4, out.components(route.facility)),
        (5, out.components(envelope.to[0])), (6, out.components(envelope.to[1])), (7, written),
        (9, out.components("ADT", event, STRUCTURES[event])), (10, envelope.control_id), (11, processing or "P"),
        (12, out.components(*VERSION)), (17, "FRA"), (19, language), (21, profile),
    ):  # fmt: skip
        if text:
            out.put("MSH", field, text)
    named = bool(out.get("EVN", 1))
    if out.first("EVN") < 0:
        out.lines.insert(out.first("MSH") + 1, "EVN")
    if event == "A31" and out.get("EVN", 2):
        out.put("EVN", 1, event if named else "")
    else:
        out.lines[out.first("EVN")] = out.d.field.join(["EVN", event if named else "", written])
    return _bytes(out, declared)


def _follow(out: Lines, was: Lines) -> None:
    """A correction of one time is a correction of the other, where both said the same before it."""
    for name, field in _SAME:
        old, start = was.get(name, field), was.get("ZBE", 2)
        if not old or old[:12] != start[:12]:
            continue
        if out.get("ZBE", 2) == start and out.get(name, field) != old:
            out.put("ZBE", 2, out.get(name, field))
        elif out.get("ZBE", 2) != start and out.get(name, field) == old:
            out.put(name, field, out.get("ZBE", 2))


def _guard(out: Lines, allowed: Callable[[str], bool]) -> None:
    at = out.first("PID")
    if at < 0:
        return
    pid = er7.Segment(out.lines[at], out.d)
    kept = []
    for text, rep in zip(out.get("PID", 3).split(out.d.repetition), pid.fields[3] if len(pid.fields) > 3 and pid.fields[3] else [[[""]]], strict=True):
        value = er7.Value(rep, out.d)
        if not _is_ins(value.get("4.2"), value.get("5")) or allowed(value.get("1")):
            kept.append(text)
    out.put("PID", 3, out.d.repetition.join(kept))


def _is_ins(oid: str, kind: str) -> bool:
    return f"urn:oid:{oid}" in INS_SYSTEMS and kind in INS_TYPES


def _bytes(out: Lines, declared: str) -> bytes:
    """The message in the feed's charset, or in UTF-8 where the edit needs a character the charset lacks; MSH-18 true either way."""
    label = declared.split(out.d.repetition)[0].strip().upper()
    if charset.HL70211.get(label) != out.charset and not (out.charset == "ascii" and label in charset.HL70211):
        label = charset.label(out.charset)
    for candidate in (label, "UNICODE UTF-8"):
        out.put("MSH", 18, candidate)
        whole = "".join(f"{line}\r" for line in out.lines)
        raw, used = charset.encode(whole, charset.HL70211[candidate])
        if used == charset.HL70211[candidate] and used != "utf-16":
            break
    return raw
