"""A47: an identifier is changed, withdrawn, or an INS loses its qualification. The content decides, not the trigger.

PAM-FR §4.4: MRG-1 is the old identifier; PID-3 the new one, or `""` with its authority to withdraw it. A withdrawn INS
leaves the current resources, the kept translations and what feeds last sent; those who received it are to be warned.
"""

from __future__ import annotations

from typing import Any

from icops_fhir.exchange import doubts, feed, identity, keys, merge, patients
from icops_fhir.exchange.work import Work
from icops_fhir.fhir.json import Resource, canonical, dumps, loads
from icops_fhir.mappers.v2.er7 import NULL, Message
from icops_fhir.mappers.v2.site import Site

MANY = 100_000


def subject(work: Work, message: Message, site: Site) -> str:
    """The file whose identifier it is: by the number in PID-3, else the old identifier in MRG-1; "" when unknown."""
    pid, mrg = message.first("PID"), message.first("MRG")
    said = [i for value, i in patients.identifiers(pid, 3, site) if value != NULL] if pid else []
    old = [i for _, i in patients.identifiers(mrg, 1, site)] if mrg else []
    for group in (said, old):
        number = identity.internal({"identifier": group})
        if number and (found := patients.by_number(work, number)):
            return found
    for number in (*old, *said):
        if not identity.is_ins(number) and not identity.key(number, work.sender).startswith(identity.SENDER):
            holders = {patients.survivor(work, f"Patient/{p['id']}") for p in work.identified("Patient", number)}
            if len(holders) == 1 and "NH" not in identity.codes(number):
                return holders.pop()
    for group in (old, said):
        holding = patients.by_ins(work, {"identifier": group})
        if len(holding) == 1:
            return f"Patient/{holding[0]['id']}"
    for number in (i for i in old if identity.is_ins(i)):
        record = work.record(keys.QUALIFIED, work.id("INS", work.sender, identity.key(number, "")))
        if record is not None:
            return str(loads(record.body))
    return ""


def remember(work: Work, number: Resource, file: str) -> None:
    """This sender qualified this INS for this file; should it lose its status first, an A47 still finds what to purge."""
    work.note(keys.QUALIFIED, work.id("INS", work.sender, identity.key(number, "")), dumps(file), owner=file)


def apply(work: Work, message: Message, site: Site, patient: str) -> None:
    """Changes or withdraws the identifiers of MRG-1 on this Patient."""
    pid, mrg = message.first("PID"), message.first("MRG")
    if pid is None:
        return
    old = [i for _, i in patients.identifiers(mrg, 1, site)] if mrg else []
    said = patients.identifiers(pid, 3, site)
    withdrawn = [i for value, i in said if value == NULL]
    new = [i for value, i in said if value != NULL]
    if message.get("PID-32") != identity.QUALIFIED:
        new = [i for i in new if not identity.is_ins(i)]
    gone = [
        i for i in old
        if not any(identity.key(i, work.sender) == identity.key(n, work.sender) for n in new)
        and (identity.is_ins(i) or any(_alike(i, n) for _, n in said))  # the others of MRG-1 only say who it is
    ]  # fmt: skip
    for number in (i for i in gone if identity.is_ins(i)):
        work.note(keys.WITHDRAWN, f"{work.sender}|{identity.key(number, '')}", dumps(work.stamp), owner=patient)
    current = work.get(patient) if patient else None
    if current is None:
        return
    current = _changed(work, current, gone, new)
    for number in (*new, *old):
        if "PI" in identity.codes(number) and not patients.by_number(work, number):
            patients.register(work, number, patient)
    work.put(current)
    lost = [i for i in (*gone, *withdrawn) if identity.is_ins(i)]
    if lost:
        whole = any(identity.is_ins(i) for i in withdrawn)
        values = {str(i["value"]) for i in gone if identity.is_ins(i) and i.get("value") != "?"}
        if whole:
            held = identity.ins(work.get(patient) or {})
            values |= {str(i["value"]) for i in held}
            for number in held:
                work.note(keys.WITHDRAWN, f"{work.sender}|{identity.key(number, '')}", dumps(work.stamp), owner=patient)
        purge(work, patient, values)
        if whole:
            warn(work, patient)


def stale(work: Work, number: Resource) -> bool:
    """Whether this sender has since withdrawn this INS."""
    record = work.record(keys.WITHDRAWN, f"{work.sender}|{identity.key(number, '')}")
    return record is not None and str(loads(record.body)) >= work.stamp


