"""HTTP over Twisted's transports: uvicorn's protocols speak, what carries them is what carries IMAP.

The loop's own TLS costs 283 KB a connection and Twisted's 26, and thousands listen for events. So the transport that
uvicorn sees is this module's, and doors for proxies, sockets of systemd and new certificates are the same as for IMAP.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

import structlog
from twisted.internet.interfaces import IAddress, IHandshakeListener, IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from zope.interface import implementer  # type: ignore[import-untyped]

from gateway.model.errors import LimitReached

from . import problems
from .handshakes import Handshakes
from .services import Gate, WebSettings

log = structlog.get_logger(__name__)

HEAD_OCTETS = 64 * 1024
"""What a request may have before its body: the parser itself has no limit."""
CLOSE_S = 5.0
"""A peer that does not read what ends the connection is cut."""


class State(ServerState):
    """uvicorn's, whose headers of every answer are made anew each second."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._headers: list[tuple[bytes, bytes]] = []

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._headers = [(b"date", email.utils.formatdate(now, usegmt=True).encode("ascii"))]
        return self._headers

    @default_headers.setter
    def default_headers(self, value: object) -> None:
        """uvicorn's own are not ours."""


class Http(HttpToolsProtocol):
    """uvicorn's protocol, with limits to what comes before, behind and instead of a body, and to its pauses."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.head_seconds = 30.0
        self._silent = 0  # octets of which nobody but the parser has heard
        self._heard = False  # with the octets that are looked at just now
        self._upgraded = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # RFC 9112 9.6: what comes behind the last answer is not carried out
        self._heard = False
        super().data_received(data)
        if self._upgraded:
            return
        # The parser keeps a field that has no end yet and fields behind a body, and skips what else chunks say: it
        # tells nobody how long these are.
        self._silent = 0 if self._heard else self._silent + len(data)
        if self._silent > HEAD_OCTETS:
            self._refuse(431, f"What comes before a body may have {HEAD_OCTETS} octets")
        elif self._timer is None and self.timeout_keep_alive_task is None and not self._answering:
            self._expect_head()  # a blank line between two requests has ended the wait for the next one

    def on_message_begin(self) -> None:
        self._heard = True
        if self._timer is None:
            self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._cancel()
        self._expect_body()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._heard = True
        self._expect_body()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._cancel()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """No head follows, and what does is not ours."""
        self._upgraded = True
        self._cancel()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "This is no HTTP request")

    def _refuse(self, status: int, detail: str) -> None:
        """Say why the connection ends, unless that would be taken for the answer to a request before, or be in it."""
        of_this_one = self._answering and self.cycle.more_body and not self.cycle.response_started
        if self._answering and (self.pipeline or not of_this_one):
            self.transport.abort()
            return
        said = problems.document(problems.kind_of_status(status), detail, name="Error", message=detail)
        body = json.dumps(said).encode()
        fields = (
            *self.server_state.default_headers, (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)), (b"connection", b"close"), (b"x-content-type-options", b"nosniff"),
        )  # fmt: skip
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, HTTPStatus(status).phrase.encode(), head, body))
        self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _expect_body(self) -> None:
        """Its next octets, within the same time: nobody holds a connection by saying that there will be more."""
        self._cancel()
        self._timer = self.loop.call_later(self.head_seconds, self._no_body)

    def _no_body(self) -> None:
        if self.flow.read_paused:
            self._expect_body()  # it is we who do not read
        else:
            self.transport.abort()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Wire(asyncio.Transport):
    """A Twisted transport as asyncio has them."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._closing = False
        self.gone = False
        """There is nothing left to close."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        bridge = self._bridge
        if name == "peername":
            return (bridge.peer, bridge.peer_port)
        if name == "sockname":
            host = bridge.transport.getHost()
            return (getattr(host, "host", ""), getattr(host, "port", 0))
        if name == "sslcontext":
            return True if bridge.secure else default
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closing():
            self._bridge.transport.write(bytes(data))

    def is_closing(self) -> bool:
        return self._closing or self.gone

    def close(self) -> None:
        if not self.is_closing():
            self._closing = True
            self._bridge.end()

    def abort(self) -> None:
        if not self.gone:
            self._closing = True
            self._bridge.transport.abortConnection()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From HTTP to WebSocket."""
        self._bridge.inside = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self._bridge.inside)

    def pause_reading(self) -> None:
        if not self.gone:
            self._bridge.transport.pauseProducing()

    def resume_reading(self) -> None:
        if not self.is_closing():
            self._bridge.transport.resumeProducing()

    def can_write_eof(self) -> bool:
        return False


