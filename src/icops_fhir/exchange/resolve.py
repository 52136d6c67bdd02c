"""Which resource of ours each resource of a message is: by strong identifier, by patient and content, or a new one.

PAM-FR §6.8 (ROL), data types N.8 (XCN), N.9 (XON): RPPS, ADELI, FINESS and UF codes with their authority; never by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from operator import is_
from typing import Any

from icops_fhir.exchange import feed, identity
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.json import Resource, canonical, dumps
from icops_fhir.mappers.v2.codes import BASE

SHARED = ("Organization", "Location", "Practitioner", "Device", "HealthcareService")  # of everyone: found by identifier
ROLES = ("PractitionerRole",)  # of a practitioner in an organization
PREFERRED = ("RPPS", "ADELI", "IDNPS", "FINEG", "FINEJ", "FINESS", "IDNST", "SIRET", "SIREN")
NATIONAL = {"RPPS": "https://rpps.esante.gouv.fr", "FINEG": "https://finess.esante.gouv.fr", "FINEJ": "https://finess.esante.gouv.fr",
            "FINESS": "https://finess.esante.gouv.fr"}  # fmt: skip
MACHINE = f"{BASE}/StructureDefinition/v2-"  # carried leaves, segment order, encoding: of the message, not of the patient
_UNTIDY = (MACHINE.encode(), b"{}", b"[]")
_REFERENCE = re.compile(r'"reference":"([^"]*)"')  # a fullUrl holds no escape


def clean(value: Any) -> Any:
    """The value without what only the reverse translation needs: carried leaves stay in the kept Bundle alone.

    What has nothing to lose is given back itself, not a copy: nobody here changes a value in place.
    """
    if isinstance(value, dict):
        out = value
        for name, child in value.items():
            if isinstance(child, (dict, list)) and ((kept := clean(child)) is not child or not kept):
                out = dict(value) if out is value else out
                if kept:
                    out[name] = kept
                else:
                    del out[name]
        return out
    found = [clean(child) if isinstance(child, (dict, list)) else child for child in value if not _machine(child)]
    found = [child for child in found if child not in ({}, [])]
    return value if len(found) == len(value) and all(map(is_, found, value)) else found


def _machine(item: Any) -> bool:
    return isinstance(item, dict) and str(item.get("url", "")).startswith(MACHINE)


def entries(bundle: Resource) -> list[tuple[str, Resource]]:
    """(fullUrl, resource) of the Bundle, clean, without what only concerns the message."""
    found = [(str(e.get("fullUrl", "")), e["resource"]) for e in bundle.get("entry", ()) if "resource" in e]
    return [(url, _tidy(r)) for url, r in found if r["resourceType"] not in ("MessageHeader", "OperationOutcome", "Parameters")]


def _tidy(resource: Resource) -> Resource:
    """`clean`, for most resources without a look inside; without its id, which is another in each message."""
    out = {name: value for name, value in resource.items() if name != "id"}
    body = dumps(out)
    return clean(out) if any(mark in body for mark in _UNTIDY) else out


def pointed(resource: Resource, known: Mapping[str, str]) -> Resource:
    """The resource as it is stored: its references ours; those to what this message brings and we do not keep are left out."""
    out: Resource = _point(resource, known) if b'"reference":' in dumps(resource) else resource
    return out


def _point(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        out = value
        for name, child in value.items():
            if isinstance(child, (dict, list)):
                new = _point(child, known)
                gone = not new
            elif name == "reference" and isinstance(child, str):
                new = known.get(child, child)
                gone = new.startswith("urn:uuid:")
            else:
                continue
            if new is not child or gone:
                out = dict(value) if out is value else out
                if gone:
                    del out[name]
                else:
                    out[name] = new
        return out
    found = [_point(child, known) if isinstance(child, (dict, list)) else child for child in value]
    return value if all(map(is_, found, value)) else [child for child in found if child not in ({}, [])]


def _strong(resource: Resource) -> list[Resource]:
    """Identifiers with an authority, national ones first."""
    def rank(item: Resource) -> int:
        return min((PREFERRED.index(code) for code in identity.codes(item) if code in PREFERRED), default=len(PREFERRED))

    return sorted((i for i in _identifiers(resource) if i.get("system") and i.get("value")), key=rank)


def _identifiers(resource: Resource) -> list[Resource]:
    found = resource.get("identifier", [])
    return [i for i in (found if isinstance(found, list) else [found]) if isinstance(i, dict)]


def used(found: Iterable[tuple[str, Resource]], sent_by: str) -> set[str]:
    """What the resources that are kept point to: the receiver of the message, say, is named by its header alone."""
    out = {sent_by}
    for _, resource in found:
        out.update(text for text in _REFERENCE.findall(dumps(resource).decode()))
    return out


def sender(bundle: Resource) -> str:
    """The fullUrl of the organization that sent the message."""
    header: Resource = next((e["resource"] for e in bundle.get("entry", ()) if e.get("resource", {}).get("resourceType") == "MessageHeader"), {})
    return str(header.get("sender", {}).get("reference", ""))


def shared(work: Work, resource: Resource, patient: str) -> str:
    """The reference of a person, place or organization that several patients may share."""
    type_ = resource["resourceType"]
    for item in _strong(resource):
        reference = f"{type_}/{work.id(type_, str(item['system']), str(item['value']))}"
        if work.get(reference) is not None:
            return reference
        for same in (item, *_elsewhere(item)):
            if others := work.identified(type_, same):
                return f"{type_}/{min(str(o['id']) for o in others)}"
    strong = _strong(resource)
    if strong:
        return f"{type_}/{work.id(type_, str(strong[0]['system']), str(strong[0]['value']))}"
    local = next((i for i in _identifiers(resource) if i.get("value")), None)
    if type_ == "Location" and resource.keys() & {"identifier", "managingOrganization"}:
        return f"{type_}/{work.id(type_, work.sender, _said(resource))}"  # a bed is its unit, room and bed together
    if local is not None:
        return f"{type_}/{work.id(type_, _authority(local) or work.sender, identity.key(local, work.sender))}"
    return f"{type_}/{work.id(type_, patient, work.sender, _said(resource))}"  # only a name: this patient's, never anyone else's


def _elsewhere(item: Resource) -> list[Resource]:
    """The same national number as FR Core writes it."""
    found = [system for code, system in NATIONAL.items() if code in identity.codes(item) and system != item.get("system")]
    return [{"system": system, "value": item["value"]} for system in found]


def _authority(item: Resource) -> str:
    """A FINESS number is national, although messages give it no system."""
    return "FINESS" if identity.codes(item) & {"N", "M", "FINESS", "FINEG", "FINEJ"} else ""


def _said(resource: Resource) -> str:
    names = ("identifier", "name", "code", "type", "position", "partOf", "specialty", "alias", "managingOrganization", "physicalType")
    return canonical({name: feed.bare(resource[name]) for name in names if name in resource}).decode()


def located(work: Work, type_: str, identifiers: list[Resource], *parts: str) -> str:
    """The resource that has one of these identifiers, else one named by these parts."""
    made = f"{type_}/{work.id(type_, *parts)}"
    if work.get(made) is None:
        for item in identifiers:
            if others := work.identified(type_, item):
                return f"{type_}/{min(str(o['id']) for o in others)}"
    return made


def personal(work: Work, resource: Resource, patient: str, rank: int) -> str:
    """The reference of what this feed says about this patient: the same thing said again is the same resource."""
    type_ = resource["resourceType"]
    for item in _identifiers(resource):
        if item.get("value"):
            return f"{type_}/{work.id(type_, patient, work.sender, identity.key(item, work.sender))}"
    return f"{type_}/{work.id(type_, patient, work.sender, _nature(resource), str(rank) if rank else '')}"


# What makes two statements about one patient statements about one thing.
NATURE = {
    "RelatedPerson": ("name", "relationship"), "Provenance": ("activity", "target"), "Flag": ("category", "code"),
    "Observation": ("code", "encounter", "effectiveDateTime"), "Condition": ("code", "encounter", "category"),
    "AllergyIntolerance": ("code", "type"), "Procedure": ("code", "encounter", "performedDateTime"),
}  # fmt: skip


def _nature(resource: Resource) -> str:
    if resource["resourceType"] == "Consent":  # further categories say what was answered
        return canonical({"scope": resource.get("scope"), "category": resource.get("category", [])[:1]}).decode()
    names = NATURE.get(resource["resourceType"], ())
    return canonical({name: _plain(resource[name]) for name in names if name in resource}).decode() if names else canonical(resource).decode()


def _plain(value: Any) -> Any:
    """Codes and names, without the parts that change while the thing stays the same."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        dropped = {"id", "extension", "display", "period", "prefix"} | ({"text"} if "coding" in value else set())
        return {name: _plain(child) for name, child in value.items() if name not in dropped and not name.startswith("_")}
    return value


def role(work: Work, resource: Resource, patient: str) -> str:
    """A role is of its practitioner, where and as what."""
    if "practitioner" not in resource:
        return shared(work, resource, patient)
    parts = {name: _plain(resource[name]) for name in ("practitioner", "organization", "code", "specialty") if name in resource}
    return f"PractitionerRole/{work.id('PractitionerRole', work.sender, canonical(parts).decode())}"


def ranked(resources: Iterable[tuple[str, Resource]], types: tuple[str, ...]) -> list[tuple[str, Resource]]:
    """The entries of these types, in the order of the types."""
    return sorted((e for e in resources if e[1]["resourceType"] in types), key=lambda e: types.index(e[1]["resourceType"]))
