"""`icops-fhir load FILE|DIR…`: resources, Bundles or NDJSON, to the running server, else into its database, under the lock.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import httpx

from icops_fhir.app import PREFIX, bearer, build, host
from icops_fhir.fhir.issue import FhirError
from icops_fhir.rest import client, logs
from icops_fhir.settings import Settings, SettingsError, read
from icops_fhir.store import engine
from icops_fhir.store.protocol import Store

SECONDS = 120.0


def run(args: argparse.Namespace) -> int:
    """Prints the status of each file; 0 when all were accepted."""
    try:
        settings = read(os.environ)
        logs.configure("warning")
        sent = _sent(settings, [Path(name) for name in args.files])
    except (FhirError, SettingsError, httpx.HTTPError) as error:
        print(_both(error), file=sys.stderr)
        return 1
    for item in sent:
        print(f"{item.status}  {item.name}{'  ' + item.said if item.said else ''}")
    return 0 if all(item.status < 300 for item in sent) else 1


def _sent(settings: Settings, paths: list[Path]) -> list[client.Sent]:
    try:
        store = engine.open(settings.database_url)
    except FhirError as error:
        if error.issues[0].rule != "icops-store-locked":
            raise
        try:
            return asyncio.run(_load(settings, paths, None))
        except httpx.ConnectError:
            raise client.unreachable(f"http://{host(settings)}:{settings.port}") from None
    try:
        return asyncio.run(_load(settings, paths, store))
    finally:
        store.close()


async def _load(settings: Settings, paths: list[Path], store: Store | None) -> list[client.Sent]:
    transport = httpx.ASGITransport(app=build(settings, store=store)) if store is not None else None
    place = f"http://{host(settings)}:{settings.port}{PREFIX}/"
    async with httpx.AsyncClient(transport=transport, base_url=place, headers=bearer(settings), timeout=SECONDS) as web:
        return await client.load(web, paths)


def _both(error: Exception) -> str:
    return "\n".join(f"{issue.diagnostics} / {issue.french}" for issue in error.issues) if isinstance(error, FhirError) else str(error)