@implementer(IPushProducer, IHandshakeListener)
class Bridge(Protocol):
    """One connection."""

    factory: WebFactory
    transport: Any

    def __init__(self) -> None:
        self.inside: Any = None
        self.wire: Wire | None = None
        self.peer = ""
        self.peer_port = 0
        self.secure = False
        self._counted = False
        self._timer: asyncio.TimerHandle | None = None

    def connectionMade(self) -> None:
        peer = self.transport.getPeer()
        self.peer, self.peer_port = getattr(peer, "host", "local"), getattr(peer, "port", 0)
        gate = self.factory.gate
        if gate is not None:
            try:
                gate.open(self.peer)
            except LimitReached as error:
                log.warning("web.connection_refused", peer=self.peer, reason=str(error))
                self.transport.abortConnection()
                return
            self._counted = True
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        if ISSLTransport.providedBy(self.transport):
            self._after(self.factory.settings.handshake_timeout)
        else:
            self._begin()

    def handshakeCompleted(self) -> None:
        self._cancel()
        self.secure = True
        self._begin()

    def _begin(self) -> None:
        self.transport.registerProducer(self, True)
        self.inside = self.factory.speaker()
        self.factory.bridges.add(self)
        self.wire = Wire(self)
        self.inside.connection_made(self.wire)

    def dataReceived(self, data: bytes) -> None:
        if self.inside is not None:
            self.inside.data_received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel()
        self.factory.bridges.discard(self)
        if self._counted and self.factory.gate is not None:
            self.factory.gate.close(self.peer)
        if self.wire is not None:
            self.wire.gone = True
            self.inside.connection_lost(None)

    def pauseProducing(self) -> None:
        """The transport holds enough; a peer that takes nothing for too long is dropped."""
        if self.inside is not None:
            self.inside.pause_writing()
            self._after(self.factory.settings.write_timeout)

    def resumeProducing(self) -> None:
        if self.inside is not None:
            self._cancel()
            self.inside.resume_writing()

    def stopProducing(self) -> None:
        """The consumer has gone; `connectionLost` follows."""

    def end(self) -> None:
        """Close when what was written has gone out."""
        # A registered producer would keep loseConnection waiting; a peer that does not read keeps it waiting too.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._after(CLOSE_S)

    def _after(self, seconds: float) -> None:
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.transport.abortConnection)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class WebFactory(Factory):
    """Makes the connections of one listener for an ASGI application."""

    noisy = False

    def __init__(
        self, app: Any, settings: WebSettings, gate: Gate | None, stop: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`stop`: ends what would go on for ever."""
        self._stop = stop
        self.settings = settings
        self.gate = gate
        self.bridges: set[Bridge] = set()
        self.state = State()
        self._config = Config(
            app, lifespan="off", log_config=None, access_log=False, http=Http, ws=Handshakes,
            timeout_keep_alive=settings.keep_alive, server_header=False, date_header=False,  # type: ignore[arg-type]
            proxy_headers=False, ws_max_size=64 * 1024, ws_per_message_deflate=False,
        )  # fmt: skip
        self._config.load()
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what any peer may bring about is no news

    def speaker(self) -> Http:
        made = Http(self._config, self.state, {})
        made.head_seconds = self.settings.head_timeout
        return made

    def buildProtocol(self, addr: IAddress | None) -> Bridge | None:  # type: ignore[override]
        bridge = Bridge()
        bridge.factory = self
        return bridge

    async def close(self, seconds: float) -> None:
        """No further request on any connection; those under way have `seconds` to end."""
        if self._stop is not None:
            await self._stop()  # before the connections are shut: a WebSocket says nothing more once it is
        for connection in tuple(self.state.connections):
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(self.state.tasks, timeout=seconds)
        for bridge in tuple(self.bridges):
            bridge.transport.abortConnection()
        for task in tuple(self.state.tasks):
            task.cancel()
