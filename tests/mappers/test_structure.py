"""The structure of a message against hl7apy's dictionaries: warnings, never a refusal. HL7 table 0354."""

from pathlib import Path

from icops_fhir.mappers.v2 import er7, structure

EXAMPLES = Path(__file__).parents[2] / "examples" / "hl7v2"


def message(*lines: str) -> er7.Message:
    return er7.parse("\r".join(lines).encode())


def rules(found: er7.Message) -> list[tuple[str, str]]:
    return [(issue.rule, issue.expression[0]) for issue in structure.check(found)]


def test_what_is_missing_or_unexpected_is_said_and_z_segments_are_welcome() -> None:
    found = message("MSH|^~\\&|A|B|||20260302||ADT^A04^ADT_A01|1|P|2.5", "EVN||20260302", "PID|1||1", "RXA|0", "ZZZ|1")

    assert rules(found) == [("v2-segment-unexpected", "RXA"), ("v2-segment-missing", "PV1")]


def test_the_structure_comes_from_the_event_when_msh_9_3_is_wrong_or_absent() -> None:
    lines = ("EVN||20260302", "PID|1||1", "PV1|1|N")

    assert rules(message("MSH|^~\\&|A|B|||20260302||ADT^A28|1|P|2.5", *lines)) == []
    assert rules(message("MSH|^~\\&|A|B|||20260302||ADT^A28^ADT_A01|1|P|2.5", *lines)) == [("v2-structure-wrong", "MSH-9.3")]


def test_a_version_no_dictionary_has_is_read_as_the_usual_one() -> None:
    assert structure.version(message("MSH|^~\\&|A|B|||20260302||ADT^A28|1|P|2.x")) == "2.5"
    assert structure.version(message("MSH|^~\\&|A|B|||20260302||ADT^A28|1|P|2.5^FRA^2.11")) == "2.5"
    assert rules(message("MSH|^~\\&|A|B|||20260302||XYZ^Q01^XYZ_Q01|1|P|2.5")) == [("v2-structure-unknown", "MSH-9.3")]


def test_fields_have_the_names_of_the_standard() -> None:
    assert structure.field_name("PID", 5) == "Patient name"
    assert structure.field_name("ZBE", 1) == ""
    assert structure.field_name("PID", 99) == ""


def test_the_french_examples_are_as_their_structures_say() -> None:
    names = ("adt_a01_insert_ins_vali_latin9", "adt_a03_insert_discharge_home", "adt_a04_insert_emergency")

    assert {name: rules(er7.parse((EXAMPLES / f"{name}.hl7").read_bytes())) for name in names} == {name: [] for name in names}
