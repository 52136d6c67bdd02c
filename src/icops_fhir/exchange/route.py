"""Where messages go out: one route per destination, as data (file of ICOPS_SITES, member "routes").

IHE PAM-FR §6.1 (MSH-18), §6.5 (MSH-12 = 2.5^FRA^2.11); HL7 v2.5.1 §2.15.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from typing import Any

from icops_fhir.exchange.sites import known_zone
from icops_fhir.fhir.issue import FhirError, Issue


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One destination: who it serves, what it may be told, how long it is waited for. Times are seconds.

    feeds       the senders it serves, "MSH-3^MSH-4" as in their messages; a patient none of them sent is not told
    movements   Z99 and A03 may leave too, not only A31
    relays      what another feed changed leaves too, not only what a FHIR client edited
    authority   OID, yours, under which we number the movements we make (ZBE-1); needed where movements leave
    queue       messages that may wait; beyond, the changes wait in the feed
    patience    how long a message without an acknowledgment is sent again; `refusals`: how many AE it may get
    """

    name: str
    host: str
    port: int
    feeds: tuple[str, ...]
    application: str = "ICOPS-FHIR"  # MSH-3
    facility: str = "ICOPS"  # MSH-4
    to_application: str = ""  # MSH-5; the feed's own MSH-3 when empty
    to_facility: str = ""  # MSH-6; the feed's own MSH-4 when empty
    authority: str = ""
    queue: int = 10_000
    zone: str = "Europe/Paris"
    movements: bool = False
    relays: bool = False
    certificates: str = ""  # PEM file of the authorities of a TLS destination; empty = no TLS
    timeout: float = 10.0
    patience: float = 86_400.0
    refusals: int = 5
    first_pause: float = 2.0
    longest_pause: float = 900.0

    def pause(self, attempts: int) -> float:
        """Back-off: doubled each time, bounded."""
        return min(self.longest_pause, self.first_pause * 2.0 ** min(attempts, 30))


def routes(rows: Iterable[Mapping[str, Any]]) -> tuple[Route, ...]:
    """Routes from their JSON; what is not understood is refused, by name."""
    out = tuple(_route(row) for row in rows)
    twice = {route.name for route in out if sum(other.name == route.name for other in out) > 1}
    if twice:
        raise _refused(f"two routes are named {sorted(twice)[0]!r}: each keeps its own queue", f"deux routes s'appellent {sorted(twice)[0]!r}")
    return out


def _route(row: Mapping[str, Any]) -> Route:
    known = {f.name: f for f in fields(Route)}
    label = row.get("name", "?")
    if unknown := sorted(set(row) - set(known)):
        raise _refused(f"route {label!r}: unknown {', '.join(unknown)}; known are {', '.join(known)}", f"route {label!r} : {', '.join(unknown)} inconnu")
    if missing := [name for name, f in known.items() if f.default is MISSING and name not in row]:
        raise _refused(f"route {label!r}: {', '.join(missing)} missing", f"route {label!r} : il manque {', '.join(missing)}")
    values = {name: _plain(value) for name, value in row.items()}
    for name, value in values.items():
        if not isinstance(value, _TYPES[str(known[name].type)]) or (isinstance(value, bool) and known[name].type != "bool"):
            raise _refused(f"route {label!r}: {name} is {value!r}, {known[name].type} expected", f"route {label!r} : {name} vaut {value!r}, {known[name].type} attendu")
    if "|" in values["name"] or not all("^" in feed for feed in values["feeds"]):
        raise _refused(f"route {label!r}: feeds are written MSH-3^MSH-4, and a name has no |", f"route {label!r} : les flux s'écrivent MSH-3^MSH-4")
    route = Route(**values)
    if route.movements and not route.authority:
        raise _refused(
            f"route {label!r}: movements leave, so authority is needed: an OID of yours to number ours under",
            f"route {label!r} : des mouvements partent, il faut authority, un OID qui est le vôtre pour numéroter les nôtres",
        )
    if not 0 < route.port < 65536:
        raise _refused(f"route {label!r}: port is {route.port}, 1 to 65535 expected", f"route {label!r} : port vaut {route.port}, 1 à 65535 attendu")
    if not known_zone(route.zone):
        raise _refused(f"route {label!r}: zone {route.zone!r} is no time zone", f"route {label!r} : zone {route.zone!r} n'est pas un fuseau horaire")
    return route


def _plain(value: Any) -> Any:
    """A file read as FHIR JSON keeps the text of its numbers: 0.5 is a Number there."""
    if isinstance(value, Decimal):
        return float(value)
    return tuple(value) if isinstance(value, list) else value


_TYPES: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool, "tuple[str, ...]": tuple}


def _refused(english: str, french: str) -> FhirError:
    return FhirError(Issue("error", "invalid", english, rule="icops-route", french=f"{french}."))
