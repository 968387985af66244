"""/metrics, /healthz and /readyz over plain HTTP on a local port.

Small on purpose: GET and HEAD of three fixed paths, one request a connection, everything bounded. `/healthz` says that
the loop turns; `/readyz` that each check (store, ports …) passes, else 503 with the names of those that do not.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog

from gateway.config import ConfigError

log = structlog.get_logger(__name__)

REQUEST_OCTETS: Final = 8192  # request line and headers together; a scraper sends a few hundred
REQUEST_SECONDS: Final = 5.0  # a client that takes longer holds a socket for nothing
CHECK_SECONDS: Final = 2.0  # a check that hangs is a failed check
CONNECTIONS: Final = 32  # at once; scrapers need one each
TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

Check = Callable[[], Awaitable[str | None]]
"""None: well; else a safe sentence about what is wrong."""


@dataclass(frozen=True, slots=True)
class Page:
    status: HTTPStatus
    type: str
    body: bytes


class HealthServer:
    """Serves the three paths; `checks` may grow until `start`, and are asked at each /readyz."""

    def __init__(
        self,
        metrics: Callable[[], bytes],
        *,
        metrics_type: str = TEXT,
        checks: Mapping[str, Check] | None = None,
    ) -> None:
        self._metrics = metrics
        self._metrics_type = metrics_type
        self.checks: dict[str, Check] = dict(checks or {})
        self.draining = False
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, address: str, port: int) -> int:
        """Listen; the port in use (for port 0). ConfigError when it is taken or not ours."""
        try:
            self._server = await asyncio.start_server(self._serve, address, port, limit=REQUEST_OCTETS)
        except OSError as error:
            raise ConfigError(f"metrics.port: cannot listen on {address} port {port}: {error.strerror}") from None
        listener: socket.socket = self._server.sockets[0]
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > CONNECTIONS:
                return
            async with asyncio.timeout(REQUEST_SECONDS):
                method, page = await self._answer(reader)
                writer.write(_head(page) + (b"" if method == "HEAD" else page.body))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            return  # the client went away or was too slow: nobody is there to be told
        except Exception:
            log.exception("health.request_failed")
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, Page]:
        """(method, page) of the one request; raises IncompleteReadError when the client sent less than one."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return "GET", _text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request too large")
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "GET", _text(HTTPStatus.BAD_REQUEST, "bad request")
        method, target, _ = words
        if method not in {"GET", "HEAD"}:
            return method, _text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")
        return method, await self.page(target.partition("?")[0])

    async def page(self, path: str) -> Page:
        """The answer to a path."""
        if path == "/metrics":
            return Page(HTTPStatus.OK, self._metrics_type, self._metrics())
        if path == "/healthz":
            return _text(HTTPStatus.OK, "ok")
        if path == "/readyz":
            return await self._ready()
        return _text(HTTPStatus.NOT_FOUND, "there are /metrics, /healthz and /readyz")

    async def _ready(self) -> Page:
        names = list(self.checks)
        results = await asyncio.gather(*(self._ask(self.checks[name]) for name in names))
        wrong = {name: result for name, result in zip(names, results, strict=True) if result is not None}
        if self.draining:
            wrong["process"] = "stopping"
        body = json.dumps({"ready": not wrong, "failed": wrong}).encode() + b"\n"
        return Page(HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK, JSON, body)

    @staticmethod
    async def _ask(check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await check()
        except TimeoutError:
            return f"no answer in {CHECK_SECONDS:g} seconds"
        except Exception:
            log.exception("health.check_failed")
            return "the check itself failed; see the log"


def _text(status: HTTPStatus, text: str) -> Page:
    return Page(status, TEXT, text.encode() + b"\n")


def _head(page: Page) -> bytes:
    """RFC 9112: status line and headers; the connection ends with the answer."""
    return (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\n"
        f"Content-Type: {page.type}\r\n"
        f"Content-Length: {len(page.body)}\r\n"
        "Cache-Control: no-store\r\n"
        f"{'Allow: GET, HEAD' + chr(13) + chr(10) if page.status is HTTPStatus.METHOD_NOT_ALLOWED else ''}"
        "Connection: close\r\n\r\n"
    ).encode("latin-1")
