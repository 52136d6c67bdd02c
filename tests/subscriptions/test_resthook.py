"""The rest-hook channel on its own: TLS by the name of the endpoint, bodies of any size, redirections."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from subscription_kit import receiver, subscription

from icops_fhir.subscriptions.endpoint import Policy
from icops_fhir.subscriptions.subscription import Subscription, read
from icops_fhir.workers import resthook
from icops_fhir.workers.resthook import RestHook, Result

BODY = b'{"resourceType":"Bundle","entry":[{"resource":{"parameter":[]}}]}'


async def post(endpoint: str, policy: Policy = Policy(), timeout: float = 2.0) -> Result:    # noqa: B008, ASYNC109
    hook = RestHook(policy, timeout)
    try:
        return await hook.post(served(endpoint), BODY)
    finally:
        await hook.close()


def served(endpoint: str) -> Subscription:
    return read(subscription(endpoint))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make test certificates")
def test_https_is_verified_by_the_name_of_the_endpoint_not_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "k.pem", "-out", "c.pem",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    monkeypatch.setattr(resthook, "_certificates", lambda: ssl.create_default_context(cafile=str(tmp_path / "c.pem")))

    async def story() -> None:
        async with receiver(context) as hook:
            assert await post(f"https://localhost:{hook.port}/hook") == Result()
            assert hook.headers[0]["host"] == f"localhost:{hook.port}"
            assert (await post(f"https://127.0.0.1:{hook.port}/hook")).code == "no-response"
            monkeypatch.setattr(resthook, "_certificates", ssl.create_default_context)
            assert (await post(f"https://localhost:{hook.port}/hook")).code == "no-response"
            assert len(hook.tries) == 1

    asyncio.run(asyncio.wait_for(story(), 30))


async def answering(answer: bytes, endpoint: str = "http://127.0.0.1:{}/hook", wait: float = 0.0) -> Result:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await asyncio.sleep(wait)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        return await post(endpoint.format(server.sockets[0].getsockname()[1]), timeout=0.5)


@pytest.mark.parametrize(("answer", "code"), [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
    (b"HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\nok..", ""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 300_000, ""),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "error-response"),
    (b"220 smtp ready\r\n", "no-response"),
    (b"", "no-response"),
])
def test_only_a_2xx_counts_and_nothing_else_is_followed_or_read_to_its_end(answer: bytes, code: str) -> None:
    result = asyncio.run(answering(answer))

    assert result.code == code
    assert bool(result.why) == bool(code)


def test_a_redirection_is_not_followed() -> None:
    async def story() -> None:
        async with receiver() as elsewhere:
            answer = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n".encode()
            assert (await answering(answer)).code == "error-response"
            assert elsewhere.tries == []

    asyncio.run(asyncio.wait_for(story(), 30))


def test_an_answer_that_drips_is_left_at_the_deadline() -> None:
    result = asyncio.run(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12", wait=1.0))

    assert result.code == "no-response"
    assert "did not answer within 0.5 s" in result.why


def test_a_name_with_two_addresses_is_tried_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resthook, "_resolve", lambda host, port: ["::1", "127.0.0.1"])

    async def story() -> None:
        async with receiver() as hook:
            assert await post(f"http://localhost:{hook.port}/hook") == Result()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_names_that_no_resolver_takes_are_an_error_not_a_crash() -> None:
    for host in ("a..b.example", "x" * 70 + ".example", "no-such-host.invalid"):
        assert asyncio.run(post(f"http://{host}/")).code == "dns-resolution-error"
