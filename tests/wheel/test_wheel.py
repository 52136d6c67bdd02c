"""What must be inside the installed package, wherever it is installed: the R4 definitions and our profiles."""

import importlib.resources
from pathlib import Path

import icops_fhir
from icops_fhir.fhir.packages import definitions, profiles


def test_the_r4_definitions_are_built_in() -> None:
    assert definitions().structure("Patient") is not None


def test_our_profiles_are_built_in() -> None:
    assert profiles() is not None


def test_the_package_says_it_is_typed() -> None:
    assert importlib.resources.files(icops_fhir).joinpath("py.typed").is_file()


def test_outside_the_tree_nothing_is_read_from_a_checkout() -> None:
    here = Path(__file__).resolve()
    package = Path(icops_fhir.__file__).resolve()

    outside = not (here.parents[2] / "src" / "icops_fhir").is_dir()

    assert not outside or "site-packages" in package.parts
