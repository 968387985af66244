"""The local HTTP port: its three pages, readiness, and requests that are none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from gateway.config import ConfigError
from gateway.ops import health
from gateway.ops.health import HealthServer


async def fine() -> str | None:
    return None


async def broken() -> str | None:
    return "The database is away"


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


async def faulty() -> str | None:
    raise ValueError("canary")


def serving(test: Callable[[HealthServer, Callable[[bytes], Awaitable[bytes]]], Awaitable[None]]) -> None:
    async def run() -> None:
        server = HealthServer(lambda: b"figures 1\n")
        port = await server.start("127.0.0.1", 0)

        async def ask(octets: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(octets)
            writer.write_eof()
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""  # closed with our request unread
            finally:
                writer.close()

        try:
            await test(server, ask)
        finally:
            await server.close()

    asyncio.run(run())


@pytest.mark.parametrize(("request_line", "status", "body"), [
    (b"GET /metrics HTTP/1.1", b"200 OK", b"figures 1\n"),
    (b"GET /metrics?x=1 HTTP/1.0", b"200 OK", b"figures 1\n"),
    (b"HEAD /metrics HTTP/1.1", b"200 OK", b""),
    (b"GET /healthz HTTP/1.1", b"200 OK", b"ok\n"),
    (b"GET / HTTP/1.1", b"404 Not Found", b"there are /metrics, /healthz and /readyz\n"),
    (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed", b"only GET and HEAD\n"),
    (b"GET /metrics", b"400 Bad Request", b"bad request\n"),
    (b"\x16\x03\x01 hello there", b"400 Bad Request", b"bad request\n"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"431 Request Header Fields Too Large", b"request too large\n"),
])
def test_requests(request_line: bytes, status: bytes, body: bytes) -> None:
    async def test(_server: HealthServer, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        answer = await ask(request_line + b"\r\nHost: x\r\n\r\n")
        head, _, got = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status + b"\r\n")
        assert got == body
        assert b"Connection: close" in head
        assert (b"Allow: GET, HEAD" in head) == (b"405" in status)
        if not request_line.startswith(b"HEAD"):
            assert b"Content-Length: %d\r\n" % len(body) in head

    serving(test)


def test_half_a_request_gets_nothing_and_harms_nobody() -> None:
    async def test(_server: HealthServer, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        assert await ask(b"GET /healthz HTTP/1.1\r\nHost") == b""
        assert await ask(b"") == b""
        assert b"200 OK" in await ask(b"GET /healthz HTTP/1.1\r\n\r\n")

    serving(test)


def test_too_many_connections_at_once_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CONNECTIONS", 0)

    async def test(_server: HealthServer, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        assert await ask(b"GET /healthz HTTP/1.1\r\n\r\n") == b""

    serving(test)


def ready(**checks: health.Check) -> tuple[int, dict[str, object]]:
    server = HealthServer(lambda: b"", checks=checks)
    page = asyncio.run(server.page("/readyz"))
    return page.status.value, json.loads(page.body)


def test_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.01)
    assert ready() == (200, {"ready": True, "failed": {}})
    assert ready(store=fine) == (200, {"ready": True, "failed": {}})
    status, body = ready(store=broken, ports=fine, slow=hanging, odd=faulty)
    assert status == 503
    assert body == {"ready": False, "failed": {
        "store": "The database is away", "slow": "no answer in 0.01 seconds",
        "odd": "the check itself failed; see the log",
    }}


def test_draining_is_not_ready() -> None:
    server = HealthServer(lambda: b"", checks={"store": fine})
    server.draining = True
    page = asyncio.run(server.page("/readyz"))
    assert page.status == 503
    assert json.loads(page.body)["failed"] == {"process": "stopping"}


def test_a_taken_port_is_a_configuration_error() -> None:
    async def run() -> None:
        first = HealthServer(lambda: b"")
        port = await first.start("127.0.0.1", 0)
        with pytest.raises(ConfigError, match=rf"metrics\.port: cannot listen on 127\.0\.0\.1 port {port}"):
            await HealthServer(lambda: b"").start("127.0.0.1", port)
        await first.close()

    asyncio.run(run())
