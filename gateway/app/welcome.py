"""What a person needs to connect: host, ports, encryption, the certificate to trust, and checks to paste."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from gateway.config import Config, Listener
from gateway.model.errors import ConfigError
from gateway.ops import pki
from gateway.web.setup.ports import ClientPort, ClientSetup, Protocol

from .settings import ca_file

log = structlog.get_logger(__name__)

_PROTOCOLS: Final[dict[str, Protocol]] = {"imap": "IMAP", "submission": "SMTP"}
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
    web: str | None = None
    """Where the dashboard is; None where no listener has it."""

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
            "web": self.web,
        }


def client_settings(config: Config, address: str, key: str | None) -> ClientSettings:
    """The settings for the configured listeners; the CA's files must be there."""
    ca = ca_file(config)
    return ClientSettings(
        address,
        key,
        tuple(
            Port(port.protocol, port.host, port.port, _ENCRYPTION[port.security]) for port in client_ports(config)
        ),
        ca.absolute() if ca else None,
        pki.fingerprint(ca) if ca else None,
        base_url(config) if any(listener.kind == "web" for listener in config.listener) else None,
    )


def base_url(config: Config) -> str:
    """How people reach it, without a slash at its end."""
    if config.web.base_url:
        return config.web.base_url.rstrip("/")
    first = next((listener for listener in config.listener if listener.kind == "web"), None)
    port = 0 if first is None else first.public_port or first.port
    return f"https://{config.server.hostname}{f':{port}' if port not in (0, 443) else ''}"


def client_ports(config: Config) -> tuple[ClientPort, ...]:
    """The ports for mail programs as they are reached: behind a proxy or a router by the numbers that it has."""
    return tuple(_port(config, listener) for listener in config.listener if listener.kind in _PROTOCOLS)


def _port(config: Config, listener: Listener) -> ClientPort:
    behind_tls = listener.security == "none" and not listener.allow_plaintext and listener.public_port
    return ClientPort(
        _PROTOCOLS[listener.kind],
        config.server.hostname,
        listener.public_port or listener.port,
        "tls" if behind_tls else listener.security,
        special=bool(listener.allow_plaintext or listener.networks or listener.minimum_version),
    )


def client_setup(config: Config) -> ClientSetup:
    """What the HTTP side tells clients. Files are read each time: a certificate is renewed while we run."""
    sign = partial(_signed, config) if _is_real(config) else None
    return ClientSetup(client_ports(config), partial(_ca, config), sign)


def _is_real(config: Config) -> bool:
    """A certificate that phones trust by themselves, as far as the configuration says."""
    return config.tls.certificate is not None and config.tls.key is not None and config.tls.ca is None


def _ca(config: Config) -> bytes | None:
    path = ca_file(config)
    try:
        return None if path is None else pki.certificate(path).public_bytes(serialization.Encoding.DER)
    except ConfigError as error:
        log.warning("setup.no_ca", reason=str(error), remedy="mend tls.ca: profiles go without it")
        return None


def _signed(config: Config, octets: bytes) -> bytes:
    """CMS with the octets inside (RFC 5652 5.1), and the chain, so that a phone shows who made it.

    Where files are being replaced just now they go as they are: a phone takes them too, and says that nobody signed.
    """
    certificate, key = config.tls.certificate, config.tls.key
    assert certificate is not None
    assert key is not None
    try:
        leaf, *chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        log.warning("setup.not_signed", reason=f"{certificate} and {key} are no certificate with its key")
        return octets
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return octets  # CMS here knows RSA and ECDSA; other keys serve TLS alone
    builder = pkcs7.PKCS7SignatureBuilder().set_data(octets).add_signer(leaf, private, hashes.SHA256())
    for one in chain:
        builder = builder.add_certificate(one)
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def block(settings: ClientSettings) -> str:
    """The settings as a block of text with checks to paste into another terminal."""
    lines = ["", "Mail program settings", ""]
    rows = [
        ("User name", settings.address),
        ("Password", f"{settings.key}   (the API key: shown this once, keep it now)" if settings.key
         else f"an API key of this inbox; a new one: gateway key create --inbox {settings.address}"),
    ]
    rows += [(port.protocol, f"{port.host}  port {port.port}  {port.encryption}") for port in settings.ports]
    if settings.web:
        rows.append(("Dashboard", f"{settings.web}/   (log in with an API key)"))
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
