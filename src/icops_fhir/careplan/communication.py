"""Communication: the notices of a pathway, one per recipient, their counter-notices and corrections.

https://hl7.org/fhir/R4/communication.html. status `preparation` = to be sent; the delivery ledger moves it on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from icops_fhir.careplan import team
from icops_fhir.careplan.codes import CATEGORY, MADE_BY, NOTICE_ID, REASON, reason
from icops_fhir.careplan.current import Resource, local
from icops_fhir.careplan.event import Event, identifier, made_id
from icops_fhir.careplan.task import part
from icops_fhir.careplan.when import french

PENDING = ("preparation", "in-progress", "on-hold")
# What tells a counter-notice, a correction or a word to an owner from a first notice.
COUNTER, CORRECTION = "movement-cancelled", "movement-corrected"
SENDER = {"type": "Device", "display": "icops-fhir"}


def made_by(event: Event, kind: str, date: str) -> dict[str, Any]:
    """The extension that says which movement made a Task or a notice, and on what date it rests."""
    parts: list[dict[str, Any]] = [
        {"url": "identifier", "valueIdentifier": identifier(event.movement)},
        {"url": "event", "valueCode": kind},
    ]
    if date:
        parts.append({"url": "date", "valueDateTime": date})
    if event.recorded:
        parts.append({"url": "recorded", "valueDateTime": event.recorded})
    return {"url": MADE_BY, "extension": parts}


def maker(resource: Resource) -> dict[str, Any]:
    """That extension, {} when no movement made the resource."""
    return next((x for x in resource.get("extension", ()) if x.get("url") == MADE_BY), {})


def maker_identifier(resource: Resource) -> dict[str, Any]:
    """The movement that made the resource, {} when none did."""
    found = (x["valueIdentifier"] for x in maker(resource).get("extension", ()) if x.get("url") == "identifier")
    return next(found, {})


def _message(id: str, plan: Resource, recipient: dict[str, Any], why: dict[str, Any], text: str, about: list[str],
             urgent: bool = False) -> Resource:  # fmt: skip
    return {
        "resourceType": "Communication",
        "id": id,
        "identifier": [{"system": NOTICE_ID, "value": id}],
        "basedOn": [{"reference": f"CarePlan/{plan['id']}"}],
        "status": "preparation",
        "category": [{"coding": [{"system": CATEGORY, "code": "alert" if urgent else "notification"}]}],
        "priority": "urgent" if urgent else "routine",
        "subject": plan["subject"],
        "about": [{"reference": r} for r in about],
        "recipient": [recipient],
        "sender": SENDER,
        "reasonCode": [why],
        "payload": [{"contentString": text}],
    }


def notice(event: Event, kind: str, plan: Resource, recipient: dict[str, Any], text: str, date: str, *salt: str) -> Resource:
    """The first notice of a movement to one recipient."""
    base = kind.partition("-")[0] if kind.startswith("discharge-") else kind
    id = made_id(event.movement, plan["id"], "notice", base, team.key(recipient), *salt)
    words = text.replace("{date}", french(date))
    out = _message(id, plan, recipient, reason(base), words, [event.encounter] if event.encounter else [], kind == "death")
    if event.encounter:
        out["encounter"] = {"reference": event.encounter}
    else:
        del out["about"]
    out["extension"] = [made_by(event, kind, date)]
    return out


def _following(first: Resource, id: str, plan: Resource, why: dict[str, Any], text: str) -> Resource:
    """A message to exactly the recipients of a first one, in answer to it."""
    out = _message(id, plan, {}, why, text, [])
    out["recipient"] = first.get("recipient", [])
    out |= {k: first[k] for k in ("encounter", "about") if k in first}
    if not out["about"]:
        del out["about"]
    return {**out, "inResponseTo": [{"reference": f"Communication/{first['id']}"}]}


def _said(first: Resource) -> str:
    return next((str(p["contentString"]) for p in first.get("payload", ()) if "contentString" in p), "")


def counter_notice(first: Resource, plan: Resource, urgent: bool = False) -> Resource:
    """The notice that takes a first notice back."""
    text = f"Annulation : l'information suivante est annulée par l'établissement. « {_said(first)} » Les tâches qui en découlaient sont annulées."
    return _following(first, made_id("counter", first["id"]), plan, reason(COUNTER), text)


def correction(first: Resource, event: Event, kind: str, plan: Resource, date: str) -> Resource:
    """The notice that a movement is corrected: its date, or where the person goes."""
    text = f"Rectification de l'établissement : {french(date)}, au lieu de ce qui était annoncé. « {_said(first)} »"
    id = made_id("correction", first["id"], kind, date)
    return _following(first, id, plan, reason(CORRECTION), text) | {"extension": [made_by(event, kind, date)]}


def to_owner(task: Resource, plan: Resource, code: str, text: str, date: str = "") -> Resource | None:
    """A word to the owner of a Task that somebody had taken; None when nobody can be told."""
    recipient = task.get("owner")
    if not recipient or not team.may_receive(recipient):
        return None
    about = [f"Task/{task['id']}"] + ([r] if (r := task.get("encounter", {}).get("reference", "")) else [])
    out = _message(made_id("owner", task["id"], code, date), plan, recipient, reason(code), text, about)
    if task.get("encounter"):
        out["encounter"] = task["encounter"]
    return out


def codes(message: Resource) -> set[str]:
    """Our reason codes on a message."""
    return {c["code"] for r in message.get("reasonCode", ()) for c in r.get("coding", ()) if c.get("system") == REASON}


def firsts(notices: Iterable[Resource]) -> list[Resource]:
    """The first notices of movements among messages."""
    return [n for n in notices if maker(n) and not n.get("inResponseTo")]


def standing(notices: Sequence[Resource]) -> list[Resource]:
    """The first notices that no counter-notice answers."""
    answered = {local(r.get("reference", "")) for n in notices if COUNTER in codes(n) for r in n.get("inResponseTo", ())}
    return [n for n in firsts(notices) if f"Communication/{n['id']}" not in answered]


def told_last(first: Resource, notices: Iterable[Resource]) -> tuple[str, str]:
    """(event, date) that the recipients of a notice know: its own, or that of the latest correction."""
    said = [(part(maker(first), "recorded"), part(maker(first), "event"), part(maker(first), "date"))]
    for n in notices:
        if CORRECTION in codes(n) and any(local(r.get("reference", "")) == f"Communication/{first['id']}" for r in n.get("inResponseTo", ())):
            said.append((part(maker(n), "recorded"), part(maker(n), "event"), part(maker(n), "date")))
    return max(said, key=lambda s: s[0])[1:]
