"""Synthetic resources and a small rest-hook receiver for the subscription tests."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

TOPIC = "https://icops-fhir.org/fhir/SubscriptionTopic/careplan-and-tasks"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"


def care_plan(id_: str = "p1", patient: str = "x", status: str = "active", **more: Any) -> dict[str, Any]:
    return {"resourceType": "CarePlan", "id": id_, "status": status, "intent": "plan", "subject": {"reference": f"Patient/{patient}"}, **more}


def task(id_: str = "t1", plan: str | None = "p1", patient: str = "x", status: str = "requested", **more: Any) -> dict[str, Any]:
    based = {"basedOn": [{"reference": f"CarePlan/{plan}"}]} if plan else {}
    return {"resourceType": "Task", "id": id_, **based, "status": status, "intent": "order", "for": {"reference": f"Patient/{patient}"}, **more}


def extension(name: str, **value: Any) -> dict[str, Any]:
    return {"url": BACKPORT + name, **value}


def subscription(endpoint: str = "http://127.0.0.1:9/hook", *filters: str, id_: str = "s1", status: str = "requested", content: str = "id-only",
                 channel: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription", "id": id_, "status": status, "reason": "test", "criteria": TOPIC,
        **({"_criteria": {"extension": [extension("backport-filter-criteria", valueString=text) for text in filters]}} if filters else {}),
        "channel": {
            **({"extension": list(channel)} if channel else {}), "type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json",
            "_payload": {"extension": [extension("backport-payload-content", valueCode=content)]},
        }, **more,
    }


def told(bundle: dict[str, Any], name: str) -> Any:
    """The value of a status parameter."""
    one = next(one for one in bundle["entry"][0]["resource"]["parameter"] if one["name"] == name)
    return next(value for key, value in one.items() if key.startswith("value"))


def numbers(bundle: dict[str, Any]) -> list[int]:
    """The event numbers of a notification."""
    return [int(part["valueString"]) for one in bundle["entry"][0]["resource"]["parameter"] if one["name"] == "notification-event"
            for part in one["part"] if part["name"] == "event-number"]


class Receiver:
    """A rest-hook endpoint: `answer` decides each POST; `down` refuses connections."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []       # accepted notifications
        self.tries: list[dict[str, Any]] = []       # every notification that came in
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.delay = 0.0
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._news = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def events(self) -> list[int]:
        return [number for bundle in self.taken for number in numbers(bundle)]

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()

    async def until(self, what: Any, seconds: float = 10.0) -> None:
        """Waits until `what()` holds."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(what)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
                bundle = json.loads(await reader.readexactly(int(headers["content-length"])))
                status = self.status
                self.tries.append(bundle)
                self.headers.append(headers)
                if self.delay:
                    await asyncio.sleep(self.delay)
                if status < 300:
                    self.taken.append(bundle)
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                async with self._news:
                    self._news.notify_all()
        self._writers.discard(writer)
        writer.close()


@contextlib.asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    one = Receiver()
    one.tls = tls
    await one.up()
    try:
        yield one
    finally:
        await one.down()
