"""FHIR over HTTP: one ASGI application, one dispatch for every type, every refusal an OperationOutcome.

https://hl7.org/fhir/R4/http.html

    GET /fhir/Patient/1, at hand ──────────────── bytes
    anything else ─ token ─ limits ─ format ─ body ─ registry.find ─ handler ─ Answer ─ headers and bytes
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import structlog

from icops_fhir.fhir.issue import FhirError, outcome
from icops_fhir.fhir.json import dumps, loads
from icops_fhir.interactions.registry import NotAllowed, find
from icops_fhir.interactions.request import Answer, Request, Service, etag, http_date, with_
from icops_fhir.rest import errors, negotiation
from icops_fhir.rest.auth import authorized, unauthorized
from icops_fhir.rest.body import Gone, pairs, read_body
from icops_fhir.rest.metrics import Meter
from icops_fhir.store.protocol import MISS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]

JSON = b"application/fhir+json; charset=utf-8"
NO_CACHE = (b"cache-control", b"no-cache")
ANONYMOUS = frozenset({"metadata"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
CONTROL = frozenset({"_format", "_pretty"})
ASIDE = 256 << 10            # a body larger than this is read in a thread
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,64}").fullmatch

log = structlog.get_logger("icops.rest")


class Fhir:
    """The application mounted at /fhir."""

    def __init__(self, service: Service, meter: Meter, *, token: str = "", prefix: str = "/fhir", base_url: str = "",
                 body_limit: int = 16 << 20, at_once: int = 1024) -> None:
        self.service, self.meter = service, meter
        self.token, self.prefix, self.base_url = token.encode(), prefix, base_url.rstrip("/")
        self.body_limit, self.at_once, self.active = body_limit, at_once, 0
        self._start = len(prefix) + 1
        self._ids = map((secrets.token_hex(4) + "-{:x}").format, itertools.count(1))
        self._current = service.store.current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The hot path is here: a current version at hand goes out as its bytes, with no object made on the way."""
        started = perf_counter()
        headers: Headers = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = given if given is not None and _REQUEST_ID(given) else next(self._ids).encode()
        if scope["method"] == "GET" and not scope["query_string"]:
            type_, _, id_ = scope["path"][self._start:].partition("/")
            if (
                authorized(self.token, headers.get(b"authorization", b""))
                and negotiation.acceptable(headers.get(b"accept", b""))
                and b"if-none-match" not in headers and b"if-modified-since" not in headers
                and (version := self._current(type_, id_)) is not None
                and version is not MISS and version.method != "delete"
            ):
                body = version.body
                await send({"type": "http.response.start", "status": 200, "headers": [
                    (b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"etag", b'W/"%d"' % version.version),
                    (b"last-modified", http_date(version.updated).encode()), NO_CACHE, (b"x-request-id", request_id)]})
                await send({"type": "http.response.body", "body": body})
                self.meter.count("read", 200, perf_counter() - started)
                return
        await self._dispatch(scope, headers, request_id, receive, send, started)

    async def _dispatch(self, scope: Scope, headers: Headers, request_id: bytes, receive: Receive, send: Send, started: float) -> None:
        method, code = scope["method"], "unknown"
        language = negotiation.language(headers.get(b"accept-language", b""))
        extra: list[tuple[bytes, bytes]] = []
        self.active += 1
        try:
            request = self._request(scope, headers, language)
            path = scope["path"][self._start:]
            if path not in ANONYMOUS and not authorized(self.token, headers.get(b"authorization", b"")):
                raise unauthorized()
            if self.active > self.at_once:
                raise errors.refused(503, "throttled", "icops-busy", "Too many requests at one time; try again in a moment.",
                                     "Trop de requêtes simultanées ; réessayez dans un instant.")
            if method not in METHODS:
                raise errors.refused(501, "not-supported", "icops-method", f"{method[:16]} is not a method of FHIR.", f"{method[:16]} n'est pas une méthode de FHIR.")
            interaction, request = find(path, request)
            code = interaction.code
            if method in WITH_BODY:
                request = await self._with_body(request, interaction.shape, headers, receive)
            answer = self._preferred(await interaction.handler(self.service, request), request, code)
        except FhirError as error:
            answer = errors.answer(error, language)
            extra = _refusal_headers(error)
        except asyncio.CancelledError:
            raise
        except Gone:
            return
        except Exception as error:
            answer = errors.answer(errors.unforeseen(error, request_id.decode()), language)
        finally:
            self.active -= 1
        await _send(send, answer, request_id, self._base(scope, headers), extra, head=method == "HEAD")
        seconds = perf_counter() - started
        self.meter.count(code, answer.status, seconds)
        if answer.status >= 500 or method in WITH_BODY:
            log.info("interaction", interaction=code, status=answer.status, ms=round(seconds * 1000, 1), request_id=request_id.decode())

    def _request(self, scope: Scope, headers: Headers, language: str) -> Request:
        """The HTTP request as the interactions know it."""
        params = tuple(pairs(scope["query_string"]))
        format_ = next((value for name, value in params if name == "_format"), None)
        if "$" not in scope["path"]:      # an operation may answer in a format of its own
            negotiation.check_accept(headers.get(b"accept", b""), format_)

        def text(name: bytes) -> str:
            return headers.get(name, b"").decode("latin-1")

        return Request(
            method=scope["method"], params=tuple(pair for pair in params if pair[0] not in CONTROL),
            if_match=text(b"if-match"), if_none_match=text(b"if-none-match"), if_modified_since=text(b"if-modified-since"),
            if_none_exist=text(b"if-none-exist") if b"if-none-exist" in headers else None,
            prefer=negotiation.prefer(headers.get(b"prefer", b"")), language=language, base=self._base(scope, headers),
            media_type=text(b"content-type"),
        )

    def _base(self, scope: Scope, headers: Headers) -> str:
        if self.base_url:
            return self.base_url
        host = headers.get(b"host", b"localhost").decode("latin-1")
        return f"{scope.get('scheme', 'http')}://{host}{self.prefix}"

    async def _with_body(self, request: Request, shape: str, headers: Headers, receive: Receive) -> Request:
        """The body, within its limit and its time; JSON everywhere but in a form and in what an operation reads itself."""
        content_type = headers.get(b"content-type", b"")
        form, foreign = negotiation.is_form(content_type), shape == "operation" and not negotiation.readable(content_type)
        if shape == "type-search":
            if content_type and not form:
                raise errors.refused(415, "not-supported", "icops-content-type", "Send search parameters as application/x-www-form-urlencoded.",
                                     "Envoyez les paramètres de recherche en application/x-www-form-urlencoded.")
        elif not foreign:
            negotiation.check_content(content_type, headers.get(b"content-encoding", b""))
        body = await read_body(receive, headers, self.body_limit)
        fields: dict[str, Any] = {"body": body}
        if shape == "type-search":
            fields["params"] = (*request.params, *(pair for pair in pairs(body) if pair[0] not in CONTROL))
        elif not foreign and (body or shape != "operation"):
            fields["resource"] = await asyncio.to_thread(loads, body, self.body_limit) if len(body) > ASIDE else loads(body, self.body_limit)
        return with_(request, **fields)

    @staticmethod
    def _preferred(answer: Answer, request: Request, code: str) -> Answer:
        """Prefer: return=… on a write: https://hl7.org/fhir/R4/http.html#ops"""
        if code not in ("create", "update") or answer.status >= 300:
            return answer
        match request.prefer.get("return"):
            case "minimal":
                body = b""
            case "OperationOutcome":
                body = dumps(outcome(answer.issues, request.language))
            case _:
                return answer
        return Answer(answer.status, body, answer.version, answer.location, answer.media_type, answer.issues)


async def _send(send: Send, answer: Answer, request_id: bytes, base: str, extra: list[tuple[bytes, bytes]], *, head: bool) -> None:
    headers = [NO_CACHE, (b"x-request-id", request_id), *extra]
    if answer.version is not None:
        headers += [(b"etag", etag(answer.version.version).encode()), (b"last-modified", http_date(answer.version.updated).encode())]
    if answer.location:
        headers.append((b"location", f"{base}/{answer.location}".encode()))
    body = b"" if answer.status in (204, 304) else answer.body
    if body:
        headers.append((b"content-type", answer.media_type.encode()))
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def _refusal_headers(error: FhirError) -> list[tuple[bytes, bytes]]:
    match error.status:
        case 401:
            return [(b"www-authenticate", b'Bearer realm="icops-fhir"')]
        case 405 if isinstance(error, NotAllowed):
            return [(b"allow", ", ".join(error.methods).encode())]
        case 408 | 413:
            return [(b"connection", b"close")]
        case 429 | 503:
            return [(b"retry-after", b"1")]
    return []
