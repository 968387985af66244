"""What a person needs to connect: host, ports, encryption, the certificate to trust, and checks to paste."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.config import Config, Listener
from gateway.ops import pki

from .settings import ca_file

_PROTOCOLS: Final = {"imap": "IMAP", "submission": "SMTP"}
_ENCRYPTION: Final = {"tls": "SSL/TLS", "starttls": "STARTTLS", "none": "none (behind a TLS proxy)"}
PLACEHOLDER: Final = "YOUR-API-KEY"


@dataclass(frozen=True, slots=True)
class Port:
    """One port as clients are told of it."""

    protocol: str
    host: str
    port: int
    encryption: str


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`key` is None when nobody may see it any more. `ca` is None when clients trust the certificate anyhow."""

    address: str
    key: str | None = field(repr=False)
    ports: tuple[Port, ...]
    ca: Path | None
    fingerprint: str | None

    def as_dict(self) -> dict[str, object]:
        """For scripts."""
        return {
            "address": self.address,
            "key": self.key,
            "ports": [
                {"protocol": port.protocol, "host": port.host, "port": port.port, "encryption": port.encryption}
                for port in self.ports
            ],
            "ca_file": str(self.ca) if self.ca else None,
            "fingerprint": self.fingerprint,
        }


def client_settings(config: Config, address: str, key: str | None) -> ClientSettings:
    """The settings for the configured listeners; the CA's files must be there."""
    ca = ca_file(config)
    return ClientSettings(
        address,
        key,
        tuple(_port(config, listener) for listener in config.listener if listener.kind in _PROTOCOLS),
        ca.absolute() if ca else None,
        pki.fingerprint(ca) if ca else None,
    )


def _port(config: Config, listener: Listener) -> Port:
    return Port(
        _PROTOCOLS[listener.kind], config.server.hostname, listener.port, _ENCRYPTION[listener.security]
    )


def block(settings: ClientSettings) -> str:
    """The settings as a block of text with checks to paste into another terminal."""
    lines = ["", "Mail program settings", ""]
    rows = [
        ("User name", settings.address),
        ("Password", f"{settings.key}   (the API key: shown this once, keep it now)" if settings.key
         else f"an API key of this inbox; a new one: gateway key create --inbox {settings.address}"),
    ]
    rows += [(port.protocol, f"{port.host}  port {port.port}  {port.encryption}") for port in settings.ports]
    if settings.ca:
        rows += [("CA to trust", str(settings.ca)), ("SHA-256", settings.fingerprint or "")]
    lines += [f"  {name.ljust(12)} {value}" for name, value in rows]
    return "\n".join(lines + _checks(settings)) + "\n"


def _checks(settings: ClientSettings) -> list[str]:
    """curl and Python lines for the ports with TLS from the first octet; none where there is no such port."""
    imap = next((port for port in settings.ports if port.protocol == "IMAP" and port.encryption == "SSL/TLS"), None)
    smtp = next((port for port in settings.ports if port.protocol == "SMTP" and port.encryption == "SSL/TLS"), None)
    if imap is None or smtp is None:
        return []
    user, key = settings.address, settings.key or PLACEHOLDER
    trust = f"--cacert '{settings.ca}' " if settings.ca else ""
    cafile = f"cafile={str(settings.ca)!r}" if settings.ca else ""
    return [
        "",
        "Check it from another terminal, with curl or with Python:",
        "",
        f"  curl {trust}--user '{user}:{key}' 'imaps://{imap.host}:{imap.port}/'",
        "",
        "  python3 - <<'EOF'",
        "import imaplib, smtplib, ssl",
        f"user, key, tls = {user!r}, {key!r}, ssl.create_default_context({cafile})",
        f"with smtplib.SMTP_SSL({smtp.host!r}, {smtp.port}, context=tls) as smtp:",
        "    smtp.login(user, key)",
        "    smtp.sendmail(user, [user], f'From: {user}\\r\\nSubject: Hello\\r\\n\\r\\nIt works.\\r\\n')",
        f"with imaplib.IMAP4_SSL({imap.host!r}, {imap.port}, ssl_context=tls) as imap:",
        "    imap.login(user, key)",
        "    print(imap.select('INBOX'), imap.fetch('*', '(ENVELOPE)'))",
        "EOF",
    ]
