"""What is known of a sender beside its messages: zone, charset, namespaces, policies.

A site is data (ICOPS_SITES), found by MSH-3 and MSH-4; the default is a French hospital.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Site:
    """One sender's settings. `zone` is an IANA name; `charset` a label of HL7 table 0211.

    dead_letter        what a message that cannot be translated is answered: "AE", or "AA" with an ERR of severity W
    namespaces         CX-4.1 namespace id -> FHIR system, where the sender sends no universal id; no table reads it yet
    accepts_movements  the reverse road may write movements (Z99, A03) to it, not only A31
    """

    name: str = ""
    zone: str = "Europe/Paris"
    charset: str = "8859/15"
    dead_letter: str = "AE"
    namespaces: Mapping[str, str] = field(default_factory=dict)
    accepts_movements: bool = False


DEFAULT = Site()
