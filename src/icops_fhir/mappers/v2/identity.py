"""Which identifiers are an INS, and when one may be used.  IHE PAM FR §6.6.1, §6.6.15; DT FR N.1.

INS-NIR and the billing NIR share the OID 1.2.250.1.213.1.4.8: only CX-5 tells them apart.
"""

from __future__ import annotations

from icops_fhir.mappers.v2.er7 import Repetition

# INS-NIR, INS-NIA, INS-NIR for tests, INS-NIR for demonstrations
INS_OIDS = frozenset(f"1.2.250.1.213.1.4.{n}" for n in (8, 9, 10, 11))
QUALIFIED = "VALI"


def _leaf(rep: Repetition, component: int, sub: int = 0) -> str:
    return rep[component][sub] if component < len(rep) and sub < len(rep[component]) else ""


def is_ins(rep: Repetition) -> bool:
    """Whether a CX is an INS: CX-5 = INS and one of the INS authorities (or none said)."""
    oid = _leaf(rep, 3, 1)
    return _leaf(rep, 4) == "INS" and (oid in INS_OIDS or not oid)


def withheld(rep: Repetition, reliability: str) -> bool:
    """Whether a CX is an INS that must not be used: PID-32 (first repetition) is not VALI."""
    return is_ins(rep) and reliability != QUALIFIED
