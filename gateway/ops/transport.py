"""Twisted's TCP and TLS for servers that answer at once: an answer leaves in the turn of the loop that made it.

Twisted's own transports are made for writers that write often and little: TLS collects small writes until the next
turn, and TCP sends only once the loop says that the socket takes octets, which it nearly always does. Our sessions
collect their output themselves, so both delays are pure cost: two turns of the loop and two `epoll_ctl` a command.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from twisted.internet import main, tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

DIRECT_MOST: Final = 262_144
"""Octets offered to the socket at once; what it does not take waits in Twisted's buffer, with backpressure."""


class PromptServer(tcp.Server):
    """An accepted connection that tries to send before it waits for the loop."""

    def write(self, data: bytes) -> None:
        """As `ITransport.write`. An error is left to Twisted, which meets it again and ends the connection."""
        # After STARTTLS (`TLS`) what comes here is plain text for the TLS layer above, never for the socket.
        free = not self.dataBuffer and not self._tempDataBuffer
        if self.connected and not self.TLS and not self.disconnecting and free:
            try:
                sent = self.socket.send(memoryview(data)[:DIRECT_MOST])
            except OSError:  # would block, or broken
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        super().write(data)  # type: ignore[no-untyped-call]

    def doRead(self) -> Any:
        """As `IReadDescriptor.doRead`, and a peer's reset is met at once, also behind octets that still waited.

        uvloop calls a reader once for a socket in error, then never watches that descriptor again: had the octets
        alone been read, the connection would stay for ever, and adding a writer would be a RuntimeError.
        """
        lost = super().doRead()
        if not lost and self.connected and self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return main.CONNECTION_LOST
        return lost


class PromptPort(tcp.Port):
    """A listening socket whose connections are `PromptServer`s."""

    transport = PromptServer


class PromptTlsFactory(TLSMemoryBIOFactory):
    """TLS around a factory's connections, without the collecting of small writes."""

    noisy = False
    protocol = TLSMemoryBIOProtocol


def adopt(reactor: Any, factory: Any, sock: socket.socket, peer: str) -> None:
    """Serve a connection that somebody else has accepted, as that of the IP address `peer`. The socket is ours."""
    wide = ":" in peer
    client: tuple[Any, ...] = (peer, 0, 0, 0) if wide else (peer, 0)
    address = IPv6Address("TCP", *client) if wide else IPv4Address("TCP", *client)
    protocol = factory.buildProtocol(address)
    if protocol is None:
        sock.close()
        return
    # As `Server._fromConnectedSocket`, which would say that the proxy is the peer.
    no_port: Any = None
    transport = PromptServer(sock, protocol, client, no_port, sock.fileno(), reactor)
    transport.repstr = f"<{type(protocol).__name__} of a proxy>"
    protocol.makeConnection(transport)


def listen(
    reactor: Any, factory: Any, *, port: int, address: str, backlog: int, passed: socket.socket | None = None
) -> PromptPort:
    """Listen on `address`, or on the bound socket that `passed` is. Raises CannotListenError."""
    if passed is not None:
        # What `reactor.adoptStreamPort` does, with our class of port.
        bound: PromptPort = PromptPort._fromListeningDescriptor(  # type: ignore[no-untyped-call]
            reactor, passed.fileno(), passed.family, factory
        )
    else:
        bound = PromptPort(port, factory, backlog, address, reactor)
    bound.startListening()
    return bound
