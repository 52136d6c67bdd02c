"""`$dead-letters`: the messages that could not be translated, with their reason (GET); tried again after a fix (POST, `key=`).

No standard has it; the same list as `icops-fhir dead-letters`.
"""

from __future__ import annotations

from typing import Any

from icops_fhir.exchange.dead_letters import listed, replay
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.fhir.json import dumps
from icops_fhir.interactions.request import Answer, Request, Service
from icops_fhir.operations.registry import operation
from icops_fhir.operations.status import values

MEMBERS = ("key", "sender", "controlId", "event", "received", "code")


@operation("dead-letters", at="system")
async def dead_letters(service: Service, request: Request) -> Answer:
    """Parameters, one `dead-letter` each; `after=` the last key of the page before."""
    if request.method == "POST":
        inbound = service.extras.get("inbound")
        if inbound is None:
            raise FhirError(Issue("error", "not-supported", "This server receives no messages.", rule="icops-operation",
                                  french="Ce serveur ne reçoit pas de messages."), status=404)
        return _shown(await replay(inbound, values(request, "key")))
    after = next(iter(values(request, "after")), None)
    return _shown(await service.store.read(lambda reader: listed(reader, after)))


def _shown(letters: list[dict[str, Any]]) -> Answer:
    found = [{"name": "dead-letter", "part": _parts(letter)} for letter in letters]
    return Answer(body=dumps({"resourceType": "Parameters", **({"parameter": found} if found else {})}))


def _parts(letter: dict[str, Any]) -> list[dict[str, Any]]:
    said = [{"name": name, "valueString": str(letter[name])} for name in MEMBERS if letter.get(name)]
    reasons = [{"name": "reason", "valueString": reason["text"]} for reason in letter.get("reasons", ()) if reason.get("text")]
    tries = [{"name": "tries", "valueInteger": letter["tries"]}] if "tries" in letter else []
    return [*said, *tries, *reasons]
