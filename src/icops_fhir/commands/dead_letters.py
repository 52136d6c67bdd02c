"""`icops-fhir dead-letters list|replay [KEY…]`: the messages that could not be applied, and another try after a fix.

Asks the running server (`$dead-letters`); without one, works on its database under the lock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from icops_fhir.exchange import dead_letters, sites
from icops_fhir.exchange.inbound import Inbound
from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import dumps, loads
from icops_fhir.rest import client
from icops_fhir.settings import Settings, SettingsError, read
from icops_fhir.store import engine
from icops_fhir.store.protocol import Store

SECONDS = 300.0
LOCKED = "icops-store-locked"


def run(args: argparse.Namespace) -> int:
    """Lists them, or replays those named (all without a name); 0 when every replay was accepted."""
    try:
        settings = read(os.environ)
        found = _asked(settings, args.action, list(getattr(args, "keys", None) or ()))
    except (FhirError, SettingsError, OSError, httpx.HTTPError) as error:
        print(_both(error), file=sys.stderr)
        return 1
    for item in found:
        print("  ".join(filter(None, map(str, (item.get("code"), item["key"], item.get("received"), item.get("event"), item.get("sender"), *item["reasons"])))))
    return 0 if args.action == "list" or all(item.get("code") == "AA" for item in found) else 1


def _asked(settings: Settings, action: str, keys: list[str]) -> list[dict[str, Any]]:
    try:
        store = engine.open(settings.database_url)
    except FhirError as error:
        if error.issues[0].rule != LOCKED:
            raise
        try:
            return _online(settings, action, keys)
        except httpx.ConnectError:
            raise client.unreachable(f"http://{settings.host}:{settings.port}") from None
    try:
        return [_shown(item) for item in _offline(settings, store, action, keys)]
    finally:
        store.close()


def _offline(settings: Settings, store: Store, action: str, keys: list[str]) -> list[dict[str, Any]]:
    if action == "replay":
        senders = sites.load(Path(settings.sites).read_bytes()) if settings.sites else {}
        return asyncio.run(dead_letters.replay(Inbound(store, sites.finder(senders)), keys))
    found: list[dict[str, Any]] = []
    after: str | None = None
    while page := store.view(partial(dead_letters.listed, after=after)):
        found += page
        after = page[-1]["key"]
    return found


def _online(settings: Settings, action: str, keys: list[str]) -> list[dict[str, Any]]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    with httpx.Client(base_url=f"http://{host}:{settings.port}/fhir/", headers=headers, timeout=SECONDS) as web:
        if action == "replay":
            body = {"resourceType": "Parameters", "parameter": [{"name": "key", "valueString": key} for key in keys]}
            answer = web.post("$dead-letters", content=dumps(body), headers={"Content-Type": "application/fhir+json"})
            return _parameters(answer)
        found: list[dict[str, Any]] = []
        while page := _parameters(web.get("$dead-letters", params={"after": found[-1]["key"]} if found else {})):
            found += page
        return found


def _parameters(answer: httpx.Response) -> list[dict[str, Any]]:
    answer.raise_for_status()
    letters = [item.get("part", []) for item in loads(answer.content).get("parameter", ())]
    return [
        {**{p["name"]: p["valueString"] for p in parts if "valueString" in p}, "reasons": [p["valueString"] for p in parts if p["name"] == "reason"]}
        for parts in letters
    ]


def _shown(letter: dict[str, Any]) -> dict[str, Any]:
    return {**letter, "reasons": [reason["text"] for reason in letter.get("reasons", ())]}


def _both(error: Exception) -> str:
    return "\n".join(f"{issue.diagnostics} / {issue.french}" for issue in error.issues) if isinstance(error, FhirError) else str(error)
