"""uvicorn's protocol with our limits, on a transport that only writes down: who stops in a request is dropped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uvicorn import Config

from gateway.web.bridge import Http, State

LONG = 60.0


class Paper(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.over = asyncio.Event()
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.over.is_set()

    def close(self) -> None:
        self.over.set()

    def abort(self) -> None:
        self.over.set()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def reads_all(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def reads_nothing(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


def opened(app: Any, seconds: float) -> tuple[Http, Paper]:
    config = Config(app, lifespan="off", log_config=None, http=Http, timeout_keep_alive=60)
    config.load()
    protocol, paper = Http(config, State(), {}), Paper()
    protocol.head_seconds = seconds
    protocol.connection_made(paper)
    return protocol, paper


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("begun", [
    b"", b"G", b"GET / HTTP/1.1\r\nX: ", POST + b"Content-Length: 9\r\n\r\n", POST + b"Content-Length: 9\r\n\r\n123",
    POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nkey=\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
], ids=["nothing", "line", "field", "no body", "body", "chunks", "trailers"])  # fmt: skip
def test_who_stops_is_dropped(begun: bytes) -> None:
    async def run() -> None:
        protocol, paper = opened(reads_all, 0.01)
        protocol.data_received(begun)
        async with asyncio.timeout(LONG):
            await paper.over.wait()
        protocol.connection_lost(None)

    asyncio.run(run())


@pytest.mark.parametrize("more", [b"\r\n", b"G"], ids=["a blank line", "a line that is begun"])
def test_what_is_no_request_does_not_keep_a_connection(more: bytes) -> None:
    """It ends the wait for the next one, and begins none."""

    async def run() -> None:
        protocol, paper = opened(reads_all, 0.01)
        protocol.data_received(POST + b"Content-Length: 0\r\n\r\n")
        async with asyncio.timeout(LONG):
            await asyncio.gather(*protocol.tasks)
            assert protocol.timeout_keep_alive_task is not None
            protocol.data_received(more)
            await paper.over.wait()
        protocol.connection_lost(None)

    asyncio.run(run())


def test_who_goes_on_is_not() -> None:
    async def run() -> None:
        protocol, paper = opened(reads_all, LONG)
        for octet in POST + b"Content-Length: 3\r\n\r\n123":
            protocol.data_received(bytes([octet]))
        async with asyncio.timeout(LONG):
            await asyncio.gather(*protocol.tasks)
        assert paper.written.startswith(b"HTTP/1.1 204 ")
        assert protocol._timer is None
        protocol.connection_lost(None)

    asyncio.run(run())


def test_who_is_not_read_is_not_blamed() -> None:
    """The application does not take the body: the peer cannot go on."""

    async def run() -> None:
        protocol, paper = opened(reads_nothing, LONG)
        protocol.data_received(POST + b"Content-Length: 900000\r\n\r\n" + b"x" * 100_000)
        assert not paper.reading
        protocol._no_body()
        assert not paper.is_closing()
        protocol.flow.resume_reading()
        protocol._no_body()
        assert paper.is_closing()
        for task in protocol.tasks:
            task.cancel()
        protocol.connection_lost(None)

    asyncio.run(run())
