"""What each trigger of PAM-FR says to a pathway, read from ER7."""

from __future__ import annotations

import pytest

from icops_fhir.careplan import event as e
from icops_fhir.careplan.event import Event
from icops_fhir.exchange.movement import event, is_named, movement_key
from icops_fhir.mappers.v2.er7 import parse
from icops_fhir.mappers.v2.site import Site

from .world import EXAMPLE


def adt(trigger: str, action: str = "INSERT", original: str = "", zbe: str | None = None, **fields: str) -> bytes:
    """A small message; a field by its name: PV1_2="E", PID_30="Y", EVN_3=…"""
    at: dict[str, dict[int, str]] = {"MSH": {}, "EVN": {2: "20260909111500"}, "PID": {3: "1^^^CHU^PI"}, "PV1": {2: "I", 19: "V1^^^CHU^VN"}}
    for name, value in fields.items():
        segment, _, number = name.partition("_")
        at.setdefault(segment, {})[int(number)] = value
    lines = [f"MSH|^~\\&|GAM|CHU|ICOPS|DAC|{at.pop('MSH').get(7, '20260909111600')}||ADT^{trigger}^ADT_A01|1|P|2.5^FRA^2.11"]
    lines += ["|".join([name, *(values.get(n, "") for n in range(1, max(values) + 1))]) for name, values in at.items()]
    lines.append(f"ZBE|M1^CHU^1.2.250.1.999.1^ISO|20260909110000||{action}|N|{original}" if zbe is None else zbe)
    return "\r".join(line for line in lines if line).encode()


def said(raw: bytes) -> Event | None:
    return event(parse(raw), "Patient/x", "Encounter/y")


def kind(raw: bytes) -> tuple[str, str] | None:
    found = said(raw)
    return (found.kind, found.action) if found else None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (adt("A01"), (e.ADMISSION, "INSERT")),
        (adt("A04", PV1_2="E"), (e.ADMISSION, "INSERT")),
        (adt("A04", PV1_2="O"), None),
        (adt("A04", PV1_2="R"), None),
        (adt("A05"), (e.PLANNED_ADMISSION, "INSERT")),
        (adt("A06"), (e.ADMISSION, "INSERT")),
        (adt("A06", "CANCEL", "A07"), (e.CLASS_CHANGE, "CANCEL")),
        (adt("A07", PV1_2="O"), (e.CLASS_CHANGE, "INSERT")),
        (adt("A07", "CANCEL", "A06", PV1_2="E"), (e.ADMISSION, "CANCEL")),
        (adt("A06", "CANCEL"), (e.CLASS_CHANGE, "CANCEL")),
        (adt("A02"), (e.TRANSFER, "INSERT")),
        (adt("A12", "CANCEL", "A02"), (e.TRANSFER, "CANCEL")),
        (adt("A03"), (e.DISCHARGE, "INSERT")),
        (adt("A13", "CANCEL", "A03"), (e.DISCHARGE, "CANCEL")),
        (adt("A13", zbe=""), (e.DISCHARGE, "CANCEL")),
        (adt("A16"), (e.ANNOUNCED_DISCHARGE, "INSERT")),
        (adt("A25", "CANCEL", "A16"), (e.ANNOUNCED_DISCHARGE, "CANCEL")),
        (adt("A21"), (e.ABSENCE, "INSERT")),
        (adt("A52", "CANCEL", "A21"), (e.ABSENCE, "CANCEL")),
        (adt("A22"), (e.RETURN, "INSERT")),
        (adt("A53", "CANCEL", "A22"), (e.RETURN, "CANCEL")),
        (adt("A38", "CANCEL", "A05"), (e.PLANNED_ADMISSION, "CANCEL")),
        (adt("A11", "CANCEL", "A01"), (e.ADMISSION, "CANCEL")),
        (adt("Z99", "UPDATE", "A03"), (e.DISCHARGE, "UPDATE")),
        (adt("Z99", "UPDATE", "A16"), (e.ANNOUNCED_DISCHARGE, "UPDATE")),
        (adt("Z99", "UPDATE"), ("", "UPDATE")),
        (adt("Z99", "", "A03"), (e.DISCHARGE, "UPDATE")),
        (adt("Z99", "REFERENCE", "A03"), (e.DISCHARGE, "UPDATE")),
        (adt("A03", "DELETE", "A03"), (e.DISCHARGE, "CANCEL")),
        (adt("Z99", "UPDATE", "A54"), None),
        (adt("A54"), None),
        (adt("A14"), None),
        (adt("A31", zbe=""), None),
        (adt("A31", zbe="", PID_30="Y"), (e.DEATH, "INSERT")),
        (adt("A28", zbe="", PID_29="20260908"), (e.DEATH, "INSERT")),
        (adt("A31", zbe="", PID_30="N"), (e.DEATH, "CANCEL")),
        (adt("A54", PID_30="Y"), (e.DEATH, "INSERT")),
    ],
)
def test_each_trigger_says_one_kind_of_movement(raw, expected):
    assert kind(raw) == expected


