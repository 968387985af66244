"""What clients are told of the ports, whoever tells them: discovery, profiles, DNS records, the first start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Protocol = Literal["IMAP", "SMTP"]
Security = Literal["tls", "starttls", "none"]

_RANK: Final = {"tls": 0, "starttls": 1}
"""RFC 8314 3: TLS from the first octet is preferred."""


@dataclass(frozen=True, slots=True)
class ClientPort:
    """One port as clients reach it. `special`: for devices that are told of it by hand, in certain networks or with old
    TLS; nobody finds it by himself."""

    protocol: Protocol
    host: str
    port: int
    security: Security
    special: bool = False


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """What the HTTP side tells: the ports; `ca`, the certificate (DER) that clients must trust first, None where they
    trust it anyhow; `sign`, which wraps a profile as CMS (RFC 5652), None without a certificate that phones trust.

    Both read files: call them in a thread.
    """

    ports: Sequence[ClientPort] = ()
    ca: Callable[[], bytes | None] = lambda: None
    sign: Callable[[bytes], bytes] | None = None


def offered(ports: Iterable[ClientPort], protocol: Protocol) -> list[ClientPort]:
    """Those of a protocol that a client may find by itself, the best first: none without encryption."""
    return sorted(
        (port for port in ports if port.protocol == protocol and port.security in _RANK and not port.special),
        key=lambda port: _RANK[port.security],
    )
