"""The law of the whole road: any order of the messages of one patient ends in the same current resources."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.conftest import House
from exchange.pam import adt, ins, ipp
from icops_fhir.exchange import keys
from icops_fhir.fhir.json import canonical, dumps

TYPES = ("Patient", "Encounter", "Account", "CareTeam", "RelatedPerson", "Consent", "Practitioner", "Organization", "Location", "Condition")
PHONE = "^PRN^PH^^^^^^^^^0{0}"
ROL = "ROL||{0}|ODRP|10999000010^BERNARD^Lucie^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^L^^^RPPS|20190401|{1}"
NK1 = "NK1|1|MARTIN^Benoit^^^^^L|CHD||{0}||K"
NUMBERS = f"{ipp('P1')}~{ins('248026938311421')}"
V = {"f32": "VALI"}
STORY = [
    adt("A28", "20260301080000", pid={"f13": PHONE.format(1)}, before=(ROL.format("AD", ""),), extra=(NK1.format(PHONE.format(7)),), control="1"),
    adt("A31", "20260302080000", numbers=NUMBERS, pid={"f13": PHONE.format(2), "f16": "M", "f32": "VALI"}, extra=("ZFD|||Y",), control="2"),
    adt("A31", "20260303080000", pid={"f13": '""', "f32": "VALI"}, extra=(NK1.format('""'), "ZFA|ACTIF||||||||IO||INC"), control="3"),
    adt("A31", "20260304080000", numbers=NUMBERS, pid={"f14": "^WPN^PH^^^^^^^^^03", "f32": "VALI"}, before=(ROL.format("DE", "20260304"),), control="4"),
    adt("A05", "20260305080000", zbe="M0", at="20260310080000", pv1={"f3": "A"}, pid=V, control="5"),
    adt("A01", "20260310080000", zbe="M1", pv1={"f3": "A^1"}, extra=("DG1|1||I50.0^Insuffisance^CIM10",), pid=V, control="6"),
    adt("A02", "20260311080000", zbe="M2", pv1={"f3": "B^1"}, pid=V, control="7"),
    adt("A12", "20260312080000", zbe="M2", at="20260311080000", action="CANCEL", original="A02", pv1={"f3": "A^1"}, pid=V, control="8"),
    adt("A03", "20260313080000", zbe="M3", pv1={"f3": "A^1"}, extra=("ZFM||8||6",), pid=V, control="9"),
    adt("Z99", "20260314080000", zbe="M3", at="20260313100000", action="UPDATE", original="A03", pv1={"f3": "A^1"}, pid=V, control="10"),
    adt("A47", "20260315080000", numbers=f"{ipp('P1')}~{ins(chr(34) * 2)}", dossier="", pid={"f32": "PROV"}, before=(f"MRG|{ins('248026938311421')}",), control="11"),
    adt("A40", "20260316080000", patient="P9", dossier="", before=(f"MRG|{ipp('P1')}",), pid=V, control="12"),
]  # fmt: skip


def bag(value: Any) -> Any:
    """Lists without their order: the same items."""
    if isinstance(value, dict):
        return {name: bag(child) for name, child in value.items()}
    return sorted((bag(child) for child in value), key=canonical) if isinstance(value, list) else value


def state(messages: list[bytes]) -> dict[str, bytes]:
    house = House()
    house.store.submit(lambda tx: tx.put("salt", "ids", dumps("00" * 16))).result()
    house.ok(*messages)
    out = {}
    for type_ in TYPES:
        for resource in house.find(type_):
            resource["meta"] = resource.get("meta", {}).get("security", [])
            out[f"{type_}/{resource['id']}"] = canonical(bag(resource))
    assert house.store.view(lambda reader: reader.records(keys.PENDING)) == []
    house.store.close()
    return out


@cache
def expected() -> dict[str, bytes]:
    return state(STORY)


@settings(max_examples=12 if settings.default and settings.default.max_examples < 100 else 500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.permutations(STORY))
def test_any_order_of_a_whole_story_ends_in_the_same_resources(messages: list[bytes]) -> None:
    found = state(messages)

    assert {name: body.decode() for name, body in found.items()} == {name: body.decode() for name, body in expected().items()}
