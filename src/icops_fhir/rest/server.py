"""The HTTP server process: its socket, uvicorn with httptools and uvloop, garbage collection, an orderly stop.

https://www.uvicorn.org/settings/
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

ATTENTION = (signal.SIGTERM, signal.SIGINT)
# Many short-lived objects and a large, lasting set of definitions: collect seldom, never walk the definitions.
GC_THRESHOLD = (50_000, 50, 50)
BACKLOG = 2048


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us, and tells when the port is open."""

    opened: Callable[[], None] = staticmethod(lambda: None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in ATTENTION:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in ATTENTION:
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        self.opened()


def bind(host: str, port: int) -> socket.socket:
    """The address is taken at once and opened once everything behind it is ready; OSError when another has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


def run(application: Any, listener: socket.socket, *, drain_seconds: float, opened: Callable[[], None]) -> bool:
    """Serves until SIGTERM or SIGINT; False when it could not start."""
    gc.set_threshold(*GC_THRESHOLD)
    config = uvicorn.Config(
        application, http="httptools", loop="uvloop", lifespan="on", access_log=False, log_config=None, server_header=False,
        proxy_headers=False, backlog=BACKLOG, timeout_keep_alive=75, timeout_graceful_shutdown=max(1, int(drain_seconds)),
    )
    server = _Server(config)
    server.opened = opened
    with contextlib.suppress(SystemExit, KeyboardInterrupt):
        server.run(sockets=[listener])
    return server.started
