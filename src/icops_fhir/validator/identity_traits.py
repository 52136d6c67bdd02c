"""The strict traits of an identity qualified by its INS, and what a client's edit would change in them.

RNIV 1 §3 (traits stricts), IHE PAM France §6.6 (INS used only where PID-32 is VALI), FR Core Patient INS.

    previous version ─┐
                      ├─ changed() → issues (422)     restored() → the edit with the traits its extensions dropped
    client's edit ────┘
"""

from __future__ import annotations

from typing import Any

from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import canonical

Resource = dict[str, Any]

# NIR, NIA, test and demonstration numbers; the NIR of billing shares the first one, so the type decides.
INS_SYSTEMS = frozenset(f"urn:oid:1.2.250.1.213.1.4.{arc}" for arc in (8, 9, 10, 11))
INS_TYPES = frozenset({"INS", "INS-NIR", "INS-NIA", "INS-NIR-TEST", "INS-NIR-DEMO"})
QUALIFIED = frozenset({"VALI", "QUAL"})
RELIABILITY = "fr-core-identity-reliability"
BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
BIRTH_GIVEN = "birth-list-given-name"


def qualified(patient: Resource) -> bool:
    """An INS, and a reliability that starts with VALI (PID-32) or says QUAL (RNIV)."""
    return bool(_ins(patient)) and _reliability(patient) in QUALIFIED


def changed(previous: Resource, edited: Resource) -> list[Issue]:
    """One issue for each strict trait of a qualified identity that the edit would change; what an extension only left out is no change."""
    if not qualified(previous):
        return []
    before, after = _traits(previous), _traits(edited)
    return [
        _issue(path, french) for path, french, by_extension in TRAITS
        if before[path] != after[path] and not (by_extension and not after[path])
    ]


def restored(previous: Resource, edited: Resource) -> Resource:
    """The edit, with the reliability, birth place and birth given names that a client without our extensions left out."""
    if not qualified(previous):
        return edited
    kept = [item for item in previous.get("extension", ()) if item.get("url", "").endswith(RELIABILITY) or item.get("url") == BIRTH_PLACE]
    present = {item.get("url") for item in edited.get("extension", ()) if _place_code(item) or item.get("url") != BIRTH_PLACE}
    missing = [item for item in kept if item["url"] not in present]
    result = edited
    if missing:
        names = {item["url"] for item in missing}
        others = [item for item in edited.get("extension", ()) if item.get("url") not in names]
        result = {**edited, "extension": [*others, *missing]}
    return _with_birth_given(previous, result)


# path, French name, and whether it lives in an extension (then its absence is no edit)
TRAITS: tuple[tuple[str, str, bool], ...] = (
    ("Patient.identifier", "identifiant INS", False),
    ("Patient.name.family", "nom de naissance", False),
    ("Patient.name.given", "prénoms", False),
    ("Patient.name.extension", "liste des prénoms de naissance", True),
    ("Patient.birthDate", "date de naissance", False),
    ("Patient.gender", "sexe", False),
    ("Patient.extension", "lieu de naissance", True),
    ("Patient.extension.extension", "code du lieu de naissance", True),
    ("Patient.extension.value", "fiabilité de l'identité", True),
)


def _traits(patient: Resource) -> dict[str, Any]:
    name = _official(patient)
    place = next((item for item in patient.get("extension", ()) if item.get("url") == BIRTH_PLACE), {})
    address = place.get("valueAddress", {})
    return {
        "Patient.identifier": sorted(_ins(patient)),
        "Patient.name.family": name.get("family", ""),
        "Patient.name.given": canonical(name.get("given", [])),
        "Patient.name.extension": _birth_given(name),
        "Patient.birthDate": patient.get("birthDate", ""),
        "Patient.gender": patient.get("gender", ""),
        "Patient.extension": tuple(address.get(part, "") for part in ("city", "postalCode", "country")) if address else (),
        "Patient.extension.extension": _place_code(place),
        "Patient.extension.value": _reliability(patient),
    }


def _ins(patient: Resource) -> set[tuple[str, str]]:
    return {
        (item.get("system", ""), item.get("value", ""))
        for item in patient.get("identifier", ())
        if item.get("system") in INS_SYSTEMS
        and any(coding.get("code") in INS_TYPES for coding in item.get("type", {}).get("coding", ()))
    }


def _reliability(patient: Resource) -> str:
    found = next((item for item in patient.get("extension", ()) if item.get("url", "").endswith(RELIABILITY)), None)
    return _first_code(found) if found else ""


def _first_code(element: Any) -> str:
    """The first code said below: valueCoding, valueCode, valueCodeableConcept, direct or in a part named identityStatus."""
    if isinstance(element, list):
        return next((code for code in map(_first_code, element) if code), "")
    if not isinstance(element, dict):
        return ""
    parts = element.get("extension", [])
    status = [part for part in parts if part.get("url") == "identityStatus"] or parts
    value = next((element[name] for name in ("valueCoding", "valueCodeableConcept", "valueCode", "valueString") if name in element), None)
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        coding = value.get("coding", [value])
        return next((str(item["code"]) for item in coding if "code" in item), "")
    return _first_code(status)


def _official(patient: Resource) -> Resource:
    names = [name for name in patient.get("name", ()) if isinstance(name, dict)]
    unsaid = [name for name in names if "use" not in name]
    return next((name for name in names if name.get("use") == "official"), unsaid[0] if unsaid else {})


def _birth_given(name: Resource) -> str:
    return next((str(item.get("valueString", "")) for item in name.get("extension", ()) if item.get("url", "").endswith(BIRTH_GIVEN)), "")


def _place_code(extension: Resource) -> str:
    """The INSEE code inside a birth place."""
    if extension.get("url") != BIRTH_PLACE:
        return ""
    parts = extension.get("valueAddress", {}).get("extension", ())
    return next((_first_code(part) for part in parts if "insee" in part.get("url", "").lower()), "")


def _with_birth_given(previous: Resource, edited: Resource) -> Resource:
    kept = [item for item in _official(previous).get("extension", ()) if item.get("url", "").endswith(BIRTH_GIVEN)]
    name = _official(edited)
    if not kept or not name or _birth_given(name):
        return edited
    whole = {**name, "extension": [*name.get("extension", ()), *kept]}
    return {**edited, "name": [whole if item is name else item for item in edited["name"]]}


def _issue(path: str, french: str) -> Issue:
    return Issue(
        "error", "business-rule",
        f"{path} is a strict trait of an identity qualified by its INS: it is changed by the identity cell, not by a client. A Task was written for it.",
        expression=(path,), rule="icops-ins-strict-trait",
        french=f"{french[0].upper()}{french[1:]} : trait strict d'une identité qualifiée par son INS, que seule la cellule d'identitovigilance modifie. Une tâche lui est adressée.",
    )
