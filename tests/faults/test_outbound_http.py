"""Our HTTP client against servers that do everything wrong; none of it may reach a network that is not allowed."""

from __future__ import annotations

import asyncio
import gc
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.model.errors import InvalidRequest
from gateway.ops import pki
from gateway.outbound.failure import Failure
from gateway.outbound.http import HttpClient, HttpFailed, HttpSettings, usable_url
from gateway.outbound.proxy import Proxy, ProxyKind
from gateway.outbound.tls import ClientContexts, TlsPolicy

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
FORM = {"grant_type": "x y&=ü", "token": "secret"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> pki.LocalPki:
    return pki.ensure(tmp_path_factory.mktemp("tls"), [], datetime.now(UTC))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine on a loop of each kind; then nothing may be left open."""

    def call(work: Any) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            found = runner.run(work)
        gc.collect()  # a socket that was forgotten warns, and warnings are errors
        return found

    return call


class Server:
    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    def url(self, host: str = "localhost", path: str = "/token") -> str:
        return f"https://{host}:{self.port}{path}"


@asynccontextmanager
async def served(files: pki.LocalPki, answer: bytes | Serve, *, tls: bool = True) -> AsyncIterator[Server]:
    found = Server()
    tasks: set[asyncio.Task[None]] = set()
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.server_file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if callable(answer):
                await answer(reader, writer)
                return
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                           if line.lower().startswith(b"content-length:")), 0)  # fmt: skip
            found.requests.append(head + await reader.readexactly(length))
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def client(files: pki.LocalPki, **settings: Any) -> AsyncIterator[HttpClient]:
    values: dict[str, Any] = {"allow_private": True, "tls": TlsPolicy(ca_file=files.ca_file), "total": 5.0, **settings}
    found = HttpClient(ClientContexts(), HttpSettings(**values))
    try:
        yield found
    finally:
        await found.close()


def test_a_form_and_its_answer(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        answer = b"HTTP/1.1 400 No\r\nX-One: 1\r\nx-one: 2\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}"
        async with served(files, answer) as server, client(files) as http:
            found = await http.post_form(server.url(), FORM, headers={"X-Mine": "yes"})
            assert (found.status, found.body, found.headers["x-one"]) == (400, b"{}", "1")
            assert "{}" not in repr(found)
            await http.get(server.url(path="/again?x=1"))
            first, second = server.requests
            assert first.startswith(b"POST /token HTTP/1.1\r\n")
            assert first.endswith(b"\r\n\r\ngrant_type=x+y%26%3D%C3%BC&token=secret")
            assert b"X-Mine: yes" in first
            assert second.startswith(b"GET /again?x=1 HTTP/1.1\r\n")
            assert b"cookie" not in second.lower()
            assert server.connections == 2, "a connection that may be lost is not used again"

    run(work())


def test_chunks_are_put_together(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n3\r\na\":\r\n2\r\n1}\r\n0\r\n\r\n"
        async with served(files, answer) as server, client(files) as http:
            assert (await http.get(server.url())).body == b'{"a":1}'

    run(work())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_private_network_is_not_dialled(files: pki.LocalPki, run: Any, host: str) -> None:
    """Would fail if aiohttp dialled by itself: the server is there and would answer."""

    async def work() -> None:
        async with served(files, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
            async with client(files, allow_private=False) as http:
                with pytest.raises(HttpFailed) as caught:
                    await http.post_form(server.url(host), FORM)
            assert (caught.value.failure, caught.value.sent) == (Failure.DENIED, False)
            assert server.connections == 0

    run(work())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(files: pki.LocalPki, run: Any, status: int) -> None:
    async def work() -> None:
        async with served(files, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as other:
            answer = f"HTTP/1.1 {status} Go\r\nLocation: {other.url()}\r\nContent-Length: 0\r\n\r\n"
            async with served(files, answer.encode()) as server, client(files) as http:
                assert (await http.post_form(server.url(), FORM)).status == status
            assert other.connections == 0

    run(work())


async def _flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def _headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: " + b"y" * 65_536)
        await writer.drain()


async def _more_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n" * 10_000)
        await writer.drain()


async def _greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.test ESMTP\r\n")
    await reader.read()


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.get_running_loop().create_future()


async def _trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"", Failure.LOST),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Failure.LOST),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Failure.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Failure.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", Failure.PROTOCOL),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Failure.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\n\0: x\r\n\r\n", Failure.PROTOCOL),
        (_flood, Failure.PROTOCOL),
        (_headers, Failure.PROTOCOL),
        (_silence, Failure.TIMEOUT),
        (_trickle, Failure.TIMEOUT),
    ],
)
def test_answers_that_are_none(files: pki.LocalPki, run: Any, answer: bytes | Serve, failure: Failure) -> None:
    async def work() -> None:
        slow = 0.5 if failure is Failure.TIMEOUT else 5.0
        async with served(files, answer) as server, client(files, total=slow) as http:
            with pytest.raises(HttpFailed) as caught:
                await http.post_form(server.url(), FORM)
            assert (caught.value.failure, caught.value.sent) == (failure, True)
            assert "secret" not in str(caught.value)

    run(work())


def test_headers_without_end(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        async with served(files, _more_headers) as server, client(files, total=2.0) as http:
            with pytest.raises(HttpFailed) as caught:
                await http.get(server.url())
            assert caught.value.failure in {Failure.PROTOCOL, Failure.TIMEOUT}

    run(work())


def test_certificates_are_verified(files: pki.LocalPki, run: Any, tmp_path: Path) -> None:
    async def work() -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with served(files, answer) as server:
            async with client(files, tls=TlsPolicy()) as http:  # the system's CAs
                with pytest.raises(HttpFailed) as caught:
                    await http.post_form(server.url(), FORM)
                assert (caught.value.failure, caught.value.sent) == (Failure.TLS_VERIFY, False)

            async def resolve(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
                return [(2, ("127.0.0.1", port))]

            settings = HttpSettings(allow_private=True, tls=TlsPolicy(ca_file=files.ca_file))
            http = HttpClient(ClientContexts(), settings, resolver=resolve)
            with pytest.raises(HttpFailed) as caught:
                await http.post_form(server.url("other.test"), FORM)
            assert caught.value.failure == Failure.TLS_VERIFY
            await http.close()
            assert server.requests == []
        async with served(files, _greeting, tls=False) as server, client(files) as http:
            with pytest.raises(HttpFailed) as caught:
                await http.post_form(server.url(), FORM)
            assert (caught.value.failure, caught.value.sent) == (Failure.NOT_TLS, False)

    run(work())


def test_a_pinned_server_is_asked_before_anything_is_said(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        pin = pki.fingerprint(files.server_file).replace(":", "").lower()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with served(files, answer) as server:
            async with client(files, tls=TlsPolicy(ca_file=files.ca_file, pins=("0" * 64,))) as http:
                with pytest.raises(HttpFailed) as caught:
                    await http.post_form(server.url(), FORM)
                assert (caught.value.failure, caught.value.sent) == (Failure.TLS_VERIFY, False)
            assert server.requests == []
            async with client(files, tls=TlsPolicy(pins=(pin,), pin_only=True)) as http:
                assert (await http.get(server.url())).status == 200

    run(work())


async def _proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP CONNECT to wherever it is told, and then octets both ways."""
    target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
    host, _, port = target.rpartition(":")
    up_reader, up_writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(b"HTTP/1.1 200 Go on\r\n\r\n")

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while octets := await source.read(4096):
            target.write(octets)
        target.close()

    await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer), return_exceptions=True)