def _changed(work: Work, patient: Resource, gone: list[Resource], new: list[Resource]) -> Resource:
    """Old numbers of a hospital are kept as old, so that late messages find their patient; other identifiers go."""
    leaving = {identity.key(i, work.sender): i for i in gone}
    out = []
    replaced = {i for n in new for i, g in leaving.items() if _alike(g, n)}
    for item in patient.get("identifier", ()):
        key = identity.key(item, work.sender)
        if key not in leaving or bool(identity.codes(item) & identity.codes(leaving[key])) != bool(identity.codes(leaving[key])):
            out.append(item)
        elif key in replaced and "PI" in identity.codes(item):
            out.append({**item, "use": "old"})
    here = {identity.key(i, work.sender) for i in out}
    out += [{**feed.bare(g), "use": "old"} for k, g in leaving.items() if k in replaced and k not in here and "PI" in identity.codes(g)]
    mine = {identity.key(n, work.sender) for n in new if patients.by_number(work, n) in ("", f"Patient/{patient['id']}")}
    out = [{name: v for name, v in i.items() if name != "use"} if i.get("use") == "old" and identity.key(i, work.sender) in mine else i for i in out]
    known = {identity.key(i, work.sender) for i in out}
    out += [feed.bare(n) for n in new if identity.key(n, work.sender) not in known]
    kept = {name: value for name, value in patient.items() if name != "identifier"}
    sent = work.sent(f"Patient/{patient['id']}")
    told = dict(sent)
    for unit, (_, value) in sent.items():
        if unit.startswith(identity.NUMBERS) and any(identity.key(i, work.sender) in leaving for i in value):
            told[unit] = [work.stamp, [i for i in value if identity.key(i, work.sender) not in leaving]]
    for number in new:
        told[identity.unit(number)] = [work.stamp, [feed.bare(number)]]
        if identity.is_ins(number):
            work.note(keys.INS_SAID, f"{work.sender}|Patient/{patient['id']}", b"{}", owner=f"Patient/{patient['id']}")
    work.note(keys.FEED, f"{work.sender}|Patient/{patient['id']}", dumps(told), owner=f"Patient/{patient['id']}")
    return {**kept, "identifier": out} if out else kept


def _alike(one: Resource, other: Resource) -> bool:
    return feed.kind(one) == feed.kind(other) or bool(identity.codes(one) & identity.codes(other))


def purge(work: Work, patient: str, values: set[str]) -> None:
    """Takes these INS away from what is current: resources, kept translations, feed snapshots. History is history."""
    if not values:
        return
    family = [patient]
    for one in family:  # grows: a file merged into one that was merged itself
        family += [record.key for record in work.tx.records(keys.MERGED, owner=one, limit=MANY) if record.key not in family]
        for resource in [work.get(one), *merge.compartment(work, one)]:
            if resource is not None and _holds(resource, values):
                work.put(without(resource, values))
        senders = set()
        for record in work.tx.records(keys.FEED, owner=one, limit=MANY):
            senders.add(record.key.rpartition("|")[0])
            if _holds(body := loads(record.body), values):
                work.note(keys.FEED, record.key, dumps(without(body, values)), owner=one)
        for sender in senders:
            for record in work.tx.records(keys.TRANSLATION, owner=keys.feed(sender, one), limit=MANY):
                if _holds(body := loads(record.body), values):
                    work.note(keys.TRANSLATION, record.key, dumps(without(body, values)), owner=record.owner, due=record.due)


def _holds(node: Any, values: set[str]) -> bool:
    text = canonical(node).decode()
    return any(value in text for value in values)


def without(node: Any, values: set[str]) -> Any:
    """The same, without the identifiers and carried leaves that are one of these INS; an NH of the same number stays."""
    if isinstance(node, dict):
        found = {name: (child, without(child, values)) for name, child in node.items() if not (isinstance(child, dict) and _is(child, values))}
        return {name: left for name, (child, left) in found.items() if left not in ({}, []) or child in ({}, [])}
    if isinstance(node, list):
        left = [(child, without(child, values)) for child in node if not (isinstance(child, dict) and _is(child, values))]
        return [one for child, one in left if one != {} or child == {}]
    return node


def _is(item: dict[str, Any], values: set[str]) -> bool:
    if item.get("value") in values and "system" in item:
        return identity.is_ins(item) or not identity.codes(item)
    if "url" not in item:
        return False
    parts = item.get("extension", [])
    simple = [part for part in (item, *parts) if "extension" not in part]
    return any(isinstance(v, str) and any(value in v for value in values) for part in simple for k, v in part.items() if k.startswith("value"))


def warn(work: Work, patient: str) -> None:
    """The Task of the identity cell that lists who was told: care team, owners of tasks, recipients of communications."""
    told: dict[str, None] = {}
    for resource in merge.compartment(work, patient):
        if resource["resourceType"] == "CareTeam":
            found = [p.get("member", {}) for p in resource.get("participant", ())]
        elif resource["resourceType"] == "Task":
            found = [resource.get("owner", {})]
        elif resource["resourceType"] in ("Communication", "CommunicationRequest"):
            found = resource.get("recipient", [])
        else:
            continue
        told |= dict.fromkeys(str(f["reference"]) for f in found if f.get("reference") and f["reference"] != patient)
    id_ = work.id("Task", "ins-withdrawn", patient, work.stamp)
    work.put(doubts.task(id_, "ins-withdrawn", patient, (), work.tx.instant, [("recipient", r) for r in told]))
