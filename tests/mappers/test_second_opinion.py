"""What the mappers produce, judged by fhir.resources (R4B) too: an opinion that is not ours."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.models import typed
from icops_fhir.mappers.v2.message import decode

EXAMPLES = Path(__file__).parents[2] / "examples" / "hl7v2"


def refused(resources: list[dict[str, Any]]) -> list[str]:
    out = []
    for resource in resources:
        try:
            typed(resource)
        except FhirError as error:
            out.append(error.issues[0].diagnostics)
    return out


def test_every_resource_of_every_example_is_accepted() -> None:
    bundles = [json.loads(path.read_bytes()) for path in sorted(EXAMPLES.glob("adt_*.json"))]
    resources = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]

    assert len(resources) > 1000
    assert refused(resources) == []


def test_nearly_every_resource_of_the_corpus_is_accepted(corpus: Path) -> None:
    folder = corpus / "corpus" / "hl7v2"
    index = json.loads((folder / "index.json").read_text("utf-8"))
    step = 1 if os.environ.get("ICOPS_LAWS") == "long" else 6
    names = [entry["id"] for entry in index if entry["type"] == "ADT"][::step]
    resources = [entry["resource"] for name in names for entry in decode((folder / name).read_bytes())["entry"]]

    found = refused(resources)

    print(f"{len(resources)} resources of {len(names)} messages, refused: {len(found)} {found[:5]}")
    assert len(found) <= 0.005 * len(resources)


def test_what_the_models_refuse_says_where() -> None:
    with pytest.raises(FhirError) as error:
        typed({"resourceType": "Patient", "birthDate": "soon"})
    assert error.value.issues[0].expression == ("Patient.birthDate",)
    with pytest.raises(FhirError, match="not a resource type"):
        typed({"resourceType": "Nothing"})