def test_through_a_proxy(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with served(files, _proxy, tls=False) as between, served(files, answer) as server:
            proxy = Proxy(ProxyKind.HTTP, "127.0.0.1", between.port, allow_private=True)
            async with client(files, proxy=proxy) as http:
                assert (await http.post_form(server.url(), FORM)).status == 200
            assert (between.connections, server.connections) == (1, 1)
            async with client(files, proxy=proxy, allow_private=False) as http:
                with pytest.raises(HttpFailed) as caught:
                    await http.post_form(server.url(), FORM)
                assert caught.value.failure == Failure.DENIED, "the table holds for what a proxy is asked for too"
        async with client(files, proxy=proxy) as http:
            with pytest.raises(HttpFailed) as caught:
                await http.post_form(server.url(), FORM)
            assert (caught.value.failure, caught.value.sent) == (Failure.PROXY, False)

    run(work())


def test_nobody_there(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        async with served(files, b"") as server:
            gone = server.url()
        async with client(files) as http:
            for url, failure in ((gone, Failure.REFUSED), ("https://nobody.invalid/", Failure.DNS)):
                with pytest.raises(HttpFailed) as caught:
                    await http.post_form(url, FORM)
                assert (caught.value.failure, caught.value.sent) == (failure, False)

    run(work())


def test_a_handshake_that_never_ends(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        async with served(files, _silence, tls=False) as server, client(files, total=0.5) as http:
            with pytest.raises(HttpFailed) as caught:
                await http.post_form(server.url(), FORM)
            assert (caught.value.failure, caught.value.sent) == (Failure.TIMEOUT, False)

    run(work())


def test_who_is_cancelled_leaves_nothing_open(files: pki.LocalPki, run: Any) -> None:
    async def work() -> None:
        for tls in (True, False):
            came = asyncio.Event()

            async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                came.set()  # noqa: B023 - this round's
                await reader.read()

            async with served(files, silence, tls=tls) as server, client(files) as http:
                asking = asyncio.ensure_future(http.post_form(server.url(), FORM))
                await came.wait()
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking

    run(work())


def test_the_environments_proxy_is_not_used(
    files: pki.LocalPki, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with served(files, b"", tls=False) as proxy:
            for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            async with served(files, answer) as server, client(files) as http:
                assert (await http.get(server.url())).status == 200
            assert proxy.connections == 0

    run(work())


@pytest.mark.parametrize(
    "url",
    ["http://x.test/", "ftp://x.test/", "https://", "https:///x", "https://user@x.test/", "https://u:p@x.test/",
     "https://x.test:0/", "https://x.test:99999/", "https://[::1/", "https://x.test/ü", "https://x.test/a b",
     "https://x.test/\r\nHost: y", "https://x.test/" + "a" * 9000, "", "file:///etc/passwd"],
)  # fmt: skip
def test_urls_that_are_not_asked(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        usable_url(url)
    assert len(url) < 9 or url not in str(caught.value)


def test_who_makes_no_request_does_not_load_it() -> None:
    text = "import sys, gateway.outbound.http, gateway.oauth.parts; print('aiohttp' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
