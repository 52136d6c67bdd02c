"""Two files of one patient become one (A40), a dossier goes to another patient (A44), files are linked (A24, A37).

PAM-FR §2.1, §5.1.2; HL7 v2.5.1 §3.3.24, §3.3.37, §3.3.40, §3.3.44; https://hl7.org/fhir/R4/patient.html#links.
A merge with oneself, a merge said twice, and the reverse of a merge already done change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from icops_fhir.exchange import doubts, identity, keys, patients
from icops_fhir.exchange.ledger import every
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.issue import Issue
from icops_fhir.fhir.json import Resource, dumps, loads
from icops_fhir.fhir.packages import definitions
from icops_fhir.fhir.reference import walk
from icops_fhir.mappers.v2.er7 import Message, Segment
from icops_fhir.mappers.v2.site import Site

HISTORY = ("Provenance", "AuditEvent", "Patient", "MessageHeader")  # they say what was, or are linked otherwise
BESIDE = (("Task", "subject"), ("Task", "focus"), ("Task", "owner"), ("Task", "requester"))  # not in the Patient compartment of R4
BY_ENCOUNTER = (
    "Task", "Observation", "Condition", "Procedure", "Communication", "CommunicationRequest", "Flag", "ServiceRequest",
    "DiagnosticReport", "DocumentReference", "Composition", "RiskAssessment", "ClinicalImpression", "QuestionnaireResponse",
)  # fmt: skip


def pairs(message: Message) -> Iterator[tuple[Segment, Segment]]:
    """Each MRG with the PID it follows: an A40 may hold several."""
    pid: Segment | None = None
    for segment in message.segments:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "MRG" and pid is not None:
            yield pid, segment


def a40(work: Work, message: Message, site: Site, patient: str) -> None:
    """The Patients named by MRG-1 end, and `patient` (or the one of their own PID) stands for them."""
    for pid, mrg in pairs(message):
        into = patients.survivor(work, _named(work, pid, 3, site) or patient)
        number = identity.internal({"identifier": _numbers(mrg, 1, site)})  # a file is named by its hospital's number, never by an INS
        if number is None:
            work.issues.append(Issue("warning", "business-rule", "MRG-1 holds no number of a hospital: nothing was merged.", ("MRG-1",),
                                     rule="icops-merge-unnamed", french="MRG-1 ne contient aucun numéro d'établissement : rien n'a été fusionné."))  # fmt: skip
            continue
        old = patients.by_number(work, number) or _stub(work, number)
        if old == into or patients.survivor(work, old) == into:
            if old == into:
                _refuse(work, into)
            continue
        join(work, patients.survivor(work, old), into)
        if patients.survivor(work, old) != into:
            _refuse(work, into)


def join(work: Work, old: str, into: str, use: str = "old") -> None:
    """`old` is replaced by `into`: links, numbers and references follow. `use` = "" where its numbers are still in use."""
    ended, kept = work.get(old), work.get(into)
    if ended is None or kept is None or old == into or patients.survivor(work, into) == old:
        return
    work.put({**ended, "active": False, "link": _link(ended, into, "replaced-by")})
    known = {identity.key(i, work.sender) for i in kept.get("identifier", ())}
    moved = [{**i, "use": use} if use else i for i in ended.get("identifier", ()) if not identity.is_ins(i) and identity.key(i, work.sender) not in known]
    survivor = {**kept, "link": _link(kept, old, "replaces")}
    if moved:
        survivor["identifier"] = [*kept.get("identifier", ()), *moved]
    work.put(survivor)
    work.note(keys.MERGED, old, dumps({"into": into, "at": work.stamp}), owner=into)
    follow(work, compartment(work, old), old, into)


def _link(patient: Resource, other: str, type_: str) -> list[Resource]:
    links = [link for link in patient.get("link", ()) if link.get("other", {}).get("reference") != other]
    return [*links, {"other": {"reference": other}, "type": type_}]


def compartment(work: Work, patient: str) -> list[Resource]:
    """Everything about a patient, changes of this message included."""
    found: dict[str, Resource] = {}
    rows = (definitions().compartment("Patient") or {}).get("resource", ())
    for type_, parameter in [*((row["code"], parameter) for row in rows for parameter in row.get("param", ())), *BESIDE]:
        if type_ not in HISTORY:
            found.update({f"{type_}/{r['id']}": r for r in work.search(type_, (parameter, patient))})
    for resource in work.staged():
        if resource["resourceType"] not in HISTORY:
            found[f"{resource['resourceType']}/{resource['id']}"] = resource
    return list(found.values())


def follow(work: Work, resources: Iterable[Resource], old: str, new: str) -> None:
    """Their references to `old` now point to `new`."""
    for resource in resources:
        copy: Resource = loads(dumps(resource))
        hits = [element for element, _ in walk(copy) if element["reference"] == old]
        for element in hits:
            element["reference"] = new
        if hits:
            work.put(copy)


def a44(work: Work, message: Message, site: Site, patient: str) -> None:
    """The dossiers of MRG-3 (else PID-18) are now `patient`'s, with their venues, movements and Tasks."""
    for pid, mrg in pairs(message):
        into = patients.survivor(work, _named(work, pid, 3, site) or patient)
        for file in _numbers(mrg, 3, site) or _numbers(pid, 18, site):
            dossier = identity.key(file, work.sender)
            record = work.record(keys.DOSSIER, dossier)
            if record is not None and loads(record.body)["at"] > work.stamp:
                continue
            work.note(keys.DOSSIER, dossier, dumps({"patient": into, "at": work.stamp}), owner=into)
            _move(work, dossier, into)


