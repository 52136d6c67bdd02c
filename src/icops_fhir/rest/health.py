"""Health and metrics, outside FHIR: alive, ready, counted.

https://kubernetes.io/docs/reference/using-api/health-checks/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from fastapi import APIRouter, Request, Response

from icops_fhir.rest.auth import authorized
from icops_fhir.rest.metrics import Meter
from icops_fhir.store.protocol import Store

READY_SECONDS = 2.0
log = structlog.get_logger("icops.rest")


def router(store: Callable[[], Store | None], meter: Meter, token: str) -> APIRouter:
    """`/livez`, `/readyz`, `/healthz`, `/health` for anyone; `/metrics` for who has the token."""
    routes = APIRouter(tags=["health"])

    async def alive() -> Response:
        """The process answers."""
        return Response(b"ok\n", media_type="text/plain")

    async def ready() -> Response:
        """The store answers too."""
        opened = store()
        try:
            if opened is None:
                raise RuntimeError("not open")
            async with asyncio.timeout(READY_SECONDS):
                await opened.read(lambda reader: reader.cursor("ready"))
        except Exception as error:
            log.warning("not ready", error=type(error).__name__)
            return Response(b"not ready\n", status_code=503, media_type="text/plain")
        return Response(b"ok\n", media_type="text/plain")

    async def metrics(request: Request) -> Response:
        """Prometheus exposition."""
        if not authorized(token.encode(), request.headers.get("authorization", "").encode()):
            return Response(b"token asked\n", status_code=401, headers={"WWW-Authenticate": "Bearer"}, media_type="text/plain")
        return Response(meter.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for path, answer in (("/livez", alive), ("/readyz", ready), ("/healthz", ready), ("/health", ready)):
        routes.add_api_route(path, answer, methods=["GET"], include_in_schema=path in ("/livez", "/readyz"))
        routes.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
    routes.add_api_route("/metrics", metrics, methods=["GET"])
    return routes
