"""A connection that becomes a WebSocket: nothing of HTTP watches it any more."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web.bridge import Http
from gateway.web.handshakes import Handshakes

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.protocol: Any = None
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.aborted

    def close(self) -> None:
        self.aborted = True

    abort = close

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.Event().wait()


async def _open() -> tuple[Http, Wire]:
    config = Config(app, lifespan="off", log_config=None, http=Http, ws=Handshakes)
    config.load()
    http, wire = Http(config=config, server_state=ServerState(), app_state={}), Wire()
    wire.protocol = http
    http.connection_made(wire)
    http.head_seconds = 0.0
    return http, wire


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_no_head_is_waited_for_behind_a_handshake() -> None:
    async def talk() -> None:
        http, wire = await _open()
        http.data_received(HANDSHAKE)
        await _turns()
        assert wire.written.startswith(b"HTTP/1.1 101 ")
        assert not wire.aborted
        wire.protocol.connection_lost(None)
        await _turns()

    asyncio.run(talk())


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """So the test above has a clock that it would hear."""

    async def talk() -> None:
        http, wire = await _open()
        http.data_received(b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n")
        await _turns()
        assert wire.aborted

    asyncio.run(talk())
