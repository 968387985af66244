"""What a TLS handshake has shown, whether that is enough, and what it means when it failed; for SMTP and IMAP alike."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.model.errors import GatewayError

from .failure import Failure
from .tls import TlsPolicy

# X509_V_ERR_… of x509_vfy.h.
_EXPIRED: Final = 10
_NOT_YET: Final = 9
_NAME: Final = frozenset({62, 64})  # host name, IP address
_UNKNOWN_CA: Final = frozenset({2, 18, 19, 20, 21})
_WEAK: Final = frozenset({66, 67, 68})  # key of the certificate, of its CA; signature's digest
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST",
                            "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "BAD_RECORD_TYPE"})  # fmt: skip
_NOTHING_IN_COMMON: Final = frozenset({
    "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "TLSV1_ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW",
    "NO_SHARED_CIPHER", "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY", "NO_CIPHERS_AVAILABLE",
    "WRONG_SSL_VERSION", "UNKNOWN_CIPHER_RETURNED", "WRONG_CIPHER_RETURNED", "TLSV13_ALERT_MISSING_EXTENSION",
    "BAD_KEY_SHARE", "NO_SUITABLE_KEY_SHARE", "NO_SUITABLE_GROUPS", "INAPPROPRIATE_FALLBACK",
    "WRONG_SIGNATURE_TYPE", "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED",
})  # fmt: skip
_SMALL_GROUP: Final = frozenset({"DH_KEY_TOO_SMALL", "BAD_DH_VALUE", "MODULUS_TOO_SMALL"})


class TlsFailed(GatewayError):
    """No encrypted connection, or not with whom we want. `failure` is the class; the text is a sentence."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What people are shown of a connection. `subject`, `issuer`: RFC 4514; `names`: of subjectAltName."""

    version: str
    cipher: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_after: datetime
    sha256: str
    """Of the certificate: what can be pinned."""
    key_sha256: str
    """Of its public key, which lives on when the certificate is renewed."""


def tls_object(transport: asyncio.BaseTransport) -> ssl.SSLObject:
    """Of a transport whose handshake is done. TlsFailed: it is not encrypted."""
    found = transport.get_extra_info("ssl_object")
    if found is None:
        raise TlsFailed(Failure.NOT_TLS, "The connection is not encrypted")
    return found  # type: ignore[no-any-return]


def check_peer(policy: TlsPolicy, tls: ssl.SSLObject, host: str) -> None:
    """Right after the handshake, before anything is said: whether a pinned server answered. TlsFailed."""
    if not policy.pins:
        return
    octets = tls.getpeercert(binary_form=True)
    shown = {_digest(octets), _key_digest(octets)} if octets else set()
    if not shown & set(policy.pins):
        raise TlsFailed(Failure.TLS_VERIFY, f"TLS certificate: {host} shows another one than is pinned")


def facts(tls: ssl.SSLObject) -> TlsFacts | None:
    """None: the server showed no certificate that can be read."""
    octets = tls.getpeercert(binary_form=True)
    if not octets:
        return None
    try:
        certificate = x509.load_der_x509_certificate(octets)
        names = _names(certificate)
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    except ValueError:
        return None
    cipher = tls.cipher()
    return TlsFacts(
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        subject=subject,
        issuer=issuer,
        names=names,
        not_after=certificate.not_valid_after_utc,
        sha256=_digest(octets),
        key_sha256=_key_digest(octets) or "",
    )


def explained(error: BaseException, policy: TlsPolicy, host: str) -> TlsFailed | None:
    """What a failed handshake means, also where another exception wraps its own; None: it was not about TLS."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None or isinstance(cause, ssl.SSLError | TlsFailed):
            break
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, TlsFailed):
        return cause
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TlsFailed(Failure.TLS_VERIFY, f"TLS certificate: {_verify_text(cause, policy, host)}")
    if not isinstance(cause, ssl.SSLError):
        return None
    reason = (cause.reason or "").upper().replace(" ", "_")
    if reason in _NO_TLS:
        return TlsFailed(Failure.NOT_TLS, f"{host} does not speak TLS on this port")
    if reason in _SMALL_GROUP:
        text = f"{host} uses a Diffie-Hellman group below {policy.min_dh_bits} bits"
        return TlsFailed(Failure.TLS_VERSION, text)
    if reason in _NOTHING_IN_COMMON:
        ours = f"TLS {policy.min_version} to {policy.max_version}"
        return TlsFailed(Failure.TLS_VERSION, f"{host} has no version or cipher in common with us ({ours}): {reason}")
    return TlsFailed(Failure.LOST, f"TLS with {host} failed: {reason or 'handshake failed'}")


def _verify_text(error: ssl.SSLCertVerificationError, policy: TlsPolicy, host: str) -> str:
    code, said = error.verify_code, error.verify_message
    if code == _EXPIRED:
        return f"that of {host} has expired"
    if code == _NOT_YET:
        return f"that of {host} is not valid yet (is the clock right?)"
    if code in _NAME:
        return f"that of {host} is for another name ({said})"
    if code in _UNKNOWN_CA:
        whose = "the given CA" if policy.ca_file or policy.ca_pem else "a CA that this system trusts"
        return f"that of {host} is not from {whose} ({said})"
    if code in _WEAK:
        return f"that of {host} is too weak ({said})"
    return f"that of {host} cannot be verified ({said})"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in found if isinstance(name, x509.DNSName | x509.IPAddress))


def _key_digest(octets: bytes) -> str | None:
    """Of its SubjectPublicKeyInfo; None where that cannot be read."""
    try:
        key = x509.load_der_x509_certificate(octets).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return _digest(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
