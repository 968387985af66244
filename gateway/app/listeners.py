"""The ports: what is bound for each `[[listener]]`, who may connect, and how all of it ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from gateway.auth.throttle import ConnectionLimits, source_of
from gateway.config import Config, Listener, encryption, plaintext_login
from gateway.imap.protocol import ImapFactory
from gateway.imap.services import ImapServices
from gateway.imap.session import Session
from gateway.model.errors import ConfigError
from gateway.ops.proxy_door import Admit, ProxyDoor
from gateway.ops.sockets import bind_tcp, bind_unix, inode_of, unlink_unix
from gateway.ops.tls import TlsContexts
from gateway.ops.transport import PromptTlsFactory, adopt, listen
from gateway.smtp.ports import SubmissionServices
from gateway.smtp.server import SubmissionListener, SubmissionServer

from .settings import tls_policy

if TYPE_CHECKING:
    from gateway.web.bridge import WebFactory  # brings a web framework along, which who has no such port does without

log = structlog.get_logger(__name__)

BACKLOG: Final = 1024  # a thousand clients come back at once after a restart

Allowed = Callable[[str], bool]


def allowed_by(networks: tuple[str, ...]) -> Allowed:
    """Whether a peer's IP address lies in one of `networks`; everybody when there are none."""
    if not networks:
        return lambda peer: True
    known = [ip_network(text) for text in networks]

    def allowed(peer: str) -> bool:
        address = ip_address(peer.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in known)

    return allowed


class SourceGate:
    """The connection limits as the servers ask for them: by the peer's address."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits

    def open(self, peer: str, /) -> None:
        """LimitReached."""
        self._limits.open(source_of(peer))

    def close(self, peer: str, /) -> None:
        self._limits.close(source_of(peer))


class WatchedFactory(ImapFactory):
    """Knows when its last session is gone."""

    def __init__(self, services: ImapServices, tls: Any | None, *, trusted: bool) -> None:
        super().__init__(services, tls, trusted=trusted)
        self.empty = asyncio.Event()
        self.empty.set()

    def opened(self, session: Session) -> None:
        super().opened(session)
        self.empty.clear()

    def closed(self, session: Session) -> None:
        super().closed(session)
        if not self.sessions:
            self.empty.set()


def _reason(error: OSError | CannotListenError) -> str:
    """The system's own words: asyncio's and Twisted's repeat address and port."""
    cause = error if isinstance(error, OSError) else error.socketError
    number = getattr(cause, "errno", None)
    return os.strerror(number) if number else str(cause)


class Doorkeeper(Factory):
    """In front of everything else, TLS too: refuses strangers before a handshake costs anything."""

    noisy = False

    def __init__(self, inside: Any, allowed: Allowed) -> None:
        self._inside = inside
        self._allowed = allowed

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """None closes the connection at once."""
        host = getattr(addr, "host", "")
        if host and not self._allowed(host):
            log.info("listener.refused", peer=host, reason="not in the listener's networks")
            return None
        return self._inside.buildProtocol(addr)


