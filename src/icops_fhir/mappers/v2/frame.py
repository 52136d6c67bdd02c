"""MLLP framing without sockets: `<VT> message <FS> <CR>`, fed with bytes in pieces of any size.

HL7 v2.5.1 appendix C (C.4.3); IHE ITI TF-2 C.2. The closing CR is optional: some senders wait for
their acknowledgment before they write it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from icops_fhir.fhir.issue import FhirError, Issue

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
HEAD = 4096
"""How much of a refused block is kept, so that its MSH can be acknowledged."""

_FILLER = re.compile(rb"[\r\n\t \x00]*")
"""What may stand between two blocks without a word: the optional CR, line ends, padding."""
_RESTART = re.compile(rb"\x0b(?=(?:MSH|FHS|BHS))")
"""A start block inside a block: the sender gave the first one up. A lone VT is text (word processors leave them)."""


class Block(NamedTuple):
    """One whole message, as it came."""

    body: bytes


class Fault(NamedTuple):
    """Bytes that are no message. `answer` says whether the sender waits for an acknowledgment of them."""

    issue: Issue
    head: bytes
    answer: bool


@dataclass(slots=True)
class Framer:
    """Feed it bytes as they come; take blocks and faults out, in order. Every byte is looked at once."""

    limit: int = 16 * 2**20
    waste: int = 0
    """Bytes thrown away since the last block: junk between blocks, or a block over the limit."""
    _open: bool = False
    _body: bytearray = field(default_factory=bytearray)
    _size: int = 0

    @property
    def inside(self) -> bool:
        """A block has started and has not ended."""
        return self._open

    def feed(self, data: bytes) -> list[Block | Fault]:
        found: list[Block | Fault] = []
        at = 0
        while at < len(data):
            at = self._inside(data, at, found) if self._open else self._between(data, at, found)
        return found

    def close(self) -> Fault | None:
        """The stream ended: say what was lost, if anything."""
        if self._open and self.waste:
            return _fault("too-long", f"block of more than {self._size} bytes, the limit is {self.limit}", self._head(), True)
        if self._open:
            return _fault("torn", f"the connection closed inside a block, after {self._size} bytes", self._head(), False)
        if self.waste:
            return _fault("junk", f"{self.waste} bytes stood outside any block", b"", False)
        return None

    def _between(self, data: bytes, at: int, found: list[Block | Fault]) -> int:
        start = data.find(VT, at)
        end = len(data) if start < 0 else start
        filler = _FILLER.match(data, at, end)
        # Once junk has begun, what follows is junk too: the count must not depend on the pieces.
        self.waste += end - (filler.end() if filler and not self.waste else at)
        if start < 0:
            return end
        if self.waste:
            found.append(_fault("junk", f"{self.waste} bytes stood between two blocks", b"", False))
            self.waste = 0
        self._open = True
        return start + 1

    def _inside(self, data: bytes, at: int, found: list[Block | Fault]) -> int:
        end = data.find(FS, at)
        stop = len(data) if end < 0 else end
        self._keep(data[at:stop])
        if end < 0:
            return stop
        if self.waste:
            found.append(_fault("too-long", f"block of {self._size} bytes, the limit is {self.limit}", self._head(), True))
        else:
            found.extend(_resynchronised(bytes(self._body)))
        self._open, self._body, self._size, self.waste = False, bytearray(), 0, 0
        return stop + 1

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if not self.waste:
            self._body += piece
        if self._size > self.limit:
            self.waste = self._size - self.limit
            del self._body[min(HEAD, self.limit) :]

    def _head(self) -> bytes:
        return bytes(self._body[:HEAD])


def wrap(message: bytes) -> bytes:
    """The block of a message. A message holding FS would be cut by its reader: refused."""
    if FS in message:
        raise FhirError(
            Issue(
                "error",
                "structure",
                "the message holds the byte 0x1C, which ends an MLLP block: write it as \\X1C\\",
                rule="mllp-fs-in-message",
                french="Le message contient l'octet 0x1C, qui termine un bloc MLLP : l'écrire \\X1C\\.",
            )
        )
    return VT + message + FS + CR


def _resynchronised(body: bytes) -> list[Block | Fault]:
    *torn, last = _RESTART.split(body)
    lost = [_fault("torn", f"a block of {len(part)} bytes was given up by a new start", part[:HEAD], False) for part in torn]
    return [*lost, Block(last)]


_RULES = {
    "junk": ("structure", "Octets hors de tout bloc MLLP : ils ont été ignorés."),
    "torn": ("incomplete", "Bloc MLLP interrompu : rien n'en a été pris, renvoyer le message."),
    "too-long": ("too-long", "Message plus grand que la limite : rien n'en a été pris."),
}


def _fault(rule: str, diagnostics: str, head: bytes, answer: bool) -> Fault:
    code, french = _RULES[rule]
    return Fault(Issue("error", code, diagnostics, rule=f"mllp-{rule}", french=french), head, answer)
