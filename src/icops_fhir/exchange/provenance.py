"""Who said what: one Provenance per message, from the sender, about the resources it wrote, backed by the original.

https://hl7.org/fhir/R4/provenance.html; the original is Binary/<key>, kept once.
"""

from __future__ import annotations

from collections.abc import Iterable

from icops_fhir.fhir.json import Resource

MESSAGE = ("pam-fr-zbe-4", "v2-0003")  # activities that EVN and ZBE say; any other Provenance says something of its own
TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def apart(resource: Resource) -> bool:
    """Whether a translated Provenance is not about the message: the check of an identity (ZFD-5 to 8)."""
    codings = resource.get("activity", {}).get("coding", []) if resource["resourceType"] == "Provenance" else []
    return bool(codings) and not any(str(c.get("system", "")).endswith(MESSAGE) for c in codings)


def of(id_: str, made: Resource | None, targets: Iterable[str], original: str, sender: str, recorded: str) -> Resource:
    """The Provenance of a message. `made` is its translation (EVN, ZBE-4), which says the act and when it was recorded."""
    said = {name: value for name, value in (made or {}).items() if name in ("activity", "occurredDateTime", "occurredPeriod", "reason", "policy")}
    agents = [agent for agent in (made or {}).get("agent", ()) if agent.get("who")]
    return {
        "resourceType": "Provenance", "id": id_,
        "target": [{"reference": reference} for reference in targets],
        "recorded": (made or {}).get("recorded") or recorded,
        **said,
        "agent": [
            *agents,
            {"type": {"coding": [{"system": TYPE, "code": "transmitter"}]}, "who": {"display": sender, "identifier": {"value": sender}}},
        ],
        "entity": [{"role": "source", "what": {"reference": f"Binary/{original}"}}],
    }  # fmt: skip
