"""Messages that could not be translated or applied: listed with their reason, replayed after a fix.

`icops-fhir dead-letters list|replay`; over REST the operation `$dead-letters`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from icops_fhir.exchange import keys
from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import loads
from icops_fhir.mappers.v2.er7 import Message
from icops_fhir.store.protocol import Reader, Record

if TYPE_CHECKING:
    from icops_fhir.exchange.inbound import Inbound

PAGE = 500


def letter(
    message: Message | None, sender: str, control_id: str, received: str, code: str, issues: Iterable[Issue], known: Record | None
) -> dict[str, Any]:
    """What is kept of a failure: who, when, how it was answered, why, how many times it was tried."""
    first: dict[str, Any] = loads(known.body) if known else {}
    return {
        "sender": sender, "controlId": control_id, "event": f"{message.type}^{message.event}" if message else "",
        "received": first.get("received", received), "code": code, "tries": int(first.get("tries", 0)) + 1,
        "reasons": [{"severity": i.severity, "code": i.code, "rule": i.rule, "text": i.diagnostics, "french": i.french,
                     "expression": list(i.expression)} for i in issues],
    }  # fmt: skip


def listed(reader: Reader, after: str | None = None, limit: int = PAGE) -> list[dict[str, Any]]:
    """A page of dead letters, with their keys; `after` is the last key of the page before."""
    return [{"key": r.key, **loads(r.body)} for r in reader.records(keys.DEAD, after_key=after, limit=limit)]


async def replay(inbound: Inbound, wanted: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Tries these dead letters again, or all of them, oldest message first; gives the code each one now gets."""
    chosen = list(wanted)
    if not chosen:
        after: str | None = None
        found: list[dict[str, Any]] = []
        while page := await inbound.store.read(lambda reader, at=after: listed(reader, at)):  # type: ignore[misc]
            found += page
            after = page[-1]["key"]
        chosen = [item["key"] for item in sorted(found, key=lambda item: item["received"])]
    out = []
    for key in chosen:
        answer = await inbound.replay(key)
        out.append({"key": key, "code": answer.code if answer else "unknown"})
    return out
