"""An IMAP server as settings: where it is, how it is reached, who we are there, how long each step may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.outbound.login import RelayLogin
from gateway.outbound.proxy import Proxy
from gateway.outbound.tls import TlsPolicy


@dataclass(frozen=True, slots=True)
class ImapTimeouts:
    """Seconds for each class of step; one that takes longer ends the connection."""

    connect: float = 30.0  # name look-up, TCP, proxy; each address apart
    greeting: float = 30.0  # TLS handshake, greeting, CAPABILITY, each
    login: float = 60.0  # some servers slow down logins on purpose
    command: float = 60.0
    select: float = 120.0  # a large mailbox that the server has to index first
    listing: float = 300.0  # SEARCH, LIST, FETCH of attributes of many messages
    silence: float = 60.0  # within a body: no octet for so long
    idle_check: float = 30.0  # the tagged OK after DONE: no answer means a dead connection
    logout: float = 5.0


@dataclass(frozen=True, slots=True)
class ImapLimits:
    """What a server may make us keep."""

    line: int = 8 * 1024 * 1024  # one response without its literals: UID SEARCH of 700,000 messages
    literal: int = 8 * 1024 * 1024  # a literal that is kept in memory (a header, a LIST name)
    message: int = 64 * 1024 * 1024  # a body that is streamed
    untagged: int = 2_000_000  # untagged responses of one command
    greeting: int = 65_536  # octets before login


@dataclass(frozen=True, slots=True)
class ImapEndpoint:
    """One IMAP server. `login`'s secret is a password, or an access token where `login.is_token`.

    `login_ends`: when that token does (Unix seconds), and with it what was logged in by it; None: nobody knows.
    """

    host: str
    port: int
    login: RelayLogin
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    allow_private: bool = False
    timeouts: ImapTimeouts = field(default_factory=ImapTimeouts)
    limits: ImapLimits = field(default_factory=ImapLimits)
    proxy: Proxy | None = None
    login_ends: float | None = None
