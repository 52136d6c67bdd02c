"""All or nothing, whatever fails and whenever: https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import sqlite3
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "rest"))

from rest_kit import Web, open_web, patient

from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.interactions.entry_error import named
from icops_fhir.interactions.request import http_date


class Failing(sqlite3.Connection):
    """Fails once, at the chosen statement of the writer."""

    left: int | None = None
    failed = ""

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self._maybe(sql)
        return super().execute(sql, *args)

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self._maybe(sql)
        return super().executemany(sql, *args)

    @classmethod
    def _maybe(cls, sql: str) -> None:
        if cls.left is None or "writer" not in threading.current_thread().name.lower() or sql.lstrip().upper().startswith("ROLLBACK"):
            return
        cls.left -= 1
        if cls.left == 0:
            cls.left, cls.failed = None, sql
            raise sqlite3.OperationalError("disk I/O error")


BUNDLE: dict[str, Any] = {"resourceType": "Bundle", "type": "transaction", "entry": [
    {"fullUrl": "urn:uuid:1", "resource": patient(identifier=[{"system": "urn:x", "value": "1"}]),
     "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:x|1"}},
    {"resource": patient(id="kept", active=True), "request": {"method": "PUT", "url": "Patient/kept"}},
    {"resource": {"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": "urn:uuid:1"}}, "request": {"method": "POST", "url": "Task"}},
    {"request": {"method": "DELETE", "url": "Patient/gone"}},
    {"request": {"method": "GET", "url": "Patient?_id=kept"}}]}


def state(web: Web) -> tuple[Any, ...]:
    """Everything that can be seen: current versions, searches, feed."""
    def seen(reader: Any) -> tuple[Any, ...]:
        return reader.changes(0), [version.body for version in reader.history(count=500)]

    return (*web.store.view(seen), *(web.get(f"{type_}?_total=accurate").text for type_ in ("Patient", "Task")), web.get("Patient?identifier=urn:x|1").text)


def test_a_fault_at_any_statement_leaves_all_or_nothing_and_the_store_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Failing))
    hit, number = [], 0
    while True:
        number += 1
        Failing.left = None
        with open_web(f"sqlite:///{tmp_path}/{number}.db") as web:
            web.put("Patient/gone", patient(id="gone"))
            web.put("Patient/kept", patient(id="kept"))
            before = state(web)
            Failing.left, Failing.failed = number, ""
            response = web.post("", BUNDLE)
            Failing.left = None
            after = state(web)
            if response.status_code == 200:
                assert not Failing.failed
                assert len(after[0]) == len(before[0]) + 4
                break
            hit.append(Failing.failed)

            assert response.status_code in (500, 503), Failing.failed
            assert after == before, Failing.failed
            assert web.post("", BUNDLE).status_code == 200, Failing.failed

    assert len(hit) > 12
    assert any("INSERT INTO version" in sql for sql in hit)
    assert any("COMMIT" in sql.upper() for sql in hit)


ENTRIES = st.lists(st.sampled_from(["create", "update", "delete", "wrong", "stale", "conditional", "missing"]), min_size=1, max_size=6)


def made(kind: str, number: int) -> dict[str, Any]:
    one = f"p{number}"
    return {
        "create": {"resource": patient(), "request": {"method": "POST", "url": "Patient"}},
        "update": {"resource": patient(id=one), "request": {"method": "PUT", "url": f"Patient/{one}"}},
        "delete": {"request": {"method": "DELETE", "url": f"Patient/{one}"}},
        "wrong": {"resource": patient(id=one, gender="x"), "request": {"method": "PUT", "url": f"Patient/{one}"}},
        "stale": {"resource": patient(id=one), "request": {"method": "PUT", "url": f"Patient/{one}", "ifMatch": 'W/"99"'}},
        "conditional": {"resource": patient(identifier=[{"system": "urn:c", "value": str(number)}]), "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier=urn:c|{number}"}},
        "missing": {"request": {"method": "GET", "url": "Patient/never"}},
    }[kind]


@given(ENTRIES)
def test_a_transaction_with_one_wrong_entry_changes_nothing_and_names_one_of_them(kinds: list[str]) -> None:
    entries = [made(kind, number) for number, kind in enumerate(kinds)]
    before = SHARED.store.sequence
    response = SHARED.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    wrong = [number for number, kind in enumerate(kinds) if kind in ("wrong", "stale", "missing")]

    if wrong:
        assert response.status_code >= 400
        assert SHARED.store.sequence == before
        assert any(response.json()["issue"][0]["expression"][0].startswith(f"Bundle.entry[{number}]") for number in wrong)
    else:
        assert [item["response"]["status"][0] for item in response.json()["entry"]] == ["2"] * len(kinds)


def test_an_entry_is_named_once_however_deep_the_refusal() -> None:
    with pytest.raises(FhirError) as refused, named(3), named(1):
        raise FhirError(Issue("error", "value", "wrong", expression=("Patient.name[0].use",), french="faux"))

    assert refused.value.issues[0].expression == ("Bundle.entry[1].resource.name[0].use",)
    assert refused.value.issues[0].diagnostics == "Bundle.entry[1]: wrong"


def test_http_dates_are_as_rfc_9110_writes_them() -> None:
    assert http_date("2026-03-01T08:00:09.123Z") == "Sun, 01 Mar 2026 08:00:09 GMT"
    assert http_date("2026-03-01T00:30:00.000+01:00") == "Sat, 28 Feb 2026 23:30:00 GMT"


_opened = open_web()
SHARED = _opened.__enter__()


def teardown_module() -> None:
    _opened.__exit__(None, None, None)
