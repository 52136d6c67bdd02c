"""A code of agreement or refusal ↔ Consent.  https://hl7.org/fhir/R4/consent.html"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.v2.codes import ABSENT
from icops_fhir.mappers.v2.composite import leaf
from icops_fhir.mappers.v2.er7 import NULL, Repetition
from icops_fhir.mappers.v2.primitives import code


def consent(policy: str, about: str) -> Mapping[str, Any]:
    """What every such Consent holds; `policy` is the rule it stands on (invariant ppc-1)."""
    return {
        "status": "proposed",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}], "text": about}],
        "patient": "@Patient!",
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}], "text": policy},
    }


def agreement(system: str, provisions: Mapping[str, str]) -> Codec:
    """A code ↔ status and provision of the Consent, the original code kept as a category.

    A code that names no provision (NA) is "not collected": status proposed, no provision. So is `""`, which takes the
    last answer back: a category of this system without a code.
    """
    back = {provision: foreign for foreign, provision in reversed(list(provisions.items()))}

    def decode(rep: Repetition, context: Context) -> Node | None:
        if leaf(rep, 0) == NULL:
            return {"category": [{"coding": [{"extension": [dict(ABSENT)], "system": system}]}]}
        found = code.decode(leaf(rep, 0), context)
        if not found:
            return None
        out: Node = {"category": [{"coding": [{"system": system, "code": found}]}]}
        if found in provisions:
            out |= {"status": "active", "provision": {"type": provisions[found]}}
        return out

    def encode(node: Node, _: Context) -> Repetition | None:
        now = (node.get("provision") or {}).get("type") if node.get("status") == "active" else None
        for category in node.get("category", ()):
            for one in category.get("coding", ()):
                if one.get("system") == system and provisions.get(one.get("code")) == now:
                    return [[one.get("code", NULL)]]
        return [[back[now]]] if now in back else None

    return Codec(decode, encode, frozenset({(0, 0)}), members=frozenset({"status", "category", "provision"}))
