"""HL7 v2 code tables ↔ FHIR codes, and coding system names ↔ URIs.

https://build.fhir.org/ig/HL7/v2-to-fhir/conformance.html (tables), HL7 v2.5.1 chapter 2A table 0396.
A code that a required binding forces to change keeps its original beside it, in HL7's `alternate-codes` extension.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from icops_fhir.mappers.codec import Codec, Context, Node, plain
from icops_fhir.mappers.v2.primitives import code as valid_code
from icops_fhir.mappers.v2.primitives import text as valid_text

BASE = "https://icops-fhir.org/fhir"
ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
# What stands for a required element that the message does not say. https://hl7.org/fhir/R4/extension-data-absent-reason.html
ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
LOCAL = f"{BASE}/v2-coding-system/"


def v2(table: str) -> str:
    """The URI of an HL7 table: v2("0203")."""
    return f"http://terminology.hl7.org/CodeSystem/v2-{table}"


def ours(name: str) -> str:
    """The URI of a table of ours, for French codes that no published CodeSystem holds."""
    return f"{BASE}/CodeSystem/{name}"


SYSTEMS = {  # HL7 table 0396
    "LN": "http://loinc.org", "LOINC": "http://loinc.org", "SCT": "http://snomed.info/sct", "SNM": "http://snomed.info/sct",
    "I10": "http://hl7.org/fhir/sid/icd-10", "ICD10": "http://hl7.org/fhir/sid/icd-10", "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "I9": "http://hl7.org/fhir/sid/icd-9-cm", "I9C": "http://hl7.org/fhir/sid/icd-9-cm", "UCUM": "http://unitsofmeasure.org",
    "CVX": "http://hl7.org/fhir/sid/cvx", "MVX": "http://terminology.hl7.org/CodeSystem/MVX", "NDC": "http://hl7.org/fhir/sid/ndc",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm", "C4": "http://www.ama-assn.org/go/cpt", "CPT": "http://www.ama-assn.org/go/cpt",
    "CDCREC": "urn:oid:2.16.840.1.113883.6.238", "ISO3166_1": "urn:iso:std:iso:3166", "NCIT": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
}  # fmt: skip
_NAMES: dict[str, str] = {}
for _name, _uri in SYSTEMS.items():
    _NAMES.setdefault(_uri, _name)
_HL7 = re.compile(r"HL7(\d{4})\Z")
_V2 = re.compile(r"http://terminology\.hl7\.org/CodeSystem/v2-(\d{4})\Z")


def system(name: str) -> str | None:
    """The URI of a coding system that a message names (CWE.3). A name of the sender's own gets a URI of ours."""
    return _known(name) if len(name) < 40 else _system(name)


def _system(name: str) -> str | None:
    if not valid_text.decode(name, Context()):
        return None
    if name.upper() in SYSTEMS:
        return SYSTEMS[name.upper()]
    found = _HL7.match(name)
    return v2(found[1]) if found else LOCAL + quote(name, safe="")


_known = lru_cache(maxsize=512)(_system)  # a feed names few coding systems


def system_name(uri: Any) -> str:
    """The name of a coding system as messages write it."""
    if not isinstance(uri, str):
        return ""
    if uri in _NAMES:
        return _NAMES[uri]
    found = _V2.match(uri)
    if found:
        return f"HL7{found[1]}"
    return unquote(uri.removeprefix(LOCAL)) if uri.startswith(LOCAL) else uri


def table(rows: Mapping[str, Any]) -> Codec:
    """A code table; the first of several foreign codes for one FHIR code is the one written."""
    back: dict[Any, str] = {}
    for foreign, fhir in rows.items():
        back.setdefault(fhir, foreign)
    return plain(rows.get, lambda value: back.get(value) if isinstance(value, str | bool) else None)


def table_coding(number: str) -> Codec:
    """A bare code of an HL7 table ↔ Coding."""
    uri = v2(number)

    def decode(value: str, context: Context) -> Node | None:
        return {"system": uri, "code": value} if valid_code.decode(value, context) else None

    def encode(coding: Any, _: Context) -> str | None:
        return str(coding["code"]) if isinstance(coding, dict) and coding.get("system") == uri and coding.get("code") else None

    return Codec(decode, encode, exact=True)


def coded(member: str, rows: Mapping[str, str], uri: str, default: str = "", implied: str = "") -> Codec:
    """A code under a required binding: the mapped code in `member`, the original in its alternate-codes extension.

    default  what a code outside the table becomes, where the member is required
    implied  the value a resource has when the message says nothing: it is not written

    decode: "BR" -> {"use": "old", "_use": {"extension": [alternate-codes BR]}}. The original goes out again as long
    as it still means the member; an edited member wins.
    """
    back: dict[str, str] = {}
    for foreign, fhir in rows.items():
        back.setdefault(fhir, foreign)

    def decode(value: str, context: Context) -> Node | None:
        if valid_code.decode(value, context) is None:
            return None
        mapped = rows.get(value, default)
        out: Node = {member: mapped} if mapped else {}
        concept = {"coding": [{"system": uri, "code": value}]}
        out[f"_{member}"] = {"extension": [{"url": ALTERNATE, "valueCodeableConcept": concept}]}
        return out

    def encode(element: Node, _: Context) -> str | None:
        now = element.get(member)
        was = original(element.get(f"_{member}"), uri)
        if was is not None and rows.get(was, default or None) == now:
            return was
        return back.get(now) if isinstance(now, str) and now != implied else None

    return Codec(decode, encode, exact=True, members=frozenset({member, f"_{member}"}))


def original(sidecar: Any, uri: str) -> str | None:
    """The original code that an alternate-codes extension keeps."""
    for extension in (sidecar or {}).get("extension", ()) if isinstance(sidecar, dict) else ():
        if extension.get("url") == ALTERNATE:
            for coding in (extension.get("valueCodeableConcept") or {}).get("coding", ()):
                if coding.get("system") == uri and isinstance(coding.get("code"), str):
                    return str(coding["code"])
    return None


SEX = {"M": "male", "F": "female", "O": "other", "U": "unknown", "A": "other", "N": "other", "X": "other"}  # HL70001
NAME_TYPE = {  # HL70200
    "L": "official", "D": "usual", "A": "anonymous", "B": "maiden", "M": "maiden", "N": "nickname", "S": "anonymous",
    "P": "official", "C": "usual", "T": "temp", "BAD": "old", "R": "official", "I": "official",
}  # fmt: skip
ADDRESS_TYPE = {  # HL70190 and its French extension
    "H": "home", "HP": "home", "L": "home", "O": "work", "B": "work", "C": "temp", "V": "temp", "TM": "temp", "BA": "old",
    "BI": "billing", "P": "home", "VA": "temp", "SA": "temp", "RH": "home", "ASE": "temp",
}  # fmt: skip
TELECOM_USE = {"PRN": "home", "WPN": "work", "ORN": "temp", "VHN": "temp", "PRS": "mobile"}  # HL70201
TELECOM_SYSTEM = {  # HL70202
    "PH": "phone", "CP": "phone", "FX": "fax", "MD": "other", "BP": "pager", "Internet": "email", "X.400": "email",
    "TDD": "other", "TTY": "other", "SAT": "phone", "URL": "url",
}  # fmt: skip
