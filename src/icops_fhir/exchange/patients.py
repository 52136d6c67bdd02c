"""The Patients of the store: found by number or qualified INS, followed to the survivor of a merge, registered.

PAM-FR §6.6; https://hl7.org/fhir/R4/patient.html#links. The decisions themselves are in identity.py.
"""

from __future__ import annotations

from icops_fhir.exchange import identity, keys
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.json import Resource, dumps, loads
from icops_fhir.mappers.codec import Context
from icops_fhir.mappers.v2.datatypes import CX
from icops_fhir.mappers.v2.er7 import NULL, Segment
from icops_fhir.mappers.v2.site import Site
from icops_fhir.mappers.v2.view import view

STEPS = 20  # a chain of merges longer than this is a loop


def identifiers(segment: Segment, field: int, site: Site) -> list[tuple[str, Resource]]:
    """The CX of a field as FHIR Identifiers, each with its text; `""` is kept as the text, with its authority and type."""
    out = []
    context = Context(zone=site.zone, namespaces=dict(site.namespaces))
    fields = view(segment).fields
    for repetition in fields[field] if field < len(fields) else []:
        value = repetition[0][0] if repetition and repetition[0] else ""
        if not value:
            continue
        named = [["?"], *repetition[1:]] if value == NULL else repetition
        found = CX.decode(named, context)
        if found:
            out.append((value, found))
    return out


def survivor(work: Work, reference: str) -> str:
    """The Patient that stands for this one now."""
    for _ in range(STEPS):
        record = work.record(keys.MERGED, reference)
        if record is not None:
            reference = str(loads(record.body)["into"])
            continue
        patient = work.get(reference) or {}
        links = [link for link in patient.get("link", ()) if link.get("type") == "replaced-by"]
        if patient.get("active") is not False or not links:
            return reference
        reference = str(links[0].get("other", {}).get("reference", reference))
    return reference


def merged_at(work: Work, reference: str) -> str:
    """The stamp of the merge that ended this Patient, "" when it was not merged."""
    record = work.record(keys.MERGED, reference)
    return str(loads(record.body)["at"]) if record else ""


def register(work: Work, number: Resource, reference: str) -> None:
    """From now on this number is this Patient's."""
    work.note(keys.PATIENT, identity.key(number, work.sender), dumps(reference), owner=reference)


def by_number(work: Work, number: Resource) -> str:
    """The Patient a hospital means by this number, merged or not; "" when unknown.

    A Patient that another hospital's feed made is not found by a number it only mentions.
    """
    record = work.record(keys.PATIENT, identity.key(number, work.sender))
    if record is not None:
        return str(loads(record.body))
    found = [f"Patient/{p['id']}" for p in work.identified("Patient", number)]
    free = [reference for reference in found if not work.tx.records(keys.PATIENT, owner=reference, limit=1)]
    return free[0] if len(free) == 1 else ""


def by_ins(work: Work, patient: Resource) -> list[Resource]:
    """The Patients, merges followed, that hold an INS of this one."""
    found: dict[str, Resource] = {}
    for number in identity.ins(patient):
        for other in work.identified("Patient", number):
            reference = survivor(work, f"Patient/{other['id']}")
            kept = work.get(reference)
            if kept is not None and any(identity.is_ins(i) and i.get("value") == number["value"] for i in kept.get("identifier", ())):
                found[reference] = kept
    return list(found.values())
