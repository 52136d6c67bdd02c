"""What must be inside the installed package, wherever it is installed: the R4 definitions and our profiles."""

import importlib.resources
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

import icops_fhir
from icops_fhir.fhir.packages import definitions, profiles

EXAMPLES = Path(__file__).parents[2] / "examples" / "hl7v2"


def test_the_r4_definitions_are_built_in() -> None:
    assert definitions().structure("Patient") is not None


def test_our_profiles_are_built_in() -> None:
    topic = importlib.resources.files(icops_fhir).joinpath("profiles", "topics", "careplan-and-tasks.json")
    extension = "https://icops-fhir.org/fhir/StructureDefinition/v2-carried"

    assert profiles().structure(extension) is not None
    assert topic.is_file() or (Path(__file__).parents[2] / "src").is_dir()


def test_the_package_says_it_is_typed() -> None:
    assert importlib.resources.files(icops_fhir).joinpath("py.typed").is_file()


def test_outside_the_tree_nothing_is_read_from_a_checkout() -> None:
    here = Path(__file__).resolve()
    package = Path(icops_fhir.__file__).resolve()

    outside = not (here.parents[2] / "src" / "icops_fhir").is_dir()

    assert not outside or "site-packages" in package.parts


def test_the_installed_command_serves_the_example_from_an_empty_folder(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("icops-fhir")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ICOPS_")}
    environment = {**kept, "HOME": str(tmp_path)}
    with subprocess.Popen([command, "serve", "--example", "--port", "0", "--mllp-port", "0"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base = next(found[0] for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+/fhir", line)))
            place = next(found[1] for line in server.stdout if (found := re.search(r"MLLP\s+(\S+)", line)))
            (tmp_path / "a04.hl7").write_bytes((EXAMPLES / "adt_a04_insert_emergency.hl7").read_bytes())

            plans = json.loads(httpx.get(f"{base}/CarePlan?status=active").content)
            sent = subprocess.run([command, "send", place, "a04.hl7"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

            assert len(plans["entry"]) == 1
            assert (sent.returncode, "AA" in sent.stdout) == (0, True)
        finally:
            server.terminate()
