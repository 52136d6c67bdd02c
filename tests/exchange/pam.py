"""Synthetic PAM-FR 2.5^FRA^2.11 messages, built field by field; every person and number is ours."""

from __future__ import annotations

import itertools

OID = "1.2.250.1.999.5"
COUNT = itertools.count(1)
INS_OID = "1.2.250.1.213.1.4.10"


def segment(name: str, **fields: str) -> str:
    """`segment("PV1", f2="I", f19="V1")`."""
    at = {int(key[1:]): value for key, value in fields.items()}
    return "|".join([name, *(at.get(n, "") for n in range(1, max(at, default=0) + 1))])


def ipp(number: str, oid: str = OID) -> str:
    return f"{number}^^^HOP&{oid}&ISO^PI"


def ins(number: str) -> str:
    return f"{number}^^^ASIP-SANTE-INS-NIR&{INS_OID}&ISO^INS"


def adt(
    event: str, when: str = "20260301080000", *, patient: str = "P1", numbers: str | None = None, oid: str = OID, facility: str = "HOP",
    venue: str = "V1", dossier: str = "D1", zbe: str = "", at: str = "", action: str = "", original: str = "", historic: str = "N",
    pv1: dict[str, str] | None = None, pid: dict[str, str] | None = None, extra: tuple[str, ...] = (), control: str = "",
    msh: dict[str, str] | None = None, before: tuple[str, ...] = (), evn: dict[str, str] | None = None,
) -> bytes:  # fmt: skip
    """One message. `zbe` = the number of the movement ("" = no ZBE), `at` = ZBE-2, `when` = EVN-2 and MSH-7."""
    lines = [
        segment("MSH", **{"f1": "^~\\&", "f2": "GAM", "f3": facility, "f4": "ICOPS", "f5": "DAC", "f6": when, "f8": f"ADT^{event}^ADT_A01",
                "f9": control or f"C{next(COUNT)}", "f10": "P", "f11": "2.5^FRA^2.11", "f16": "FRA", "f17": "UNICODE UTF-8",
                **{f"f{int(name[1:]) - 1}": value for name, value in (msh or {}).items()}}),
        segment("EVN", **{"f2": when, **(evn or {})}),
        segment("PID", **{"f1": "1", "f3": numbers or ipp(patient, oid), "f5": "MARTIN^Odile^Odile Anne^^^^L", "f7": "19480217", "f8": "F",
                "f11": "1 rue Haute^^LYON^^69001^FRA^H~^^LYON^^^FRA^BDL^^69383", "f18": f"{dossier}^^^HOP&{oid}&ISO^AN" if dossier else "",
                "f32": "PROV", **(pid or {})}),
        *before,
    ]  # fmt: skip
    if pv1 is not None or zbe:
        lines.append(segment("PV1", **{"f1": "1", "f2": "I", "f19": f"{venue}^^^HOP&{oid}&ISO^VN", "f51": "V", **(pv1 or {})}))
    if zbe:
        lines.append(segment("ZBE", f1=f"{zbe}^HOP^{oid}^ISO", f2=at or when, f4=action or "INSERT", f5=historic, f6=original,
                             f7="Cardio^^^^^HOP&1.2.250.1.999.5&ISO^UF^^^4036", f9="HMS"))
    return "".join(f"{line}\r" for line in (*lines, *extra)).encode()
