"""The service put together: FastAPI, FHIR mounted at /fhir, the store, the loops; started and stopped in order.

    serve ─ settings ─ socket bound ─┬─ lifespan: store ─ example ─ loops (mllp, notify, deliver) ─┬─ port open
                                     └──────── SIGTERM: port closed, loops drained, store closed ◄─┘
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import structlog
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from icops_fhir.exchange import sites
from icops_fhir.exchange.inbound import Inbound
from icops_fhir.exchange.route import Route, routes
from icops_fhir.exchange.sites import finder
from icops_fhir.fhir.issue import FhirError
from icops_fhir.fhir.json import loads
from icops_fhir.interactions.capabilities import release
from icops_fhir.interactions.request import Service
from icops_fhir.mappers.v2.site import Site
from icops_fhir.mllp import server as mllp
from icops_fhir.mllp.connection import Wire
from icops_fhir.rest import client, health, openapi
from icops_fhir.rest.metrics import Meter
from icops_fhir.rest.routes import Fhir
from icops_fhir.settings import Settings, SettingsError
from icops_fhir.store import engine
from icops_fhir.store.clock import utc
from icops_fhir.store.protocol import Store
from icops_fhir.subscriptions import subscription
from icops_fhir.subscriptions.endpoint import Policy
from icops_fhir.workers import deliver, notify

PREFIX = "/fhir"
RESTART_SECONDS = 5.0
log = structlog.get_logger("icops.app")


class Application(FastAPI):
    """FastAPI for the pages and health; FHIR passes beside its routing, which would cost more than a read."""

    settings: Settings
    store: Store | None = None
    fhir: Fhir | None = None
    mllp_address: tuple[str, int] | None = None
    example: bool = False
    base: str = ""                          # where others find FHIR
    refused: FhirError | SettingsError | None = None

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

    def opened(self, store: Store, **extras: Any) -> None:
        """From now on FHIR answers from this store."""
        self.store = store
        settings = self.settings
        policy = Policy(settings.subscribers)
        service = Service(
            store, utc, bundle_entries=settings.bundle_entries, page_size=settings.page_size, page_limit=settings.page_limit,
            checks={"Subscription": lambda resource: subscription.check(resource, policy, utc())}, extras=extras,
        )
        self.fhir = Fhir(service, self.state.meter, token=settings.token, prefix=PREFIX, base_url=settings.base_url,
                         body_limit=settings.body_limit, at_once=settings.http_connections)
        self.state.meter.gauges["change_feed_sequence"] = lambda: float(store.sequence)


def build(settings: Settings, *, store: Store | None = None) -> Application:
    """The application; without a store, its lifespan opens the one of the settings, runs the loops and closes it."""
    meter = Meter()
    app = Application(title="icops-fhir", version=release(), lifespan=_lifespan if store is None else None, redoc_url=None)
    app.settings, app.state.meter = settings, meter
    app.base = settings.base_url.rstrip("/") or f"http://{host(settings)}:{settings.port}{PREFIX}"
    app.include_router(health.router(lambda: app.store, meter, settings.token))

    async def fhir(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":        # FHIR has none here
            await send({"type": "websocket.close", "code": 1000})
            return
        assert app.fhir is not None
        await app.fhir(scope, receive, send)

    app.mount(PREFIX, fhir)
    if store is not None:
        app.opened(store)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Refusals are kept for `serve` to say: uvicorn only tells that it could not start."""
    assert isinstance(app, Application)
    try:
        async with _running(app):
            yield
    except (FhirError, SettingsError) as error:
        app.refused = error
        raise
    except Exception as error:
        app.refused = SettingsError(f"{type(error).__name__}: {error}")
        raise


