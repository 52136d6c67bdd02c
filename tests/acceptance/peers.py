"""The others, on free ports of 127.0.0.1: a hospital that sends, a hospital that receives, a subscriber.

Written without the service's own code: HL7 v2.5.1 appendix C (MLLP), §2.9.2 (acknowledgments);
https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

START, END = b"\x0b", b"\x1c\r"


def until(what: Callable[[], Any], seconds: float, said: Callable[[], object] = lambda: "") -> None:
    """Waits until it holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s: {said()}"
        time.sleep(0.02)


def frame(stream: socket.socket, held: bytearray) -> bytes:
    """The next message of a stream, b"" when it ended; `held` keeps what came too early."""
    while END not in held:
        data = stream.recv(65536)
        if not data:
            return b""
        held += data
    body, _, rest = bytes(held).partition(END)
    held[:] = rest
    return body.lstrip(START)


def field(message: bytes, name: str, number: int) -> str:
    """A whole field of the first segment of that name."""
    line = next((line for line in message.decode().split("\r") if line.startswith(name)), "")
    parts = line.split("|")
    at = number - 1 if name == "MSH" else number
    return parts[at] if at < len(parts) else ""


class Sender:
    """A connection of a hospital: one message, then its acknowledgment."""

    def __init__(self, address: tuple[str, int], seconds: float = 15.0) -> None:
        self._socket, self._held = socket.create_connection(address, seconds), bytearray()

    def ask(self, message: bytes) -> bytes:
        """The acknowledgment; ConnectionError or TimeoutError when there is none."""
        self._socket.sendall(START + message + END)
        answer = frame(self._socket, self._held)
        if not answer:
            raise ConnectionError("ended without an acknowledgment")
        return answer

    def close(self) -> None:
        self._socket.close()


class Hospital:
    """Receives over MLLP, keeps every message and accepts it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        hospital = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                held = bytearray()
                while message := frame(self.request, held):
                    hospital.heard.append(message)
                    number = field(message, "MSH", 10)
                    answer = f"MSH|^~\\&|GAM|CHU-LYS|||20260101||ACK|R{len(hospital.heard)}|P|2.5\rMSA|AA|{number}\r"
                    self.request.sendall(START + answer.encode() + END)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Subscriber:
    """A rest-hook endpoint that keeps what it is told, goes away and comes back at the same address."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def kinds(self) -> list[str]:
        return [_named(bundle, "type")["valueCode"] for bundle in self.told]

    def events(self) -> list[tuple[int, str]]:
        """(number, focus) of every event, in the order told."""
        return [
            (int(parts["event-number"]["valueString"]), str(parts["focus"]["valueReference"]["reference"]))
            for bundle in self.told for one in _status(bundle) if one["name"] == "notification-event"
            for parts in [{part["name"]: part for part in one["part"]}]
        ]  # fmt: skip

    def up(self) -> None:
        subscriber = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                body = self.rfile.read(size)
                if len(body) < size:
                    return  # it died while it spoke
                subscriber.told.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def down(self) -> None:
        """Its address refuses connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def subscription(url: str, content: str = "id-only") -> dict[str, Any]:
    """A Subscription to the one topic."""
    backport = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
    return {
        "resourceType": "Subscription", "status": "requested", "reason": "acceptance",
        "criteria": "https://icops-fhir.org/fhir/SubscriptionTopic/careplan-and-tasks",
        "channel": {"type": "rest-hook", "endpoint": url, "payload": "application/fhir+json",
                    "_payload": {"extension": [{"url": backport + "backport-payload-content", "valueCode": content}]}},
    }  # fmt: skip


def _status(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return list(bundle["entry"][0]["resource"]["parameter"])


def _named(bundle: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in _status(bundle) if one["name"] == name)
