"""Checks that need no login: configuration, certificate, ports."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from gateway.app.settings import ca_file, tls_policy
from gateway.config import Config, Listener, Loaded, encryption
from gateway.model.errors import ConfigError
from gateway.ops import pki
from gateway.ops.tls import TlsContexts, TlsFiles

from .findings import Finding, problem, warning, well

SOON: Final = timedelta(days=21)  # ACME renews 30 days before the end: what is closer was not renewed
CONNECT_S: Final = 5.0


def check_configuration(loaded: Loaded) -> Iterator[Finding]:
    """It could be loaded, or we were not here; what is odd about it all the same."""
    area, config = "configuration", loaded.config
    yield well(area, f"{loaded.path} is fine" if loaded.path else "there is no file; the defaults are in force")
    if config.server.hostname == "localhost":
        yield warning(
            area, "server.hostname is localhost: programs on this machine only can connect with a valid certificate",
            "set server.hostname to the name under which others reach this machine",
        )
    if not config.relay.host and not config.relays:
        yield warning(
            area, "there is no relay: mail goes to inboxes here only",
            "set host (and user and secret) in section [relay] to send to other domains",
        )
    for listener in config.listener:
        if listener.allow_plaintext:
            yield warning(
                area, f"port {listener.port} takes logins without encryption: who listens in the network can take keys",
                "give its devices keys that may only send (gateway key create --permissions send), and end it when the "
                "last of them can do TLS",
            )
    mode = config.store.data_dir.stat().st_mode & 0o777 if config.store.data_dir.exists() else 0
    if mode & 0o077:
        yield problem(
            area, f"others on this machine can look into {config.store.data_dir} (mode {mode:o})",
            f"chmod 700 {config.store.data_dir}",
        )
    free = os.statvfs(config.store.data_dir) if config.store.data_dir.exists() else None
    if free is not None and free.f_bavail * free.f_frsize < 1 << 30:
        yield warning(
            area, f"less than 1 GiB is free where {config.store.data_dir} lies",
            "make room: without any, mail is refused until there is",
        )


def check_certificate(config: Config, now: datetime | None = None) -> Iterator[Finding]:
    """Files, key, expiry and names of the certificate that clients are shown."""
    area, now = "certificate", now or datetime.now(UTC)
    try:
        files = _files(config)
        contexts = TlsContexts(files, time.time)
        for listener in config.listener:
            contexts.stdlib(tls_policy(config, listener))
        certificate = pki.certificate(files.certificate)
    except ConfigError as error:
        yield problem(area, str(error), "gateway init makes a local one; or set certificate and key in section [tls]")
        return
    until = certificate.not_valid_after_utc
    if until <= now:
        yield problem(area, f"it ended on {until:%Y-%m-%d}", _renew(config))
    elif certificate.not_valid_before_utc > now:
        yield problem(area, f"it begins on {certificate.not_valid_before_utc:%Y-%m-%d} only", "check the clock")
    elif until - now < SOON:
        yield warning(area, f"it ends on {until:%Y-%m-%d}", _renew(config))
    else:
        yield well(area, f"valid until {until:%Y-%m-%d}")
    if not names(certificate, config.server.hostname):
        yield problem(
            area, f"it does not name {config.server.hostname}",
            "take a certificate for server.hostname, or change server.hostname to a name in it",
        )
    trusted = ca_file(config)
    if trusted is not None:
        yield _trusted(area, trusted)


def _trusted(area: str, ca: Path) -> Finding:
    """The CA that clients import, with the fingerprint that they compare."""
    try:
        return well(area, f"clients must trust {ca.absolute()}, SHA-256 {pki.fingerprint(ca)}")
    except ConfigError as error:
        return problem(area, f"the CA that clients must trust: {error}", "mend tls.ca")


def _files(config: Config) -> TlsFiles:
    """The certificate's files as they lie there: looking must not make new ones."""
    if config.tls.certificate is not None and config.tls.key is not None:
        return TlsFiles(config.tls.certificate, config.tls.key)
    server: Path = config.tls_dir / "server.pem"
    return TlsFiles(server, server)


def _renew(config: Config) -> str:
    if config.tls.certificate is None:
        return "start or reload the server: it renews its own certificate"
    return f"renew {config.tls.certificate}; the server notices the new file by itself"


def names(certificate: x509.Certificate, host: str) -> bool:
    """Whether the certificate is good for `host` (RFC 6125 6.4: a wildcard stands for one whole leftmost label)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in found.get_values_for_type(x509.IPAddress)
    except ValueError:
        known = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    host = host.lower().rstrip(".")
    return host in known or "*." + host.partition(".")[2] in known


def reach(listener: Listener) -> str:
    """An address of this machine at which a listener answers."""
    address = ipaddress.ip_address(listener.address)
    if not address.is_unspecified:
        return listener.address
    return "127.0.0.1" if address.version == 4 else "::1"


def _connected(listener: Listener) -> socket.socket:
    """OSError."""
    if not listener.path:
        return socket.create_connection((reach(listener), listener.port), timeout=CONNECT_S)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(CONNECT_S)
    try:
        sock.connect(listener.path)
    except BaseException:
        sock.close()
        raise
    return sock


def check_ports(config: Config) -> Iterator[Finding]:
    """Whether something accepts connections on each port."""
    for listener in config.listener:
        area = listener.path or f"port {listener.port}"
        try:
            with _connected(listener):
                yield well(area, f"{listener.kind} ({encryption(listener)}) accepts connections")
        except OSError as error:
            yield problem(
                area, f"{listener.kind} does not answer: {error.strerror or error}",
                "start the server (gateway serve, systemctl start gateway); if it runs, look into its log",
            )