@contextlib.asynccontextmanager
async def _running(app: Application) -> AsyncIterator[None]:
    settings = app.settings
    senders, destinations = _sites(settings)
    store = await asyncio.to_thread(engine.open, settings.database_url, queue=settings.write_queue, seconds=settings.search_seconds)
    try:
        inbound = Inbound(store, finder(senders), utc)
        app.opened(store, sites=finder(senders), inbound=inbound)
        if app.example:
            await _load_example(app)
        await inbound.resume()  # accepted (CA) before the last stop, not applied yet
        async with _mllp(app, inbound), asyncio.TaskGroup() as group:
            tasks = [group.create_task(_kept(name, loop), name=name) for name, loop in _loops(app, store, senders, destinations)]
            try:
                yield
            finally:
                await _stopped(tasks, settings.drain_seconds)
    finally:
        await asyncio.to_thread(store.close)


def _loops(app: Application, store: Store, senders: Mapping[str, Site], destinations: Sequence[Route]) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    """What runs beside HTTP and MLLP: notifications, and messages to hospitals."""
    settings = app.settings
    notifying = notify.Settings(base=app.base, timeout=settings.peer_seconds, policy=Policy(settings.subscribers))
    return [
        ("notify", lambda: notify.run(store, utc, notifying)),
        ("deliver", lambda: deliver.run(store, utc, destinations, senders)),
    ]


@contextlib.asynccontextmanager
async def _mllp(app: Application, inbound: Inbound) -> AsyncIterator[None]:
    settings = app.settings
    if settings.mllp_port < 0:
        yield
        return
    context = mllp.tls(settings.mllp_certificate, settings.mllp_key, settings.mllp_clients) if settings.mllp_certificate else None
    wire = Wire(host=settings.mllp_host, port=settings.mllp_port, frame_limit=settings.mllp_frame_limit, connections=settings.mllp_connections,
                idle=settings.mllp_idle_seconds, drain=settings.drain_seconds, peers=settings.mllp_peers, tls=context)
    async with contextlib.AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(mllp.serve(inbound, wire, app.state.meter.observe))
        except OSError as error:
            raise SettingsError(
                f"MLLP {settings.mllp_host}:{settings.mllp_port}: {error.strerror}. Choose another with --mllp-port. / Choisissez-en un autre avec --mllp-port."
            ) from error
        app.mllp_address = (settings.mllp_host, port)
        yield


async def _stopped(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Asked to end, then waited for, within a bounded time."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def _sites(settings: Settings) -> tuple[dict[str, Site], tuple[Route, ...]]:
    """The file of ICOPS_SITES."""
    if not settings.sites:
        return {}, ()
    try:
        data = Path(settings.sites).read_bytes()
    except OSError as error:
        raise SettingsError(f"ICOPS_SITES: {settings.sites}: {error.strerror}. / ICOPS_SITES : {settings.sites} : illisible.") from error
    said = loads(data)
    return sites.load(data), routes(said.get("routes", ()) if isinstance(said, dict) else ())


async def _load_example(app: Application) -> None:
    """The example pathway, before anyone is served; loading it again changes nothing."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://localhost{PREFIX}/", headers=bearer(app.settings)) as web:
        for item in await client.load(web, sorted(_example().glob("*.json"))):
            if item.status >= 300:
                raise SettingsError(f"--example: {item.name}: {item.status} {item.said}")


def _example() -> Path:
    """`examples/pathway`: inside the package once installed from a wheel, beside `src/` in a working copy."""
    inside = Path(__file__).with_name("examples") / "pathway"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "examples" / "pathway"


def bearer(settings: Settings) -> dict[str, str]:
    """The header a client of this server sends."""
    return {"Authorization": f"Bearer {settings.token}"} if settings.token else {}


async def _kept(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """A loop that fails is said and started again; only the end of the service ends it."""
    while True:
        try:
            await loop()
            return
        except Exception as error:
            log.error("loop failed", loop=name, error=type(error).__name__, again_in=RESTART_SECONDS)
            await asyncio.sleep(RESTART_SECONDS)


def host(settings: Settings) -> str:
    """As an address writes it: IPv6 in brackets."""
    return f"[{settings.host}]" if ":" in settings.host else settings.host
