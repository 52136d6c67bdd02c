"""The service put together: FastAPI, FHIR mounted at /fhir, the store, the loops; started and stopped in order.

    serve ─ settings ─ socket bound ─┬─ lifespan: store ─ example ─ loops (mllp, notify, deliver) ─┬─ port open
                                     └──────── SIGTERM: port closed, loops drained, store closed ◄─┘
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import structlog
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from icops_fhir.fhir.issue import FhirError
from icops_fhir.interactions.capabilities import release
from icops_fhir.interactions.request import Service
from icops_fhir.rest import client, health, logs, openapi, server
from icops_fhir.rest.metrics import Meter
from icops_fhir.rest.routes import Fhir
from icops_fhir.settings import Settings, SettingsError, read, refuse_unsafe
from icops_fhir.store import engine
from icops_fhir.store.clock import utc
from icops_fhir.store.protocol import Store

PREFIX = "/fhir"
RESTART_SECONDS = 5.0
log = structlog.get_logger("icops.app")


class Application(FastAPI):
    """FastAPI for the pages and health; FHIR passes beside its routing, which would cost more than a read."""

    settings: Settings
    store: Store | None = None
    fhir: Fhir | None = None
    mllp_address: tuple[str, int] | None = None
    refused: FhirError | None = None        # why it could not start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.fhir is not None and not scope.get("root_path"):
            path = scope["path"]
            if path.startswith("/fhir/") or path == PREFIX:
                await self.fhir(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """FastAPI's own, and the addresses of FHIR from the registries."""
        if self.openapi_schema is None:
            said = super().openapi()
            said["paths"] = {**openapi.paths(PREFIX), **said.get("paths", {})}
        return self.openapi_schema or {}

    def opened(self, store: Store) -> None:
        """From now on FHIR answers from this store."""
        self.store = store
        settings = self.settings
        service = Service(
            store, utc, bundle_entries=settings.bundle_entries, page_size=settings.page_size, page_limit=settings.page_limit,
        )
        self.fhir = Fhir(service, self.state.meter, token=settings.token, prefix=PREFIX, base_url=settings.base_url,
                         body_limit=settings.body_limit, at_once=settings.http_connections)
        self.state.meter.gauges["change_feed_sequence"] = lambda: float(store.sequence)


def build(settings: Settings, *, store: Store | None = None) -> Application:
    """The application; without a store, its lifespan opens the one of the settings, runs the loops and closes it."""
    meter = Meter()
    app = Application(title="icops-fhir", version=release(), lifespan=_lifespan if store is None else None, redoc_url=None)
    app.settings, app.state.meter = settings, meter
    app.include_router(health.router(lambda: app.store, meter, settings.token))

    async def fhir(scope: Scope, receive: Receive, send: Send) -> None:
        assert app.fhir is not None
        await app.fhir(scope, receive, send)

    app.mount(PREFIX, fhir)
    if store is not None:
        app.opened(store)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, Application)
    settings = app.settings
    try:
        store = await asyncio.to_thread(engine.open, settings.database_url, queue=settings.write_queue, seconds=settings.search_seconds)
    except FhirError as error:
        app.refused = error
        raise
    try:
        app.opened(store)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_kept(name, loop), name=name) for name, loop in _loops(app, store)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(settings.drain_seconds):
                        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await asyncio.to_thread(store.close)


def _loops(app: Application, store: Store) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    """What runs beside HTTP."""
    return []


async def _kept(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """A loop that fails is said and started again; only the end of the service ends it."""
    while True:
        try:
            await loop()
            return
        except Exception as error:
            log.error("loop failed", loop=name, error=type(error).__name__, again_in=RESTART_SECONDS)
            await asyncio.sleep(RESTART_SECONDS)


def serve(args: argparse.Namespace) -> int:
    """`icops-fhir serve [--example --host --port --mllp-port]`"""
    try:
        settings = read(os.environ, **{name: getattr(args, name, None) for name in ("host", "port", "mllp_port")})
        refuse_unsafe(settings)
        listener = server.bind(settings.host, settings.port)
    except SettingsError as error:
        return _cannot(str(error))
    except OSError as error:
        return _cannot(f"{settings.host}:{settings.port}: {error.strerror}. Choose another with --port. / Choisissez-en un autre avec --port.")
    logs.configure(settings.log_level)
    app = build(settings)
    port = listener.getsockname()[1]
    started = server.run(app, listener, drain_seconds=settings.drain_seconds, opened=lambda: _say(app, port))
    if app.refused is not None:
        return _cannot(_both(app.refused))
    return 0 if started else 1


def load(args: argparse.Namespace) -> int:
    """`icops-fhir load FILE|DIR…`: to the running server, else into its database, under the lock."""
    settings = read(os.environ)
    paths = [Path(name) for name in args.files]
    try:
        store = engine.open(settings.database_url)
    except FhirError as error:
        if error.issues[0].rule != "icops-store-locked":
            return _cannot(_both(error))
        sent = asyncio.run(_load(settings, paths, None))
    else:
        try:
            sent = asyncio.run(_load(settings, paths, store))
        finally:
            store.close()
    for item in sent:
        print(f"{item.status}  {item.name}{'  ' + item.said if item.said else ''}")
    return 0 if all(item.status < 300 for item in sent) else 1


async def _load(settings: Settings, paths: list[Path], store: Store | None) -> list[client.Sent]:
    transport = httpx.ASGITransport(app=build(settings, store=store)) if store is not None else None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}:{settings.port}{PREFIX}/", headers=headers, timeout=120) as web:
        return await client.load(web, paths)


def _say(app: Application, port: int) -> None:
    """The addresses, and three things to try."""
    settings = app.settings
    web = f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{port}"
    print(f"FHIR   {web}{PREFIX}\nDocs   {web}/docs", flush=True)
    if app.mllp_address is not None:
        print("MLLP   {}:{}".format(*app.mllp_address), flush=True)
    mllp = "{}:{}".format(*app.mllp_address) if app.mllp_address else "HOST:PORT"
    print(
        f"\nTry / Essayez :\n"
        f"  curl {web}{PREFIX}/metadata                  # what this server can do / ce que sait faire ce serveur\n"
        f"  curl '{web}{PREFIX}/CarePlan?status=active'  # the active care plans / les parcours en cours\n"
        f"  icops-fhir send {mllp} examples/hl7v2        # hospital messages / des messages d'hôpital\n", flush=True)


def _both(error: FhirError) -> str:
    return "\n".join(f"{issue.diagnostics} / {issue.french}" for issue in error.issues)


def _cannot(text: str) -> int:
    print(text, file=sys.stderr)
    return 1
