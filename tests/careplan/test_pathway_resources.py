"""What the pathway produces, and the data it is made from, are R4 as the definitions want it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given

from icops_fhir.careplan import communication as c
from icops_fhir.careplan import event as e
from icops_fhir.careplan.codes import HOME_TASKS, REASON, REASONS
from icops_fhir.careplan.definition import COORDINATION, ORIENTATION, activity
from icops_fhir.careplan.task import CLOSED, OPEN, TAKEN, TRANSITIONS, UNTOUCHED
from icops_fhir.fhir import packages
from icops_fhir.validator.validate import validate

from .test_pathway_laws import EXAMPLE, lived, steps
from .world import EXAMPLE as FOLDER
from .world import amended, arrive, cancelled, definitions, event, with_status

PROFILES = Path(__file__).parents[2] / "profiles"
DATA = [*sorted((PROFILES / "pathways").glob("*.json")), *(PROFILES / "code-systems" / f"{n}.json" for n in ("pathway-task", "pathway-reason", "task-setting", "discharge-orientation")),
        *(PROFILES / "structure-definitions" / f"{n}.json" for n in ("pathway-home-tasks", "pathway-movement", "task-hold"))]  # fmt: skip
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def wrong(resource: dict[str, Any]) -> list[str]:
    """What our validator and fhir.resources say against a resource."""
    issues = [issue.diagnostics for issue in validate(resource) if issue.refuses]
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValueError as error:
        issues.append(str(error))
    return issues


@given(steps)
def test_every_resource_a_pathway_leaves_is_valid(history):
    now = lived(history)
    known = {r["id"]: r for r in (*EXAMPLE.tasks, *EXAMPLE.care_plans)}
    for resource in (*now.tasks, *now.communications, *now.care_plans):
        assert ID.fullmatch(resource["id"])
        if resource is not known.get(resource["id"]):
            assert validate(resource) == []


def test_every_resource_of_a_whole_stay_is_accepted_by_our_checks_and_by_fhir_resources():
    discharge = event(e.DISCHARGE, "M4", 9, discharge_mode="8")
    middle = arrive(EXAMPLE, event(e.ADMISSION, "M1", 2, planned="2026-09-09"), event(e.ANNOUNCED_DISCHARGE, "M3", 5, planned="2026-09-10"), discharge)
    middle = with_status(middle, "Premier passage infirmier après le retour", "accepted")
    now = arrive(middle, amended(discharge, 10, at="2026-09-12T10:00:00+02:00"), cancelled(discharge, 13, "A13"), event(e.DEATH, "M9", 14, dead=True))

    assert [w for r in (*now.tasks, *now.communications, *now.care_plans) for w in wrong(r)] == []
    assert {code for n in now.communications for code in c.codes(n)} == {
        "admission", "announced-discharge", "discharge", "movement-corrected", "task-rescheduled", "movement-cancelled", "task-cancelled", "death"}  # fmt: skip


@pytest.mark.parametrize("file", DATA, ids=lambda f: f.stem)
def test_the_data_of_pathways_is_valid(file):
    assert wrong(json.loads(file.read_text("utf-8"))) == []


def test_every_resource_of_the_example_is_valid_and_its_definitions_are_those_shipped():
    bundle = json.loads((FOLDER / "pathway.json").read_text("utf-8"))
    resources = [entry["resource"] for entry in bundle["entry"]]

    assert [w for r in resources for w in wrong(r)] == []
    for resource in resources:
        if resource["resourceType"] == "PlanDefinition":
            shipped = definitions()[resource["url"]]
            assert resource == {k: v for k, v in shipped.items() if k != "id"}


def test_every_orientation_and_every_event_of_the_definitions_has_a_group():
    groups = {t["name"] for a in definitions()[COORDINATION]["action"] for t in a["trigger"]}
    table = definitions()[ORIENTATION]["group"][0]
    targets = {f"discharge-{t['code']}" for element in table["element"] for t in element["target"]} | {f"discharge-{table['unmapped']['code']}"}

    assert targets | {e.ADMISSION, e.PLANNED_ADMISSION, e.ANNOUNCED_DISCHARGE, e.ABSENCE, e.RETURN, e.DEATH} == groups


def test_every_action_has_its_own_id_a_code_that_exists_and_is_found_again():
    plan = EXAMPLE.care_plans[0]
    codes = {concept["code"] for concept in packages.profiles().code_system("https://icops-fhir.org/fhir/CodeSystem/pathway-task")["concept"]}
    for url in plan["instantiatesCanonical"]:
        for group in definitions()[url]["action"]:
            assert {x["valueCode"] for x in group.get("extension", ()) if x["url"] == HOME_TASKS} <= {"suspend", "resume", "keep"}
            for action in group.get("action", ()):
                found = activity(f"{url}#{action['id']}", plan, EXAMPLE)
                assert found is not None
                assert found.action == action
                assert action["code"][0]["coding"][0]["code"] in codes


def test_the_reasons_are_those_of_the_code_system():
    told = {concept["code"]: concept["display"] for concept in packages.profiles().code_system(REASON)["concept"]}

    assert told == REASONS


def test_the_state_machine_knows_the_twelve_statuses_and_no_way_back_from_the_end():
    statuses = packages.definitions().code_system("http://hl7.org/fhir/task-status")["concept"]

    assert set(TRANSITIONS) == {concept["code"] for concept in statuses} == {*OPEN, *CLOSED}
    assert {*UNTOUCHED, *TAKEN, "on-hold"} == set(OPEN)
    assert all(TRANSITIONS[status] <= {"entered-in-error"} for status in CLOSED)
    assert all({"cancelled", "on-hold"} - {status} <= TRANSITIONS[status] for status in OPEN)
    assert TRANSITIONS["on-hold"] >= set(OPEN) - {"on-hold"}
