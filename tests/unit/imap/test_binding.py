"""Channel bindings of real TLS connections: both ends know the same, and nobody else does."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from gateway.imap.binding import SERVER_END_POINT, TLS_EXPORTER, channel_binding
from gateway.ops.tls import TlsFiles, TlsPolicy, openssl_context
from tests.servers.tls import make_certificates


def connected(files: TlsFiles, version: int) -> tuple[SSL.Connection, SSL.Connection]:
    """Server and client of one finished handshake."""
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client_context.set_max_proto_version(version)
    server, client = SSL.Connection(openssl_context(files, TlsPolicy()), None), SSL.Connection(client_context, None)
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    return server, client


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    _, certificate, key = make_certificates(tmp_path)
    return TlsFiles(certificate, key)


def test_the_exporter_of_tls_1_3(files: TlsFiles) -> None:
    server, client = connected(files, SSL.TLS1_3_VERSION)
    bound = channel_binding(server, TLS_EXPORTER)
    assert bound is not None
    assert len(bound) == 32
    assert bound == client.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    assert bound == channel_binding(server, TLS_EXPORTER)
    other, _ = connected(files, SSL.TLS1_3_VERSION)
    assert channel_binding(other, TLS_EXPORTER) != bound
    old, _ = connected(files, SSL.TLS1_2_VERSION)
    assert channel_binding(old, TLS_EXPORTER) is None


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_the_servers_certificate(files: TlsFiles, version: int) -> None:
    server, client = connected(files, version)
    seen = client.get_peer_certificate(as_cryptography=True)
    assert seen is not None
    assert channel_binding(server, SERVER_END_POINT) == hashlib.sha256(seen.public_bytes(Encoding.DER)).digest()
    assert channel_binding(server, "tls-unique") is None
    assert channel_binding(server, "") is None
