"""What both ends of a TLS connection know (RFC 5056), so that a login holds for this connection only.

`tls-unique` is not among them: TLS 1.3 has none, and before it a resumed session may share it (RFC 7677 4).
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

TLS_EXPORTER: Final = "tls-exporter"
SERVER_END_POINT: Final = "tls-server-end-point"

_LABEL: Final = b"EXPORTER-Channel-Binding"
_SIZE: Final = 32
_WEAK: Final = frozenset({"md5", "sha1"})


def channel_binding(connection: SSL.Connection, kind: str) -> bytes | None:
    """The data of type `kind` once the handshake is done; None when this connection has none."""
    if kind == TLS_EXPORTER:
        # RFC 9266 4.2: before TLS 1.3 only with the extended master secret, which OpenSSL's Python does not show.
        if connection.get_protocol_version() < SSL.TLS1_3_VERSION:
            return None
        return connection.export_keying_material(_LABEL, _SIZE, b"")
    if kind == SERVER_END_POINT:
        return _end_point(connection)
    return None


def _end_point(connection: SSL.Connection) -> bytes | None:
    """RFC 5929 4.1: the hash of the certificate, by the hash function of its signature, SHA-256 for weak ones."""
    certificate = connection.get_certificate(as_cryptography=True)
    if certificate is None or (algorithm := certificate.signature_hash_algorithm) is None:
        return None  # Ed25519 has no hash function of its own: undefined
    name = "sha256" if algorithm.name in _WEAK else algorithm.name
    return hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()
