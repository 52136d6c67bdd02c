"""Holds: home Tasks wait while the person is in hospital, and take up the status they had when the last hold goes.

Several causes may hold one Task (a stay, an absence during it): it resumes when none is left. A hold a person put is
left alone. Scenario S1: on-hold, with the Encounter as its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from icops_fhir.careplan.codes import HOLD, HOME, SETTING, reason
from icops_fhir.careplan.current import Resource, local
from icops_fhir.careplan.task import OPEN, holds, moved, part, without

STAY, ABSENCE = "stay", "absence"


def is_home(task: Resource) -> bool:
    """Done where the person lives: meta.tag `home`."""
    return any(t.get("system") == SETTING and t.get("code") == HOME for t in task.get("meta", {}).get("tag", ()))


def _hold(cause: str, encounter: str, task: Resource) -> dict[str, Any]:
    """What the hold must give back: the status, and the reason of that status."""
    parts: list[dict[str, Any]] = [
        {"url": "cause", "valueCode": cause},
        {"url": "encounter", "valueReference": {"reference": encounter}},
        {"url": "status", "valueCode": task["status"]},
    ]
    if "statusReason" in task:
        parts.append({"url": "reason", "valueCodeableConcept": task["statusReason"]})
    return {"url": HOLD, "extension": parts}


def _again(hold: dict[str, Any], cause: str, encounter: str) -> dict[str, Any]:
    """One more hold of a Task already held: another cause, the same status to give back."""
    new: dict[str, dict[str, Any]] = {"cause": {"valueCode": cause}, "encounter": {"valueReference": {"reference": encounter}}}
    return {"url": HOLD, "extension": [{"url": x["url"], **new[x["url"]]} if x["url"] in new else x for x in hold["extension"]]}


def suspended(task: Resource, cause: str, encounter: str, now: datetime) -> Resource | None:
    """The Task held for one more cause; None when nothing changes."""
    already = holds(task)
    if task["status"] == "on-hold":
        if not already or any(part(h, "cause") == cause and local(part(h, "encounter")) == local(encounter) for h in already):
            return None
        return {**task, "extension": [*task["extension"], _again(already[0], cause, encounter)]}
    if task["status"] not in OPEN:
        return None
    free = without(task, "extension", HOLD)  # a hold its owner lifted by hand is forgotten
    out = moved(free, "on-hold", now, reason(cause))
    out = {**out, "extension": [*free.get("extension", ()), _hold(cause, encounter, task)]}
    return out if "reasonReference" in out else {**out, "reasonReference": {"reference": encounter}}


def resumed(task: Resource, lifted: Callable[[str, str], bool], now: datetime) -> Resource | None:
    """The Task without the holds that `lifted(cause, encounter)` chooses; None when nothing changes."""
    already = holds(task) if task["status"] in OPEN else []  # what is closed stays as it is
    left = [h for h in already if not lifted(part(h, "cause"), local(part(h, "encounter")))]
    if len(left) == len(already):
        return None
    out = without(task, "extension", HOLD)
    ours = {local(part(h, "encounter")) for h in already}
    if local(out.get("reasonReference", {}).get("reference", "")) in ours:
        out = {k: v for k, v in out.items() if k != "reasonReference"}
        if left:
            out["reasonReference"] = {"reference": part(left[0], "encounter")}
    if left:
        return {**out, "extension": [*out.get("extension", ()), *left]}
    if task["status"] != "on-hold":
        return out
    first = already[0]["extension"]
    why = next((x["valueCodeableConcept"] for x in first if x["url"] == "reason"), None)
    return moved(out, part(already[0], "status"), now, why)
