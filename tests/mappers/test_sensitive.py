"""What must not stand on a resource, and what must: an INS that is not qualified, a legal mode that was cancelled."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.pam import adt, ins, ipp
from icops_fhir.fhir.json import canonical
from icops_fhir.mappers.v2.message import decode, encode

INS = "248026938311421"


def holders(bundle: dict[str, Any]) -> set[str]:
    return {e["resource"]["resourceType"] for e in bundle["entry"] if INS in canonical(e["resource"]).decode()}


@pytest.mark.parametrize("field", ["f2", "f3", "f4"])
def test_an_ins_that_is_not_qualified_stands_on_the_header_wherever_pid_says_it(field: str) -> None:
    raw = adt("A28", numbers=ipp("P1"), pid={field: ins(INS)})
    bundle = decode(raw)

    assert holders(bundle) == {"MessageHeader"}
    assert encode(bundle) == raw


@pytest.mark.parametrize(("action", "status"), [("INSERT", "active"), ("UPDATE", "active"), ("CANCEL", "entered-in-error"), ("", "active")])
def test_a_legal_mode_that_is_cancelled_is_no_longer_active(action: str, status: str) -> None:
    raw = adt("A28", extra=(f"ZFS|1|EVT1^HOP|20260101||{action}|SDT",))
    bundle = decode(raw)

    flag = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Flag")
    assert flag["status"] == status
    assert encode(bundle) == raw


def test_a_legal_mode_that_is_said_is_not_said_to_be_unknown() -> None:
    bundle = decode(adt("A28", extra=("ZFS|1|EVT1^HOP|20260101||INSERT|SDT",)))

    flag = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Flag")
    assert "extension" not in flag["code"]


@pytest.mark.parametrize(("answer", "status"), [("IO", "active"), ("INO", "active"), ("NA", "proposed"), ('""', "proposed")])
def test_an_answer_taken_back_is_no_refusal(answer: str, status: str) -> None:
    raw = adt("A28", extra=(f"ZFA|ACTIF||||||||{answer}|20260301",))
    bundle = decode(raw)

    consent = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Consent")
    assert (consent["status"], "provision" in consent) == (status, status == "active")
    assert encode(bundle) == raw
