"""Twisted's edge on Twisted's own fake transport: producer, handshake, gate, timeouts, shutdown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from gateway.imap.protocol import ImapFactory, ImapProtocol
from gateway.imap.settings import ImapSettings
from gateway.model.errors import LimitReached
from gateway.ops.metrics import PrometheusMetrics
from tests.transcripts.harness import Harness, until
from tests.transcripts.play import play


class Transport(StringTransport):
    aborted = False
    tls_context: Any = None

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def setTcpKeepAlive(self, enabled: bool) -> None: ...

    def abortConnection(self) -> None:
        self.aborted = True

    def startTLS(self, context: Any) -> None:
        self.tls_context = context

    def getHandle(self) -> None:
        """No TLS connection is behind it."""


@implementer(ISSLTransport)
class TlsTransport(Transport):
    pass


class Gate:
    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, source: str, /) -> None:
        if not self.room:
            raise LimitReached("Too many connections from your address")
        self.room -= 1

    def close(self, source: str, /) -> None:
        self.room += 1


def connect(factory: ImapFactory, transport: Transport) -> ImapProtocol:
    protocol = factory.buildProtocol(None)
    assert protocol is not None
    protocol.makeConnection(transport)
    return protocol


def test_a_session_from_handshake_to_logout(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        factory = ImapFactory(harness.services)
        transport = TlsTransport()
        protocol = connect(factory, transport)
        assert transport.value() == b""
        assert not factory.sessions
        protocol.handshakeCompleted()
        assert b"AUTH=PLAIN" in transport.value()
        assert transport.producer is protocol
        transport.clear()
        protocol.dataReceived(b"a LOGIN a@example.org full\r\nb NOOP\r\nc LOGOUT\r\n")
        assert transport.value().endswith(b"b OK NOOP completed\r\n* BYE Logging out\r\nc OK Logged out\r\n")
        assert transport.disconnecting
        assert transport.producer is None  # it would keep loseConnection waiting
        assert not transport.aborted
        protocol.connectionLost()
        assert not factory.sessions

    play(tmp_path, body)


def test_a_handshake_that_never_ends_is_aborted(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        services = replace(harness.services, settings=ImapSettings(handshake_timeout=0.0))
        transport = TlsTransport()
        connect(ImapFactory(services), transport)
        await until(lambda: transport.aborted)

    play(tmp_path, body)


def test_a_peer_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        services = replace(harness.services, settings=ImapSettings(write_timeout=0.0, close_timeout=0.0))
        factory = ImapFactory(services, trusted=True)
        transport = Transport()
        protocol = connect(factory, transport)
        protocol.pauseProducing()
        await until(lambda: transport.aborted)
        # neither does one whose close never finishes keep its socket
        other = Transport()
        protocol = connect(factory, other)
        protocol.dataReceived(b"a LOGOUT\r\n")
        assert other.disconnecting
        await until(lambda: other.aborted)
        # one that reads again in time stays
        third = Transport()
        protocol = connect(factory, third)
        protocol.pauseProducing()
        protocol.resumeProducing()
        await asyncio.sleep(0)
        assert not third.aborted

    play(tmp_path, body)


def test_starttls_hands_the_context_to_the_transport(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        context = object()
        transport = Transport()
        protocol = connect(ImapFactory(harness.services, context), transport)
        assert b"STARTTLS LOGINDISABLED" in transport.value()
        protocol.dataReceived(b"a STARTTLS\r\nb NOOP\r\n")
        assert transport.value().endswith(b"a OK Begin TLS negotiation now\r\n")
        assert transport.tls_context is context
        protocol.handshakeCompleted()
        transport.clear()
        protocol.dataReceived(b"c LOGIN a@example.org full\r\n")
        assert transport.value().startswith(b"c OK [CAPABILITY ")
        protocol.connectionLost()

    play(tmp_path, body)


def test_connections_are_counted_and_the_surplus_refused(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        gate = Gate(1)
        factory = ImapFactory(replace(harness.services, gate=gate), trusted=True)
        first, second = Transport(), Transport()
        one, two = connect(factory, first), connect(factory, second)
        assert second.aborted
        assert second.value() == b""
        two.connectionLost()
        assert gate.room == 0
        one.connectionLost()
        assert gate.room == 1

    play(tmp_path, body)


def test_one_figure_counts_the_sessions_of_all_listeners(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        metrics = PrometheusMetrics(strict=True, process=False)
        services = replace(harness.services, metrics=metrics)
        protocols = [connect(ImapFactory(services, trusted=True), Transport()) for _ in range(2)]
        assert "gateway_imap_open_connections 2.0" in metrics.page().decode()
        for left, protocol in ((1.0, protocols[0]), (0.0, protocols[1])):
            protocol.connectionLost()
            assert f"gateway_imap_open_connections {left}" in metrics.page().decode()

    play(tmp_path, body)


def test_shutdown_says_bye_to_everybody(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        factory = ImapFactory(harness.services, trusted=True)
        transports = [Transport(), Transport()]
        for transport in transports:
            connect(factory, transport)
        factory.end_all()
        for transport in transports:
            assert transport.value().endswith(b"* BYE Server is shutting down\r\n")
            assert transport.disconnecting

    play(tmp_path, body)