class Listeners:
    """All ports of the process."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        tls: TlsContexts,
        imap: ImapServices,
        smtp: SubmissionServices,
        web: Callable[[], WebFactory],
        sockets: dict[str, list[socket.socket]],
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._tls = tls
        self._imap = imap
        self._smtp = smtp
        self._web = web
        self._sockets = sockets
        self._factories: list[WatchedFactory] = []
        self._webs: list[WebFactory] = []
        self._ports: list[Any] = []
        self._servers: list[SubmissionServer] = []
        self._doors: list[ProxyDoor] = []
        self._paths: list[tuple[Path, int]] = []
        self.bound: list[tuple[Listener, int]] = []
        """Each listener with the port it really has."""

    async def open(self) -> None:
        """Bind everything. ConfigError names the listener that cannot be bound."""
        for number, listener in enumerate(self._config.listener):
            try:
                port = await self._port(listener)
            except (OSError, CannotListenError) as error:
                where = listener.path or f"{listener.address} port {listener.port}"
                raise ConfigError(f"listener.{number}: cannot listen on {where}: {_reason(error)}") from None
            self.bound.append((listener, port))

    def _passed(self, listener: Listener) -> socket.socket | None:
        """The socket that systemd bound for the listener, or None when it binds its own."""
        if not listener.socket:
            return None
        waiting = self._sockets.get(listener.socket, [])
        if not waiting:
            raise ConfigError(f"listener: systemd passed no socket named {listener.socket} (FileDescriptorName=)")
        return waiting.pop(0)

    async def _port(self, listener: Listener) -> int:
        if listener.kind == "imap":
            return self._imap_port(listener)
        return self._web_port(listener) if listener.kind == "web" else await self._smtp_port(listener)

    def _imap_port(self, listener: Listener) -> int:
        current: Any = self._tls.twisted(tls_policy(self._config, listener))
        factory = WatchedFactory(
            self._imap,
            current if listener.security == "starttls" else None,
            trusted=plaintext_login(listener),
        )
        self._factories.append(factory)
        return self._twisted_port(listener, factory, current)

    def _web_port(self, listener: Listener) -> int:
        factory = self._web()
        self._webs.append(factory)
        return self._twisted_port(listener, factory, self._tls.twisted(tls_policy(self._config, listener)))

    def _twisted_port(self, listener: Listener, front: Any, current: Any) -> int:
        """Bind it, with what belongs in front of its factory."""
        if listener.security == "tls":
            front = PromptTlsFactory(current, False, front)
        if listener.networks:
            front = Doorkeeper(front, allowed_by(listener.networks))
        if listener.proxy_networks:

            async def admit(sock: socket.socket, peer: str) -> None:
                adopt(self._reactor, front, sock, peer)

            return self._door(listener, admit)
        passed = self._passed(listener)
        port: Any = listen(
            self._reactor, front, port=listener.port, address=listener.address, backlog=BACKLOG, passed=passed
        )
        if passed is not None:
            passed.close()  # the port has a descriptor of its own
        self._ports.append(port)
        return int(port.getHost().port)

    async def _smtp_port(self, listener: Listener) -> int:
        security = encryption(listener)
        sock = self._at_path(listener) if listener.path and not listener.socket else self._passed(listener)
        if listener.kind == "lmtp" and sock is not None and sock.family != socket.AF_UNIX and not listener.networks:
            raise ConfigError(f"listener: the socket {listener.socket} is for LMTP over TCP; it needs networks")
        server = SubmissionServer(
            self._smtp,
            SubmissionListener(
                self._tls.stdlib(tls_policy(self._config, listener)) if security != "none" else None,
                implicit_tls=security == "tls",
                host=listener.address,
                port=listener.port,
                sock=sock,
                trusted=plaintext_login(listener),
                allowed=allowed_by(listener.networks),
                lmtp=listener.kind == "lmtp",
            ),
        )
        self._servers.append(server)
        if listener.proxy_networks:
            return self._door(listener, server.adopt, sock)
        await server.start()
        return server.port

    def _door(self, listener: Listener, admit: Admit, sock: socket.socket | None = None) -> int:
        """A listener whose connections a proxy hands on."""
        sock = sock or self._passed(listener) or bind_tcp(listener.address, listener.port, BACKLOG)
        if sock.family == socket.AF_UNIX:
            raise ConfigError(f"listener: the socket {listener.socket} has no addresses, so it has no proxy_networks")
        seconds = float(self._config.limits.handshake_timeout)
        door = ProxyDoor(sock, allowed_by(listener.proxy_networks), seconds, admit)
        door.open()
        self._doors.append(door)
        return door.port

    def _at_path(self, listener: Listener) -> socket.socket:
        path = Path(listener.path)
        sock = bind_unix(path, int(listener.mode, 8), BACKLOG)
        self._paths.append((path, inode_of(path)))
        return sock

    @property
    def connections(self) -> int:
        return sum(len(factory.sessions) for factory in self._factories) + sum(
            server.connections for server in self._servers
        ) + sum(len(factory.bridges) for factory in self._webs)

    async def close(self, seconds: float) -> None:
        """Close the ports, say BYE and 421, and wait up to `seconds` until the peers have it."""
        for door in self._doors:
            door.close()
        for port in self._ports:
            port.stopListening()
        for factory in self._factories:
            factory.end_all()
        await asyncio.gather(
            *(server.close(seconds) for server in self._servers), *(web.close(seconds) for web in self._webs),
            self._imap_gone(seconds),
        )
        for path, inode in self._paths:
            unlink_unix(path, inode)

    async def _imap_gone(self, seconds: float) -> None:
        """Until each session's transport is closed; what is left after the time goes with the process."""
        try:
            async with asyncio.timeout(seconds):
                for factory in self._factories:
                    await factory.empty.wait()
        except TimeoutError:
            log.warning("imap.sessions_cut", count=sum(len(factory.sessions) for factory in self._factories))
