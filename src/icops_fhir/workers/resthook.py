"""The rest-hook channel: POST the notification to the endpoint, to an address the site allows, within a time.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/channels.html#rest-hook
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import httpx

from icops_fhir.subscriptions.endpoint import Policy
from icops_fhir.subscriptions.subscription import Subscription

ANSWER = 65_536     # bytes of the answer we are ready to read before letting go of the connection


class Result(NamedTuple):
    """What became of one POST: `code` is empty when the endpoint took it, else a subscription-error."""

    code: str = ""
    why: str = ""       # English / French


class RestHook:
    """One endpoint's own client, so that no other endpoint can wait behind it."""

    def __init__(self, policy: Policy, timeout: float) -> None:
        self._policy = policy
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None

    async def post(self, subscription: Subscription, body: bytes) -> Result:
        url = httpx.URL(subscription.endpoint)
        seconds = min(subscription.timeout or self._timeout, self._timeout)
        where = url.host if url.port is None else f"{url.host}:{url.port}"
        try:
            async with asyncio.timeout(seconds):
                return await self._post(url, where, subscription, body)
        except TimeoutError:
            return Result("no-response", f"{where} did not answer within {seconds:g} s / {where} n'a pas répondu en {seconds:g} s")
        except OSError as error:
            return Result("dns-resolution-error", f"the name {url.host} is not found ({error.strerror}) / le nom {url.host} est introuvable")
        except (ValueError, httpx.InvalidURL) as error:      # UnicodeError too: a name that no resolver takes
            return Result("dns-resolution-error", f"{where} cannot be asked ({type(error).__name__}) / {where} ne peut pas être contacté")
        except httpx.HTTPError as error:
            kind = type(error).__name__
            return Result("no-response", f"no answer from {where} ({kind}) / pas de réponse de {where} ({kind})")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _post(self, url: httpx.URL, where: str, subscription: Subscription, body: bytes) -> Result:
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await asyncio.get_running_loop().run_in_executor(_resolvers(), _resolve, url.host, port)
        allowed = [address for address in found if self._policy.reaches(url.host, address)]
        if not allowed:
            return Result("error-response", f"this server does not notify {where} (ICOPS_SUBSCRIBERS) / ce serveur ne notifie pas {where} (ICOPS_SUBSCRIBERS)")
        for address in allowed[:-1]:
            try:
                return await self._send(url, address, where, subscription, body)
            except httpx.ConnectError:
                continue    # nothing was sent: the next address of that name
        return await self._send(url, allowed[-1], where, subscription, body)

    async def _send(self, url: httpx.URL, address: str, where: str, subscription: Subscription, body: bytes) -> Result:
        # The very address that was checked is spoken to; the name stays in Host and in TLS.
        headers = [("Host", url.netloc.decode("ascii")), ("Content-Type", subscription.media), *subscription.headers]
        target = url.copy_with(host=address)
        request = self._http().build_request("POST", target, content=body, headers=headers, extensions={"sni_hostname": url.host, **_PATIENCE})
        response = await self._http().send(request, stream=True)
        try:
            size = 0
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > ANSWER:
                    break
        finally:
            await response.aclose()
        if response.is_success:
            return Result()
        return Result("error-response", f"{where} answered HTTP {response.status_code} / {where} a répondu HTTP {response.status_code}")

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(verify=_certificates(), trust_env=False, follow_redirects=False,
                                             limits=httpx.Limits(max_connections=2, max_keepalive_connections=1))
        return self._client


_PATIENCE = {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}     # one deadline over all: asyncio.timeout


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _resolvers() -> ThreadPoolExecutor:
    """Threads of our own: names that resolve slowly keep nobody else waiting."""
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="notify-resolve")


def _resolve(host: str, port: int) -> list[str]:
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
