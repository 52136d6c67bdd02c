"""The strict traits of an identity qualified by its INS, and what a client's edit would change in them.

RNIV 1 §3 (traits stricts), IHE PAM France §6.6 (INS used only where PID-32 is VALI), FR Core Patient INS.

    previous version ─┐
                      ├─ changed() → issues (422)     restored() → the edit with the traits its extensions dropped
    client's edit ────┘
"""

from __future__ import annotations

from collections.abc import Callable
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
    return [
        _issue(path, french) for path, french, left_out_is_kept, trait in TRAITS
        if trait(previous) != (now := trait(edited)) and not (left_out_is_kept and not now)
    ]


def restored(previous: Resource, edited: Resource) -> Resource:
    """The edit, with the reliability, birth place and birth given names that a client without our extensions left out."""
    if not qualified(previous):
        return edited
    others = edited.get("extension", [])
    lost = [item for item in previous.get("extension", ()) if _governed(item) and not any(_says(other, item) for other in others)]
    if lost:
        urls = {item["url"] for item in lost}
        edited = {**edited, "extension": [*(item for item in others if item.get("url") not in urls), *lost]}
    return _with_birth_given(previous, edited)


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
    """The INSEE code of a birth place: in an extension of its address (FR Core), else where XAD-9 goes."""
    if extension.get("url") != BIRTH_PLACE:
        return ""
    address = extension.get("valueAddress", {})
    said = (_first_code(part) for part in address.get("extension", ()) if "insee" in str(part.get("url", "")).lower())
    return next((code for code in said if code), str(address.get("district", "")))


def _with_birth_given(previous: Resource, edited: Resource) -> Resource:
    kept = [item for item in _official(previous).get("extension", ()) if item.get("url", "").endswith(BIRTH_GIVEN)]
    name = _official(edited)
    if not kept or not name or _birth_given(name):
        return edited
    whole = {**name, "extension": [*name.get("extension", ()), *kept]}
    return {**edited, "name": [whole if item is name else item for item in edited["name"]]}


def _birth_place(patient: Resource) -> Resource:
    return next((item for item in patient.get("extension", ()) if item.get("url") == BIRTH_PLACE), {})


def _governed(extension: Resource) -> bool:
    url = str(extension.get("url", ""))
    return url == BIRTH_PLACE or url.endswith(RELIABILITY)


def _says(extension: Resource, trait: Resource) -> bool:
    """Whether this extension takes the place of that one: a birth place without its code does not."""
    return extension.get("url") == trait["url"] and (bool(_place_code(extension)) or not _place_code(trait))


def _place(patient: Resource) -> tuple[str, ...]:
    address = _birth_place(patient).get("valueAddress", {})
    return tuple(str(address.get(part, "")) for part in ("city", "postalCode", "country")) if address else ()


# path, French name, whether leaving it out keeps it (it lives in an extension), what it is
TRAITS: tuple[tuple[str, str, bool, Callable[[Resource], Any]], ...] = (
    ("Patient.identifier", "identifiant INS", False, lambda patient: sorted(_ins(patient))),
    ("Patient.name.family", "nom de naissance", False, lambda patient: _official(patient).get("family", "")),
    ("Patient.name.given", "prénoms", False, lambda patient: canonical(_official(patient).get("given", []))),
    ("Patient.name.extension", "liste des prénoms de naissance", True, lambda patient: _birth_given(_official(patient))),
    ("Patient.birthDate", "date de naissance", False, lambda patient: patient.get("birthDate", "")),
    ("Patient.gender", "sexe", False, lambda patient: patient.get("gender", "")),
    ("Patient.extension", "lieu de naissance", True, _place),
    ("Patient.extension", "code du lieu de naissance", True, lambda patient: _place_code(_birth_place(patient))),
    ("Patient.extension", "fiabilité de l'identité", True, lambda patient: _reliability(patient)),
)


def _issue(path: str, french: str) -> Issue:
    return Issue(
        "error", "business-rule",
        f"{path}: a strict trait of an identity qualified by its INS is changed by the identity cell, not by a client. A Task was written for it.",
        expression=(path,), rule="icops-ins-strict-trait",
        french=f"{french[0].upper()}{french[1:]} : trait strict d'une identité qualifiée par son INS, que seule la cellule d'identitovigilance modifie. Une tâche lui est adressée.",
    )