@pytest.mark.parametrize("fields", [{"PV1_41": "D"}, {"PID_29": "20260909"}, {"PID_30": "Y"}, {"ZFM_2": "9"}])
def test_a_death_is_read_where_pam_fr_says_it(fields):
    found = said(adt("A03", **fields))

    assert found is not None
    assert (found.kind, found.dead) == (e.DISCHARGE, True)


@pytest.mark.parametrize("fields", [{"PV1_41": "N"}, {"PV1_41": "ARRIVED"}, {"PID_29": '""'}, {"PID_30": '""'}, {"PID_29": "20260909", "PID_30": "N"}, {"ZFM_2": "8"}])
def test_what_is_not_a_death_is_not_read_as_one(fields):
    found = said(adt("A03", **fields))

    assert found is not None
    assert not found.dead


def test_a_cancelled_death_is_a_cancellation():
    found = said(adt("A13", "CANCEL", "A03", PID_30="Y", ZFM_2="9"))

    assert found is not None
    assert (found.action, found.dead) == ("CANCEL", False)


def test_the_announced_date_is_evn_3_of_a16_or_pv2_9():
    both = said(adt("A16", EVN_3="202609111100", PV2_9="20260912"))
    other = said(adt("A01", EVN_3="202609111100", PV2_9="20260912"))
    taken_back = said(adt("A02", PV2_9='""'))
    planned = said(adt("A05", PV2_8="20260920"))

    assert [x.planned for x in (both, other, taken_back, planned) if x] == ["2026-09-11T11:00:00+02:00", "2026-09-12", '""', "2026-09-20"]


def test_times_take_the_zone_of_msh_7_then_the_site_s():
    with_zone = event(parse(adt("A03", MSH_7="20260909111600-0400")), "Patient/x", "Encounter/y")
    with_site = event(parse(adt("A03")), "Patient/x", "Encounter/y", Site(zone="Indian/Reunion"))

    assert [x.at for x in (with_zone, with_site) if x] == ["2026-09-09T11:00:00-04:00", "2026-09-09T11:00:00+04:00"]


def test_a_zbe_shifted_by_one_field_is_read():
    found = said(adt("A03", zbe="ZBE|M1^CHU^1.2.250.1.999.1|20260909110000|x||INSERT|N||UF"))

    assert found is not None
    assert (found.movement, found.action, found.historic, found.at) == ("M1^CHU^1.2.250.1.999.1", "INSERT", False, "2026-09-09T11:00:00+02:00")


def test_pv1_51_says_how_much_a_cancelled_admission_takes_back():
    scopes = [found.scope for pv1_51 in ("V", "A", "") if (found := said(adt("A11", "CANCEL", "A01", PV1_51=pv1_51)))]
    other = said(adt("A13", "CANCEL", "A03", PV1_51="A"))

    assert scopes == ["venue", "dossier", "dossier"]
    assert other is not None
    assert other.scope == "movement"


def test_the_key_is_zbe_1_and_two_hospitals_never_share_one():
    named = parse(adt("A03", zbe="ZBE|7^^|20260909110000||INSERT|N"))
    other = parse(adt("A03", zbe="ZBE|7^^|20260909110000||INSERT|N").replace(b"GAM|CHU", b"GAM|CHR"))

    assert movement_key(parse(adt("A03"))) == "M1^CHU^1.2.250.1.999.1"
    assert is_named(named)
    assert movement_key(named) != movement_key(other)


def test_without_zbe_the_visit_makes_the_key_and_its_cancellation_means_any_date():
    discharge, again = parse(adt("A03", zbe="", PV1_45="20260909110000")), parse(adt("A03", zbe="", PV1_45="20260911100000"))
    cancel = parse(adt("A13", zbe=""))

    assert movement_key(discharge) == "A03/V1/20260909110000^GAM^CHU^"
    assert movement_key(discharge) != movement_key(again)
    assert movement_key(cancel) == "A03/V1/*^GAM^CHU^"
    assert not is_named(cancel)


def test_what_names_no_movement_no_visit_and_no_patient_says_nothing():
    assert said(adt("A03", zbe="", PV1_19="", PID_3="")) is None
    assert said(adt("A03", zbe="", PV1_19="")) is not None


@pytest.mark.parametrize("file", sorted(EXAMPLE.glob("*.hl7")), ids=lambda f: f.stem)
def test_every_message_of_the_example_is_an_event(file):
    found = said(file.read_bytes())

    assert found is not None
    assert found.movement.startswith("MVT-2609-")
    assert found.patient_class in ("E", "I")
    assert found.at.startswith("2026-09-")
    assert found.recorded >= found.at[:10]
