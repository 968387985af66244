"""Listeners for submission, 465 (TLS from the first octet, RFC 8314) and 587 (STARTTLS), and for LMTP."""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.model.errors import LimitReached

from .connection import LOCAL
from .lmtp import LmtpSession
from .ports import SubmissionServices
from .session import SubmissionSession

log = structlog.get_logger(__name__)

_BACKLOG: Final = 1024
_TLS_BUFFER: Final = 16_384  # one TLS record


def _everybody(peer: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class SubmissionListener:
    """`implicit_tls`: 465's way; else STARTTLS. `sock`: one already bound (by systemd, or at a path of the file
    system), then host and port are not used. `lmtp`: mail from a server in front, without a login.

    `tls` None: never (a proxy on this machine does the TLS). `trusted`: logins are allowed without it. `allowed` says
    of a peer's IP address whether it may connect.

    A new certificate is loaded into the same `tls` context; connections made from then on get it.
    """

    tls: ssl.SSLContext | None
    implicit_tls: bool
    host: str = ""
    port: int = 0
    sock: socket.socket | None = None
    trusted: bool = False
    allowed: Callable[[str], bool] = _everybody
    lmtp: bool = False


class SubmissionServer:
    """One listener and its sessions."""

    def __init__(self, services: SubmissionServices, listener: SubmissionListener) -> None:
        self._services = services
        self._listener = listener
        self._server: asyncio.AbstractServer | None = None
        self._sessions: set[SubmissionSession] = set()
        self._counted: set[SubmissionSession] = set()  # those that the gate let in
        self._empty = asyncio.Event()
        self._empty.set()
        self._closing = False

    async def start(self) -> None:
        """Binds and listens. OSError when the address is taken."""
        listener, loop = self._listener, asyncio.get_running_loop()
        options = self._options() | {"backlog": _BACKLOG}
        if listener.sock is not None and listener.sock.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(self._session, sock=listener.sock, **options)  # type: ignore[arg-type]
        elif listener.sock is not None:
            self._server = await loop.create_server(self._session, sock=listener.sock, **options)  # type: ignore[call-overload]
        else:
            self._server = await loop.create_server(self._session, listener.host or None, listener.port, **options)  # type: ignore[call-overload]

    async def adopt(self, sock: socket.socket, peer: str) -> None:
        """Serves a connection that somebody else has accepted, as that of the IP address `peer`."""
        if self._closing:
            sock.close()
            return
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._session(peer), sock, **self._options()  # type: ignore[arg-type]
            )
        except (OSError, TimeoutError):  # it has gone, or there was no handshake
            self._services.metrics.count("smtp_tls_failures")
            sock.close()

    def _options(self) -> dict[str, object]:
        # STARTTLS and, without uvloop, 465 run over this class: its buffer is 256 KiB a connection otherwise.
        asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER
        if not self._listener.implicit_tls:
            return {}
        # uvloop's own TLS, of all ways measured the cheapest: 0.9 ms a handshake, 36 us an exchange.
        return {"ssl": self._listener.tls, "ssl_handshake_timeout": self._services.settings.handshake_s}

    @property
    def port(self) -> int:
        """The bound port: for listeners on port 0."""
        sockets = getattr(self._server, "sockets", ())
        name = sockets[0].getsockname() if sockets else None
        return int(name[1]) if isinstance(name, tuple) else 0

    @property
    def connections(self) -> int:
        return len(self._sessions)

    def _session(self, peer: str = "") -> SubmissionSession:
        kind = LmtpSession if self._listener.lmtp else SubmissionSession
        session = kind(
            self._services,
            self._listener.tls,
            implicit_tls=self._listener.implicit_tls,
            trusted=self._listener.trusted,
            on_made=self._made,
            on_lost=self._lost,
        )
        session.peer = peer
        return session

    def _made(self, session: SubmissionSession) -> None:
        """Called before the greeting: a session that is one too many is told so and closed."""
        self._sessions.add(session)
        self._empty.clear()
        self._services.metrics.shift("smtp_connections", 1)  # of all listeners
        if self._closing:
            session.end("421 4.3.2 Service is shutting down")
        elif not session.peer:
            session.end("421 4.4.2 The connection is gone")  # whatever it said: nobody knows whether it may
        elif session.peer == LOCAL:
            pass  # who may use the socket is a matter of its mode, and all that come by it have one address
        elif not self._listener.allowed(session.peer):
            session.end("421 4.7.0 Not from your address")
        elif self._services.gate is not None:
            try:
                self._services.gate.open(session.peer)
                self._counted.add(session)
            except LimitReached as error:
                log.warning("smtp.connection_refused", peer=session.peer, reason=str(error))
                session.end("421 4.7.0 Too many connections from your address")

    def _lost(self, session: SubmissionSession) -> None:
        if session not in self._sessions:
            return
        self._sessions.discard(session)
        if self._services.gate is not None and session in self._counted:
            self._counted.discard(session)
            self._services.gate.close(session.peer)
        if not self._sessions:
            self._empty.set()
        self._services.metrics.shift("smtp_connections", -1)

    async def wait_empty(self) -> None:
        """Until no session is left."""
        await self._empty.wait()

    async def close(self, grace_s: float = 8.0) -> None:
        """Stops accepting; idle sessions get 421, busy ones finish their command.

        After `grace_s` seconds what is left is cut.
        """
        self._closing = True
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.end("421 4.3.2 Service is shutting down")
        try:
            async with asyncio.timeout(grace_s):
                await self.wait_empty()
        except TimeoutError:
            log.warning("smtp.sessions_cut", count=len(self._sessions))
            for session in list(self._sessions):
                session.cut()
