"""What the HTTP benches share: a server in its own process, its CPU from /proc, a load that costs little itself.

https://docs.kernel.org/filesystems/proc.html (utime and stime of all threads of a process)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TICK = os.sysconf("SC_CLK_TCK")

RAW = '''
import sys, uvicorn
BODY = sys.stdin.buffer.read()
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"application/fhir+json"), (b"content-length", b"%d" % len(BODY))]})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), http="httptools", loop="uvloop", lifespan="off",
            access_log=False, log_level="error", server_header=False, proxy_headers=False)
'''
OURS = "import argparse, sys; from icops_fhir.commands.serve import run; sys.exit(run(argparse.Namespace(port=int(sys.argv[1]), mllp_port=-1)))"


class Server(NamedTuple):
    """Our own server, on a fresh database."""

    port: int
    pid: int
    database: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(code: str, *, stdin: bytes = b"", **environment: str) -> Iterator[tuple[int, int]]:
    """(port, pid) of a Python process that serves there."""
    port = free_port()
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(port)], stdin=given, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, **environment})
        try:
            limit = time.monotonic() + 60
            while time.monotonic() < limit:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"the server ended with {process.returncode}")
                time.sleep(0.05)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextlib.contextmanager
def ours() -> Iterator[Server]:
    """Our own server on a fresh database with full durability."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("ICOPS_BENCH_DIR")) as folder, running(
        OURS, ICOPS_DATABASE_URL=f"sqlite:///{Path(folder, 'bench.db')}", ICOPS_LOG_LEVEL="warning"
    ) as (port, pid):
        yield Server(port, pid, Path(folder, "bench.db"))


def cpu(pid: int) -> float:
    """Seconds of CPU the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def one(port: int, request: bytes) -> bytes:
    """The whole answer to one request."""
    with socket.create_connection(("127.0.0.1", port), 10) as found:
        found.sendall(request)
        data = b""
        while True:
            head, mark, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.I)
            if mark and (length is None or len(body) >= int(length[1])):
                return data
            part = found.recv(1 << 16)
            if not part:
                return data
            data += part


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer of the last one is whole."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self.requests, self.done, self.data, self.answered, self.wrong = requests, done, b"", 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._next()

    def _next(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
        else:
            self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.data += data
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.data.lower().find(b"content-length: ", 0, end)
        length = int(self.data[at + 16:self.data.index(b"\r", at)]) if at >= 0 else 0
        if len(self.data) >= end + 4 + length:
            self.wrong += self.data[9:10] != b"2"
            self.data = b""
            self.answered += 1
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed too early"))


async def _load(port: int, requests: Iterator[bytes], connections: int) -> int:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(connections):
        done = loop.create_future()
        made.append((await loop.create_connection(lambda done=done: _Connection(requests, done), "127.0.0.1", port), done))  # type: ignore[misc]
    await asyncio.gather(*(done for _, done in made))
    return sum(protocol.wrong for (_, protocol), _ in made)


def load(port: int, requests: Iterator[bytes], connections: int) -> float:
    """Seconds it took to have every request answered; RuntimeError when one is refused."""
    begin = time.perf_counter()
    wrong = asyncio.run(_load(port, requests, connections))
    if wrong:
        raise RuntimeError(f"{wrong} requests were refused")
    return time.perf_counter() - begin
