"""Twisted's edge of the IMAP server: octets in, octets out, backpressure both ways, an end that really ends.

TLS is Twisted's (pyOpenSSL). The session is made once the handshake is done, so a scanner costs a socket only.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IHandshakeListener, IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from gateway.model.errors import LimitReached

from .binding import channel_binding
from .services import Cancellable, ImapServices
from .session import Session

log = structlog.get_logger(__name__)


@implementer(IPushProducer, IHandshakeListener)
class ImapProtocol(Protocol):
    """One connection; the `Peer` of its session's channel."""

    factory: ImapFactory
    transport: Any  # TCP, or TLS over it: both have what is used here

    def __init__(self) -> None:
        self.session: Session | None = None
        self.address = ""
        self.secure = False
        self._counted = False
        self._tls: SSL.Connection | None = None
        self._timer: Cancellable | None = None

    # -- from Twisted --------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.address = getattr(self.transport.getPeer(), "host", "local")
        gate = self.factory.services.gate
        if gate is not None:
            try:
                gate.open(self.address)
            except LimitReached as error:
                log.warning("imap.connection_refused", peer=self.address, reason=str(error))
                self.abort()
                return
            self._counted = True
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        if ISSLTransport.providedBy(self.transport):
            self._after(self.factory.services.settings.handshake_timeout, self.abort)
        else:
            self._begin()

    def handshakeCompleted(self) -> None:
        """TLS is up: on an implicit TLS port the session begins, after STARTTLS it goes on."""
        self._cancel()
        self.secure = True
        self._tls = self.transport.getHandle()
        if self.session is None:
            self._begin()

    def _begin(self) -> None:
        factory = self.factory
        self.secure = self.secure or factory.trusted
        can_start_tls = factory.tls is not None and not self.secure
        self.session = Session(factory.services, self, can_start_tls=can_start_tls)
        factory.opened(self.session)
        self.transport.registerProducer(self, True)
        self.session.greet()

    def dataReceived(self, data: bytes) -> None:
        if self.session is not None:
            self.session.channel.data_received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel()
        if self._counted and self.factory.services.gate is not None:
            self.factory.services.gate.close(self.address)
        if self.session is not None:
            self.factory.closed(self.session)
            self.session.connection_lost()

    def pauseProducing(self) -> None:
        """The transport holds enough: commands wait, and a peer that takes nothing for too long is dropped."""
        if self.session is not None:
            self.session.channel.pause()
            if not self.session.channel.ended:
                self._after(self.factory.services.settings.write_timeout, self._write_timed_out)

    def resumeProducing(self) -> None:
        if self.session is not None:
            if not self.session.channel.ended:
                self._cancel()
            self.session.writable()

    def stopProducing(self) -> None:
        """The consumer has gone; `connectionLost` follows."""

    # -- Peer ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def close(self) -> None:
        # A registered producer would keep loseConnection waiting; a peer that does not read keeps it waiting too.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._after(self.factory.services.settings.close_timeout, self.abort)

    def abort(self) -> None:
        self.transport.abortConnection()

    @property
    def can_bind(self) -> bool:
        return self._tls is not None

    def channel_binding(self, kind: str) -> bytes | None:
        return None if self._tls is None else channel_binding(self._tls, kind)

    def pause_reading(self) -> None:
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        self.transport.resumeProducing()

    def start_tls(self) -> None:
        assert self.factory.tls is not None
        self._after(self.factory.services.settings.handshake_timeout, self.abort)
        self.transport.startTLS(self.factory.tls)

    # -- timers --------------------------------------------------------------------------------------------------

    def _after(self, seconds: float, action: Any) -> None:
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write_timed_out(self) -> None:
        log.info("imap.write_timeout", peer=self.address)
        self.abort()


class ImapFactory(Factory):
    """Makes the protocols of one listener.

    `tls`: Twisted's context factory for STARTTLS on a plain listener, None where TLS is implicit or not wanted.
    `trusted`: logins are allowed without TLS (a listener for a proxy on the same machine, a benchmark).
    """

    noisy = False

    def __init__(self, services: ImapServices, tls: Any | None = None, *, trusted: bool = False) -> None:
        self.services = services
        self.tls = tls
        self.trusted = trusted
        self.sessions: set[Session] = set()

    def buildProtocol(self, addr: IAddress | None) -> ImapProtocol | None:  # type: ignore[override]
        protocol = ImapProtocol()
        protocol.factory = self
        return protocol

    def opened(self, session: Session) -> None:
        self.sessions.add(session)
        self.services.metrics.count("imap_connections_total")
        self.services.metrics.shift("imap_connections", 1)  # of all listeners

    def closed(self, session: Session) -> None:
        self.sessions.discard(session)
        self.services.metrics.shift("imap_connections", -1)

    def end_all(self, reason: str = "Server is shutting down") -> None:
        """BYE to every session; what they were doing is finished by the store, or answered by nobody."""
        for session in tuple(self.sessions):
            session.end(reason)
