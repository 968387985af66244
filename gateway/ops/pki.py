"""The local certificate authority of a gateway that has no certificate of its own yet.

People put its CA into their trust stores, so it must be worthless to a thief beyond this gateway: it is
name-constrained (RFC 5280 4.2.1.10, critical) to the configured hosts, may only issue server certificates, and has no
intermediate below it. The server certificate is a leaf of its own (CA:FALSE): Thunderbird refuses a CA certificate
served as a leaf even when it is trusted. Both keys are P-256.

Files in the directory: `ca.pem` (to hand out), `ca.key` (0600), `server.pem` (0600: key and certificate in one file,
so that both are replaced in one step).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.config import ConfigError

from .files import write_atomically

log = structlog.get_logger(__name__)

CA_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=397)  # Apple and the CA/Browser Forum accept no longer one
RENEW_BEFORE: Final = timedelta(days=60)
BACKDATE: Final = timedelta(hours=1)  # clients whose clock is late
ALWAYS: Final = ("localhost", "127.0.0.1", "::1")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class LocalPki:
    """The files in use. `created_ca`: clients must trust a new CA; `created_leaf`: contexts must load the new leaf."""

    ca_file: Path
    server_file: Path
    created_ca: bool
    created_leaf: bool


def ensure(directory: Path, hosts: Iterable[str], now: datetime) -> LocalPki:
    """Make what is missing, damaged, expiring or does not cover `hosts`; leave the rest as it is.

    Names and IP addresses in `hosts` are added to localhost, 127.0.0.1 and ::1. A host that the CA may not name needs
    a new CA, which is logged: clients must import it again. ConfigError when the directory cannot be written.
    """
    names = _names(hosts)
    ca_file, ca_key_file, server_file = directory / "ca.pem", directory / "ca.key", directory / "server.pem"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = _read_ca(ca_file, ca_key_file)
        created_ca = ca is None or not _covers(ca[0], names) or ca[0].not_valid_after_utc - LEAF_LIFE < now
        if ca is None or created_ca:
            if ca_file.exists():
                log.warning("pki.new_ca", reason="the old one is damaged, ends soon or may not name all hosts",
                            hosts=names, remedy="import the new ca.pem into the clients")
            ca = _make_ca(names, now)
            # Key first: a crash in between leaves a pair that does not match, which is made again.
            write_atomically(ca_key_file, _key_pem(ca[1]), 0o600)
            write_atomically(ca_file, ca[0].public_bytes(serialization.Encoding.PEM), 0o644)
        created_leaf = created_ca or not _leaf_serves(server_file, ca[0], names, now)
        if created_leaf:
            leaf, key = _make_leaf(ca, names, now)
            write_atomically(server_file, _key_pem(key) + leaf.public_bytes(serialization.Encoding.PEM), 0o600)
            log.info("pki.new_certificate", hosts=names, until=leaf.not_valid_after_utc.isoformat())
    except OSError as error:
        raise ConfigError(f"{directory}: cannot keep the local CA there: {error.strerror}") from None
    return LocalPki(ca_file, server_file, created_ca, created_leaf)


def fingerprint(path: Path) -> str:
    """SHA-256 of the first certificate in a PEM file, as clients show it: pairs of hex digits with colons."""
    return certificate(path).fingerprint(hashes.SHA256()).hex(":").upper()


def certificate(path: Path) -> x509.Certificate:
    """The first certificate in a PEM file; ConfigError names a file without one."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{path}: holds no PEM certificate") from None


def _names(hosts: Iterable[str]) -> list[str]:
    """ALWAYS and `hosts` without repeats; IDNs as A-labels, addresses in their shortest form."""
    found: dict[str, None] = {}
    for host in (*ALWAYS, *hosts):
        address = _address(host)
        try:
            found[str(address) if address else host.encode("idna").decode().lower().rstrip(".")] = None
        except UnicodeError:
            raise ConfigError(f"tls.hosts: {host!r} is no host name") from None
    return list(found)


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _subtree(host: str) -> x509.GeneralName:
    address = _address(host)
    return x509.IPAddress(ipaddress.ip_network(address)) if address else x509.DNSName(host)


def _san(host: str) -> x509.GeneralName:
    address = _address(host)
    return x509.IPAddress(address) if address else x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )


def _make_ca(names: list[str], now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # The serial makes the name unique, so that a client with an older CA of ours does not mix them up.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Mail gateway local CA {serial:x}"[:40])])
    public = key.public_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.NameConstraints([_subtree(name) for name in names], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made, key


def _make_leaf(
    ca: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], names: list[str], now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    authority, authority_key = ca
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mail gateway")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now - BACKDATE + LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return made, key


def _read_ca(ca_file: Path, key_file: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """The CA and its key, or None when one is missing, damaged, or does not belong to the other."""
    try:
        made = x509.load_pem_x509_certificate(ca_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != made.public_key():
        return None
    os.chmod(key_file, 0o600)  # a copy or a restore may have opened it
    return made, key


def _covers(ca: x509.Certificate, names: list[str]) -> bool:
    try:
        permitted = ca.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return False
    return {_subtree(name) for name in names} <= set(permitted)


def _leaf_serves(path: Path, ca: x509.Certificate, names: list[str], now: datetime) -> bool:
    """Whether the certificate on disk is of this CA, has its key, names exactly `names`, and lives long enough."""
    try:
        octets = path.read_bytes()
        leaf = x509.load_pem_x509_certificate(octets)
        key = serialization.load_pem_private_key(octets, None)
        leaf.verify_directly_issued_by(ca)
        sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != leaf.public_key():
        return False
    os.chmod(path, 0o600)
    return set(sans) == {_san(name) for name in names} and leaf.not_valid_after_utc - RENEW_BEFORE > now
