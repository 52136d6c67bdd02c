"""How a message leaves the house: something that sends it and waits for its acknowledgment.

HL7 v2.5.1 §2.9.2. One way of failing is one word, because each asks for another remedy: a refused
connection, a receiver that is silent, bytes that are no acknowledgment, a connection cut, an
acknowledgment of another message.
"""

from __future__ import annotations

from typing import Protocol

from icops_fhir.fhir.issue import Issue
from icops_fhir.mappers.v2.ack import Acknowledgment


class Transport(Protocol):
    """One destination. Raises TransportError when nobody knows whether the message was taken."""

    async def send(self, message: bytes) -> Acknowledgment: ...

    async def close(self) -> None: ...


FAILURES = {
    "refused": ("cannot connect to {where}", "Connexion à {where} impossible"),
    "timeout": ("{where} did not acknowledge in time", "{where} n'a pas accusé réception à temps"),
    "unframed": ("{where} answered bytes that are no MLLP block", "{where} a répondu des octets qui ne sont pas un bloc MLLP"),
    "unreadable": ("{where} answered a block without MSA", "{where} a répondu un bloc sans MSA"),
    "reset": ("{where} cut the connection before the acknowledgment", "{where} a coupé la connexion avant l'accusé de réception"),
    "mismatched": ("{where} acknowledged another message", "{where} a accusé réception d'un autre message"),
}


class TransportError(Exception):
    """The message may have been taken or not: it is sent again with the same control id."""

    def __init__(self, kind: str, where: str, detail: str = "") -> None:
        english, french = (text.format(where=where) for text in FAILURES[kind])
        more = f": {detail}" if detail else ""
        self.kind = kind
        self.issue = Issue("error", "transient", f"{english}{more}", rule=f"transport-{kind}", french=f"{french}{more}.")
        super().__init__(self.issue.diagnostics)
