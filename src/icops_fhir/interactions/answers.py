"""What a write answers: status, place, the version written.

https://hl7.org/fhir/R4/http.html#create, #update, #delete
"""

from __future__ import annotations

from icops_fhir.interactions.request import Answer
from icops_fhir.store.protocol import Version


def created(version: Version) -> Answer:
    """201 with its place."""
    return Answer(status=201, body=version.body, version=version, location=place(version))


def updated(version: Version) -> Answer:
    """201 when this version created the resource, else 200."""
    return created(version) if version.method == "create" else Answer(body=version.body, version=version)


def deleted(version: Version | None) -> Answer:
    """204, with the ETag of the deletion when there was something to delete."""
    return Answer(status=204, version=version)


def found(version: Version) -> Answer:
    """200: a conditional create whose resource is there already."""
    return Answer(body=version.body, version=version, location=place(version))


def place(version: Version) -> str:
    """`Patient/1/_history/3`"""
    return f"{version.type}/{version.id}/_history/{version.version}"
