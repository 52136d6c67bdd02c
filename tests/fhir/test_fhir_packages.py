"""The definitions: built in, lazily read, the same bytes on each build."""

import hashlib
import importlib.util
import io
import json
import sys
import tarfile
import types
from pathlib import Path

import pytest

from icops_fhir.fhir import packages
from icops_fhir.fhir.issue import FhirError

ROOT = Path(__file__).parents[2]


def test_the_built_in_definitions_are_the_whole_of_r4():
    found = packages.definitions()

    assert len(found.types()) == 146
    assert {"Patient", "CarePlan", "Task", "Bundle"} <= found.types()
    assert not {"DomainResource", "Resource", "HumanName"} & found.types()
    assert tuple(len(found.urls(kind)) for kind in ("ValueSet", "CodeSystem", "ConceptMap", "OperationDefinition")) == (1316, 1062, 80, 47)
    assert sum("snapshot" in (found.structure(url) or {}) for url in found.urls("StructureDefinition")) >= 653


def test_a_definition_is_found_by_type_by_url_and_by_url_with_version():
    found = packages.definitions()
    patient = found.structure("Patient")

    assert patient is not None
    assert patient is found.structure("http://hl7.org/fhir/StructureDefinition/Patient")
    assert patient is found.structure("http://hl7.org/fhir/StructureDefinition/Patient|4.0.1")
    assert "snapshot" in (found.structure("vitalsigns") or {})
    assert found.structure("Nonsense") is None
    assert {"family", "birthdate", "identifier"} <= {parameter["code"] for parameter in found.search_parameters("Patient")}
    assert found.search_parameters("Nonsense") == ()
    assert (found.compartment("Patient") or {})["code"] == "Patient"
    assert (found.value_set("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1") or {})["compose"]
    assert (found.code_system("http://hl7.org/fhir/administrative-gender") or {})["concept"]
    assert (found.concept_map("http://hl7.org/fhir/ConceptMap/101") or {})["group"]


def test_what_a_check_needs_of_an_element_is_kept():
    elements = {e["id"]: e for e in packages.definitions().structure("Patient")["snapshot"]["element"]}

    assert "pat-1" in [constraint["key"] for constraint in elements["Patient.contact"]["constraint"]]
    assert elements["Patient.gender"]["binding"]["strength"] == "required"
    assert elements["Patient.link"]["isModifier"]
    assert elements["Patient.managingOrganization"]["type"][0]["targetProfile"] == ["http://hl7.org/fhir/StructureDefinition/Organization"]


def test_reading_one_definition_reads_no_other():
    pack = packages.Pack(ROOT / "src/icops_fhir/fhir/r4.pack") if (ROOT / "src/icops_fhir/fhir/r4.pack").exists() else packages._pack()
    found = packages.Definitions(pack)
    found.structure("Patient")

    assert list(found._found) == ["StructureDefinition/http://hl7.org/fhir/StructureDefinition/Patient"]


@pytest.mark.parametrize("content", [None, b"", b"something else"])
def test_a_missing_pack_is_an_error_that_says_what_to_do(tmp_path, content):
    file = tmp_path / "r4.pack"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(FhirError) as caught:
        packages.Pack(file)

    issue = caught.value.issues[0]
    assert (caught.value.status, issue.severity) == (500, "fatal")
    assert "pip install" in issue.diagnostics
    assert "Réinstallez" in issue.french


def test_our_own_definitions_are_read_from_files_in_any_sub_folder(tmp_path):
    (tmp_path / "value-sets").mkdir()
    (tmp_path / "value-sets" / "x.json").write_text('{"resourceType":"ValueSet","url":"http://ours/vs"}')
    (tmp_path / "y.json").write_text('{"resourceType":"SearchParameter","url":"http://ours/sp","code":"c","base":["Patient","Task"]}')
    (tmp_path / "rules.json").write_text('{"rows":[]}')
    folder = packages.Folder(tmp_path)
    found = packages.Definitions(folder, packages._pack())

    assert (found.value_set("http://ours/vs") or {})["url"] == "http://ours/vs"
    assert found.search_parameters("Task")[0]["url"] == "http://ours/sp"
    assert found.structure("Patient") is not None
    before = folder.fingerprint
    (tmp_path / "y.json").write_text("{}")
    assert before != packages.Folder(tmp_path).fingerprint


