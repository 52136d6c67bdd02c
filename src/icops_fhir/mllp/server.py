"""The MLLP server: persistent connections, many per peer, drained when it stops.

HL7 v2.5.1 appendix C; IHE ITI TF-2 C.2 and 3.19 (TLS with certificates on both sides).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from icops_fhir.mllp.connection import Connection, Observe, Receiver, Wire, log, quiet

DEFAULT = Wire()
_HANDSHAKE = 10.0
_ACKNOWLEDGMENTS = 16 * 1024
"""Bytes of unread acknowledgments before a peer counts as not reading."""


def tls(certificate: str, key: str, clients: str = "") -> ssl.SSLContext:
    """A TLS context of PEM files; with `clients`, a peer must show a certificate those authorities signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key or None)
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def serve(receiver: Receiver, wire: Wire = DEFAULT, observe: Observe = quiet) -> AsyncIterator[int]:
    """Listens while the block runs and gives the bound port; leaving it drains: what was received is finished and answered."""
    house = _House(receiver, wire, observe)
    server = await asyncio.start_server(
        house.enter, wire.host, wire.port, ssl=wire.tls, backlog=128, limit=64 * 1024,
        **({"ssl_handshake_timeout": _HANDSHAKE} if wire.tls else {}),
    )  # fmt: skip
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await house.drain()


class _House:
    """The connections of one server."""

    def __init__(self, receiver: Receiver, wire: Wire, observe: Observe) -> None:
        self._receiver, self._wire, self._observe = receiver, wire, observe
        self._networks = [ipaddress.ip_network(text, strict=False) for text in wire.peers]
        self._open: dict[asyncio.Task[None], Connection] = {}
        self._stopping = False

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if not peer:
            return  # it left while it came
        address = _address(peer[0])
        refused = self._refusal(address)
        if refused:
            log.warning("connection of %s refused: %s", address, refused)
            self._observe("refused", refused, 1)
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        if raw := writer.get_extra_info("socket"):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        writer.transport.set_write_buffer_limits(high=_ACKNOWLEDGMENTS)
        connection = Connection(reader, writer, _name(address, writer), self._receiver, self._wire, self._observe)
        self._open[task] = connection
        self._observe("opened", "peer", 1)
        try:
            await connection.run()
        finally:
            del self._open[task]

    async def drain(self) -> None:
        """No more messages; those received are finished, then whoever is left is cut off."""
        self._stopping = True
        for connection in list(self._open.values()):
            connection.stop()
        if self._open:
            _, late = await asyncio.wait(list(self._open), timeout=self._wire.drain)
            for task in late:
                task.cancel()
            if late:
                log.warning("%d connections cut off after %s s", len(late), self._wire.drain)
                await asyncio.wait(late, timeout=self._wire.drain)

    def _refusal(self, address: str) -> str:
        if self._stopping:
            return "stopping"
        if len(self._open) >= self._wire.connections:
            return "full"
        if self._networks and not any(ipaddress.ip_address(address) in network for network in self._networks):
            return "peer"
        return ""


def _address(host: str) -> str:
    address = ipaddress.ip_address(host.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def _name(address: str, writer: asyncio.StreamWriter) -> str:
    """The peer as receivers see it: its address, and who its certificate says it is."""
    subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]
    return f"{names[0]}@{address}" if names else address
