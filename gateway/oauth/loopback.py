"""Where a browser on this machine comes back to after a login: one small page on a loopback port (RFC 8252 7.3).

It takes the one request that bears the login's `state`, whoever else connects meanwhile, and shows nothing of what it
was asked. It knows nothing of tokens: whoever began the login gets the address as the browser had it.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Final
from urllib.parse import parse_qs, urlsplit

REQUEST_OCTETS: Final = 16 * 1024
REQUEST_S: Final = 10.0
MOST: Final = 16
"""Connections at a time."""

_HEADERS: Final = (
    "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\n"
    "Connection: close\r\n"
)
_DONE: Final = "The login has come back to the gateway. You can close this window."
_OTHER: Final = "There is no such login here."


class Loopback:
    """Listens from `start` to `close`. `wait` gives the address that the browser was sent to."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        """`host`: 127.0.0.1 or localhost, as the provider wants it in the redirect; it is 127.0.0.1 that is bound."""
        self._host = host
        self._server: asyncio.Server | None = None
        self._state: bytes | None = None
        self._came: asyncio.Future[str] | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.redirect = ""
        """What to give the provider."""

    async def start(self) -> None:
        """OSError when no port can be had."""
        self._came = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=REQUEST_OCTETS)
        port = self._server.sockets[0].getsockname()[1]
        self.redirect = f"http://{self._host}:{port}/"

    async def wait(self, state: str) -> str:
        """The whole address, once a browser comes with this `state`."""
        assert self._came is not None, "start it first"
        self._state = state.encode()
        return await asyncio.shield(self._came)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()  # what still has not asked anything
            await self._server.wait_closed()
        if self._came is not None:
            self._came.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if len(self._open) <= MOST:
                async with asyncio.timeout(REQUEST_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    status, text, address = self._answer(head)
                    page = f"<!doctype html><title>Mail gateway</title><p>{text}</p>".encode()
                    writer.write(f"HTTP/1.1 {status}\r\n{_HEADERS}Content-Length: {len(page)}\r\n\r\n".encode() + page)
                    await writer.drain()
                    if address is not None and self._came is not None and not self._came.done():
                        self._came.set_result(address)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a browser that goes away, or something that is none
        finally:
            self._open.discard(writer)
            writer.close()

    def _answer(self, head: bytes) -> tuple[str, str, str | None]:
        """(status, text, the address if it is the one that is waited for)"""
        try:
            line, *fields = head.decode("ascii").split("\r\n")
            method, target, version = line.split(" ")
        except ValueError:
            return "400 Bad Request", _OTHER, None
        hosts = [value.strip().lower() for name, _, value in (each.partition(":") for each in fields)
                 if name.lower() == "host"]  # fmt: skip
        # A name that leads here from elsewhere (DNS rebinding) is not ours.
        if hosts != [urlsplit(self.redirect).netloc] or not version.startswith("HTTP/1."):
            return "400 Bad Request", _OTHER, None
        if method != "GET":
            return "405 Method Not Allowed", _OTHER, None
        try:
            parts = urlsplit(target)
            states = parse_qs(parts.query, max_num_fields=40).get("state", [])
        except ValueError:
            return "400 Bad Request", _OTHER, None
        ours = self._state is not None and len(states) == 1 and hmac.compare_digest(states[0].encode(), self._state)
        if parts.path != "/" or not ours:
            return "404 Not Found", _OTHER, None
        return "200 OK", _DONE, f"{self.redirect}?{parts.query}"