def test_the_profiles_folder_is_there_in_a_working_copy_and_in_a_wheel():
    assert packages.profiles_folder().is_dir()
    assert packages.profiles() is packages.profiles()


# ------------------------------------------------------------------ the build hook


def hook():
    """hatch_build.py as a module; hatchling itself is a requirement of the build only."""
    if not (ROOT / "hatch_build.py").exists():
        pytest.skip("not in a working copy")
    try:
        import hatchling.builders.hooks.plugin.interface  # noqa: F401
    except ImportError:
        for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin"):
            sys.modules[name] = types.ModuleType(name)
        interface = types.ModuleType("hatchling.builders.hooks.plugin.interface")
        interface.BuildHookInterface = object
        sys.modules[interface.__name__] = interface
    specification = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def small_package(path: Path) -> bytes:
    """A package of a few definitions, enough for the shared dictionary."""
    build = hook()
    resources = [{"resourceType": key.split("/", 1)[0], "url": key.split("/", 1)[1], "text": {"div": "gone"}} for key in build.DICTIONARY if not key.startswith("SearchParameter")]
    for resource in resources:
        if resource["resourceType"] == "StructureDefinition":
            resource |= {"kind": "resource", "abstract": False, "derivation": "specialization", "type": resource["url"].rpartition("/")[2],
                         "snapshot": {"element": [{"id": "x", "path": "x", "comment": "gone", "min": 0}]}, "differential": {}}
    resources.append({"resourceType": "SearchParameter", "url": "u", "code": "c", "base": ["Patient", "Task"], "expression": "Patient.x"})
    with tarfile.open(path, "w:gz") as archive:
        for number, resource in enumerate(resources):
            content = json.dumps(resource).encode()
            member = tarfile.TarInfo(f"package/{number}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path.read_bytes()


def test_the_same_package_gives_the_same_pack_and_the_pack_gives_it_back(tmp_path):
    build = hook()
    package = small_package(tmp_path / "p.tgz")
    pack = build.pack(package, "recipe")
    (tmp_path / "r4.pack").write_bytes(pack)
    found = packages.Definitions(packages.Pack(tmp_path / "r4.pack"))

    assert pack == build.pack(package, "recipe")
    assert build.made_by(tmp_path / "r4.pack") == "recipe"
    assert build.made_by(tmp_path / "none") == ""
    assert found.structure("Patient") == {"resourceType": "StructureDefinition", "kind": "resource", "abstract": False, "derivation": "specialization", "type": "Patient",
            "url": "http://hl7.org/fhir/StructureDefinition/Patient", "snapshot": {"element": [{"id": "x", "path": "x", "min": 0}]}}
    assert [parameter["code"] for parameter in found.search_parameters("Task")] == ["c"]


def test_the_pack_is_under_three_megabytes_and_was_made_by_this_recipe():
    build = hook()
    pack = ROOT / build.PACK
    if not pack.exists():
        pytest.skip("installed from a wheel: no pack in the working copy")

    assert pack.stat().st_size < 3_000_000
    assert build.recipe() == build.made_by(pack)


def test_a_package_given_by_hand_is_taken_only_when_its_sum_is_known_or_said(tmp_path, monkeypatch):
    build = hook()
    package = small_package(tmp_path / "p.tgz")
    monkeypatch.setenv("ICOPS_R4_PACKAGE", str(tmp_path / "p.tgz"))
    with pytest.raises(SystemExit, match="ICOPS_R4_SHA256"):
        build.package()
    monkeypatch.setenv("ICOPS_R4_SHA256", hashlib.sha256(package).hexdigest())

    assert package == build.package()
