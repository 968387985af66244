"""The door of the HTTP side, before any octet of a body is read: who asks, how often, and how much they may send.

A pure ASGI middleware, since frameworks read and parse a body before they ask who sent it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from gateway.access.caller import Caller, caller
from gateway.model.errors import AuthenticationFailed, GatewayError

from . import agentmail, audited, problems
from .event_stream import LATER
from .people import token_of
from .rates import Buckets
from .services import WebServices

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEYED: Final = ("/api/", "/agentmail/", "/mailslurp/")
"""Paths where nothing is told without a key, but for OPEN."""
OPEN: Final = frozenset({
    "/api/v1/openapi.json", f"{agentmail.PREFIX}{agentmail.DOCUMENT}", "/api/v1/health",
    "/api/v1/ws", f"{agentmail.PREFIX}{agentmail.SOCKET}",  # a first message, or their address, may be the login
})  # fmt: skip
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
CSP: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    b" font-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_KEPT_BY_FRAMEWORK: Final = frozenset({"fastapi_inner_astack", "fastapi_function_astack"})
"""Of a request, for its end; 2 KiB."""
_CLOSE: Final = {"Connection": "close"}
"""Its body was not read, so what follows on the connection would be taken for a request."""


class TooMuch(HTTPException):
    """The body is larger than any may be. The framework hands on its own kind of errors only."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"A request may have {most} octets", _CLOSE)


def key_of(headers: Headers) -> str:
    """The key as vendors' programs send it: a bearer token, or `x-api-key`; "" when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return headers.get("x-api-key", "").strip()


class Guard:
    """Around the whole application. `scope["state"]["caller"]` is who asks."""

    def __init__(self, app: App, services: WebServices) -> None:
        self._app = app
        self._services = services
        settings = services.settings
        self._buckets = Buckets(settings.requests_per_second, settings.request_burst)
        self._max_body = settings.max_body
        self._headers = (*SECURITY_HEADERS, HSTS) if settings.has_name else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        state = scope.setdefault("state", {})
        request_id = state["request_id"] = secrets.token_hex(8)
        headers = Headers(scope=scope)
        path: str = scope["path"]
        status = 0

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._more(message, request_id)]
            await send(message)

        taken = 0

        async def take() -> MutableMapping[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body") or b"")
            if taken > self._max_body:
                raise TooMuch(self._max_body)
            return message

        try:
            refusal = await self._refusal(path, headers, scope, state)
            if refusal is not None:
                if path.startswith(f"{agentmail.PREFIX}/"):
                    refusal = agentmail.as_theirs(refusal)
                await refusal(scope, receive, answer)  # of a WebSocket it is the answer to its handshake
                return
            audited.begin(self._services, scope)
            await self._app(scope, take, answer)
            later = state.pop(LATER, None)
            if later is not None:
                for name in _KEPT_BY_FRAMEWORK & scope.keys():
                    del scope[name]
                await later(take, answer)
        finally:
            audited.end(self._services, scope, status)
            self._services.metrics.count("web_requests_total", status=f"{status // 100}xx" if status else "none")

    async def _refusal(self, path: str, headers: Headers, scope: Scope, state: dict[str, Any]) -> Any | None:
        """The response that ends it here, None when the request may go on."""
        client = scope.get("client")
        peer = client[0] if client else ""
        who: Caller | None = None
        key = key_of(headers)
        if key:
            try:
                who = caller(await self._services.authenticator.open(key, peer))
            except AuthenticationFailed:
                return problems.response(problems.kind_of_status(401), "The API key is not valid", headers=_CLOSE)
            except GatewayError as error:
                return problems.of_error(error)
            state["caller"] = who
        elif path.startswith(KEYED):
            # Never by a browser's cookie: a form of another site could send that.
            if path not in OPEN:
                return problems.response(problems.kind_of_status(401), "The request has no API key", headers=_CLOSE)
        elif token := token_of(headers):
            who = state["caller"] = await self._services.people.find(token)
            state["token"] = token if who else ""
        wait = self._buckets.wait(who.key_id if who else ("peer", peer), asyncio.get_running_loop().time())
        if wait:
            kind = problems.kind_of_status(429)
            return problems.response(kind, "Too many requests", headers={"Retry-After": str(wait)})
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            detail = f"A request may have {self._max_body} octets"
            return problems.response(problems.kind_of_status(413), detail, headers=_CLOSE)
        return None

    def _more(self, message: MutableMapping[str, Any], request_id: str) -> list[tuple[bytes, bytes]]:
        """What every answer says besides; a page with a policy of its own keeps it."""
        names = {name.lower() for name, _ in message.get("headers", ())}
        added = [(name, value) for name, value in self._headers if name not in names]
        if b"content-security-policy" not in names:
            added.append((b"content-security-policy", CSP))
        if b"cache-control" not in names:
            added.append((b"cache-control", b"no-store"))
        added.append((b"x-request-id", request_id.encode("ascii")))
        return added
