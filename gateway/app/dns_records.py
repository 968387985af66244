"""The DNS records by which mail programs find this server for a domain (RFC 6186, RFC 8314 5.1), as values to paste.

There is no MX record among them: other servers' mail comes in by LMTP through a server that has one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.store.addresses import canonical_domain
from gateway.web.setup.ports import ClientPort, Protocol, offered

from .welcome import base_url, client_ports

TTL: Final = 3600
"""Seconds."""
HTTPS: Final = 443

_SERVICES: Final[tuple[tuple[str, Protocol, str], ...]] = (
    ("_imaps", "IMAP", "tls"),
    ("_imap", "IMAP", "starttls"),
    ("_submissions", "SMTP", "tls"),
    ("_submission", "SMTP", "starttls"),
)
_NEVER: Final = ("_pop3s", "_pop3")


@dataclass(frozen=True, slots=True)
class Record:
    """`name` and host names within `value` end in a dot. `why`: what reads it."""

    name: str
    type: str
    value: str
    why: str

    def line(self) -> str:
        """In the form of a zone file (RFC 1035 5.1)."""
        return f"{self.name} {TTL} IN {self.type} {self.value}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`notes`: what the records need besides, or why some are not there."""

    domain: str
    records: tuple[Record, ...]
    notes: tuple[str, ...]


def records(config: Config, name: str) -> Wanted:
    """For the domain `name`. InvalidName; ConfigError: the server has no name that a record could point to."""
    domain, host = canonical_domain(name), config.server.hostname
    if "." not in host or _is_address(host):
        raise ConfigError(f"server.hostname: {host} is no name that DNS records can point to")
    found = [*_mail(domain, client_ports(config))]
    web, notes = _web(config, domain)
    return Wanted(domain, (*found, *web), (*notes,))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _mail(domain: str, ports: Sequence[ClientPort]) -> list[Record]:
    """A service that is not offered says so by a target of "." (RFC 6186 3.4): clients need not try."""
    made = []
    for service, protocol, security in _SERVICES:
        best = next((port for port in offered(ports, protocol) if port.security == security), None)
        value = "0 0 0 ." if best is None else f"0 1 {best.port} {best.host}."
        rfc = "RFC 8314 5.1" if service == "_submissions" else "RFC 6186 3"
        made.append(Record(f"{service}._tcp.{domain}.", "SRV", value, rfc))
    made += [Record(f"{service}._tcp.{domain}.", "SRV", "0 0 0 .", "RFC 6186 3.4") for service in _NEVER]
    return made


def _web(config: Config, domain: str) -> tuple[list[Record], list[str]]:
    if not any(listener.kind == "web" for listener in config.listener):
        return [], ["There is no [[listener]] of kind web, so Thunderbird and Outlook cannot ask this server."]
    where = urlsplit(base_url(config))
    host, port = where.hostname or "", where.port or HTTPS
    outlook = Record(
        f"_autodiscover._tcp.{domain}.", "SRV", f"0 0 {port} {host}.", "Outlook, where the name below does not answer"
    )
    if port != HTTPS:
        return [outlook], [
            f"HTTPS is at port {port}, but Thunderbird and Outlook ask at {HTTPS}: lead {HTTPS} there and set"
            " web.base_url, then run this again for their records."
        ]
    names = [f"autoconfig.{domain}", f"autodiscover.{domain}"]
    made = [Record(f"{names[0]}.", "CNAME", f"{host}.", "Thunderbird"),
            Record(f"{names[1]}.", "CNAME", f"{host}.", "Outlook"), outlook]
    return made, [f"The certificate must name {names[0]} and {names[1]} too, or clients will not ask them."]
