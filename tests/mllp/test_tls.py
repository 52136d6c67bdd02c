"""MLLP over TLS with certificates on both sides. IHE ITI TF-2 3.19 (authenticate node)."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from mllp_peers import Echo, Peer, message

from icops_fhir.mllp.connection import Wire
from icops_fhir.mllp.server import serve, tls

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make test certificates")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server and a client, made for this run."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
    for name in ("localhost", "gap"):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}")
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "ext")  # fmt: skip
    return folder


def client(pki: Path, certificate: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    if certificate:
        context.load_cert_chain(pki / f"{certificate}.pem", pki / f"{certificate}.key")
    return context


def test_a_peer_with_a_certificate_speaks_and_is_known_by_it_and_one_without_does_not(pki: Path) -> None:
    async def run() -> None:
        echo = Echo()
        context = tls(str(pki / "localhost.pem"), str(pki / "localhost.key"), str(pki / "ca.pem"))
        async with serve(echo, Wire(port=0, tls=context, idle=5)) as port:
            peer = await Peer.to(port, ssl=client(pki, "gap"), server_hostname="localhost")
            await peer.send(message("1"))
            assert await peer.answer() == ("AA", "1")
            peer.close()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await stranger(port)
        assert echo.peers == ["gap@127.0.0.1"]

    async def stranger(port: int) -> None:
        peer = await Peer.to(port, ssl=client(pki), server_hostname="localhost")
        await peer.send(message("2"))
        if await peer.answer() == ("", ""):
            raise ConnectionResetError

    asyncio.run(run())
