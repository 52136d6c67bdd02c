"""A client of the real application over the real store in memory, in process, without a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx

from icops_fhir.app import Application, build
from icops_fhir.settings import Settings
from icops_fhir.store import engine
from icops_fhir.store.protocol import Store

JSON = {"Content-Type": "application/fhir+json"}


class Web:
    """`web.get("Patient/1")`, `web.post("Patient", {...})`: relative to /fhir; `web.get("/livez")`: from the root."""

    def __init__(self, app: Application, store: Store, runner: asyncio.Runner) -> None:
        self.app, self.store, self._runner = app, store, runner
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test/fhir/")

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def ask(self, method: str, place: str, body: Any = None, **headers: str) -> httpx.Response:
        return self._runner.run(self.asking(method, place, body, **headers))

    async def asking(self, method: str, place: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        place = f"http://test{place}" if place.startswith("/") else place
        if isinstance(body, bytes):
            return await self._client.request(method, place, content=body, headers={**JSON, **given})
        return await self._client.request(method, place, json=body, headers={**JSON, **given} if body is not None else given)

    def get(self, place: str, **headers: str) -> httpx.Response:
        return self.ask("GET", place, **headers)

    def post(self, place: str, body: Any, **headers: str) -> httpx.Response:
        return self.ask("POST", place, body, **headers)

    def put(self, place: str, body: Any, **headers: str) -> httpx.Response:
        return self.ask("PUT", place, body, **headers)

    def delete(self, place: str, **headers: str) -> httpx.Response:
        return self.ask("DELETE", place, **headers)

    def close(self) -> None:
        self._runner.run(self._client.aclose())


@contextlib.contextmanager
def open_web(url: str = "sqlite:///:memory:", store: dict[str, Any] | None = None, **settings: Any) -> Iterator[Web]:
    opened = engine.open(url, **(store or {}))
    try:
        with asyncio.Runner() as runner:
            web = Web(build(Settings(**settings), store=opened), opened, runner)
            yield web
            web.close()
    finally:
        opened.close()


def patient(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **members}


def rule(response: httpx.Response) -> str:
    """The stable id of the first issue."""
    assert response.json()["resourceType"] == "OperationOutcome", response.text
    return str(response.json()["issue"][0]["details"]["coding"][0]["code"])