def _move(work: Work, dossier: str, into: str) -> None:
    moved: dict[str, Resource] = {}
    before: set[str] = set()
    for record in list(every(work.tx, keys.VENUE, dossier)):
        place = loads(record.body)
        before.add(patients.survivor(work, place["patient"]))
        stays = [f"Encounter/{e['id']}" for e in work.search("Encounter", ("part-of", place["encounter"]))]
        for stay in (place["encounter"], *stays):
            encounter = work.get(stay)
            if encounter is not None:
                before.add(str(encounter.get("subject", {}).get("reference", into)))
                moved[stay] = encounter
            for type_ in BY_ENCOUNTER:
                moved.update({f"{type_}/{r['id']}": r for r in work.search(type_, ("encounter", stay))})
        work.note(keys.VENUE, record.key, dumps({**place, "patient": into}), owner=dossier)
    account = f"Account/{work.id('Account', dossier)}"
    if (found := work.get(account)) is not None:
        moved[account] = found
        before.update(str(s.get("reference")) for s in found.get("subject", ()))
    for old in sorted(before - {into}):
        follow(work, list(moved.values()), old, into)
        moved = {reference: work.get(reference) or resource for reference, resource in moved.items()}


def linked(work: Work, message: Message, site: Site) -> None:
    """A24 says that two files are of one person who keeps both; A37 unsays it."""
    found = [_named(work, pid, 3, site) for pid in message.named("PID")]
    one, other = [*found, "", ""][:2]
    if not one or not other or one == other:
        return
    for mine, theirs in ((one, other), (other, one)):
        patient = work.get(mine)
        if patient is None:
            continue
        links = [k for k in patient.get("link", ()) if (k.get("other", {}).get("reference"), k.get("type")) != (theirs, "seealso")]
        if message.event == "A24":
            links.append({"other": {"reference": theirs}, "type": "seealso"})
        kept = {name: value for name, value in patient.items() if name != "link"}
        work.put({**kept, "link": links} if links else kept)


def _numbers(segment: Segment, field: int, site: Site) -> list[Resource]:
    return [identifier for value, identifier in patients.identifiers(segment, field, site) if value != '""']


def _named(work: Work, segment: Segment, field: int, site: Site) -> str:
    number = identity.internal({"identifier": _numbers(segment, field, site)})
    return patients.by_number(work, number) if number else ""


def _stub(work: Work, number: Resource) -> str:
    """A file that is merged before its own messages come: they will find the survivor through it."""
    id_ = work.id("Patient", identity.key(number, work.sender))
    work.put({"resourceType": "Patient", "id": id_, "active": False, "identifier": [number]})
    patients.register(work, number, f"Patient/{id_}")
    return f"Patient/{id_}"


def _refuse(work: Work, patient: str) -> None:
    french, english = doubts.DOUBTS["merge-refused"]
    work.issues.append(Issue("warning", "business-rule", english, ("MRG-1",), rule="icops-merge-refused", french=french))
