"""A relay as settings: where it is, how it is reached, who we are there, how long each step may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from .login import RelayLogin
from .proxy import Proxy
from .tls import TlsPolicy


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for each step. Those after the greeting are the least that RFC 5321 4.5.3.2 asks of a client."""

    connect: float = 30.0  # name look-up, TCP, proxy; each address apart
    greeting: float = 60.0  # TLS handshake, 220, EHLO, AUTH, each
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0  # one 64 KiB piece of the body
    final: float = 600.0  # the reply after the dot: a relay that scans takes long, and giving up early duplicates
    quit: float = 2.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One SMTP server to hand mail to. `helo` is our own name; `allow_private` opens private networks and loopback."""

    host: str
    port: int
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    login: RelayLogin | None = None
    helo: str = "localhost"
    allow_private: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    proxy: Proxy | None = None
