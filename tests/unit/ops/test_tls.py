"""Contexts of both kinds: versions, ciphers, what is off, and how a new certificate gets in while we serve."""

from __future__ import annotations

import asyncio
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from gateway.config import ConfigError
from gateway.ops import pki
from gateway.ops.tls import REBUILD, TlsContexts, TlsFiles, TlsPolicy, openssl_context, stdlib_context
from tests.unit.ops.tls_pairs import Step, client_context, handshake, openssl_server, stdlib_server

NOW = datetime.now(UTC)
KINDS = ["stdlib", "openssl"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pki.LocalPki:
    return pki.ensure(tmp_path_factory.mktemp("tls"), [], NOW)


def files(made: pki.LocalPki) -> TlsFiles:
    return TlsFiles(made.server_file, made.server_file)


def server(kind: str, files: TlsFiles, policy: TlsPolicy) -> Step:
    if kind == "stdlib":
        return stdlib_server(stdlib_context(files, policy))
    return openssl_server(openssl_context(files, policy))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("minimum", "offered", "works"), [
    ("1.2", ssl.TLSVersion.TLSv1_3, True),
    ("1.2", ssl.TLSVersion.TLSv1_2, True),
    ("1.2", ssl.TLSVersion.TLSv1_1, False),
    ("1.3", ssl.TLSVersion.TLSv1_2, False),
    ("1.1", ssl.TLSVersion.TLSv1_1, True),
    ("1.1", ssl.TLSVersion.TLSv1, False),
    ("1.0", ssl.TLSVersion.TLSv1, True),
    ("1.0", ssl.TLSVersion.TLSv1_3, True),
])
def test_versions(made: pki.LocalPki, kind: str, minimum: str, offered: ssl.TLSVersion, works: bool) -> None:
    step = server(kind, files(made), TlsPolicy(minimum))
    client = client_context(made.ca_file, maximum=offered, weak=True)
    if works:
        assert handshake(step, client).version() == offered.name.replace("_", ".").replace("TLSv1.0", "TLSv1")
    else:
        with pytest.raises(ssl.SSLError):
            handshake(step, client)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("cipher", "works"), [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
    ("ECDHE-ECDSA-AES128-SHA256", False),
    ("ECDHE-ECDSA-AES128-SHA", False),
])
def test_only_aead_with_forward_secrecy(made: pki.LocalPki, kind: str, cipher: str, works: bool) -> None:
    client = client_context(made.ca_file, maximum=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers(cipher)
    step = server(kind, files(made), TlsPolicy())
    if works:
        chosen = handshake(step, client).cipher()
        assert chosen is not None
        assert chosen[0] == cipher
    else:
        with pytest.raises(ssl.SSLError):
            handshake(step, client)


@pytest.mark.parametrize("kind", KINDS)
def test_no_compression(made: pki.LocalPki, kind: str) -> None:
    assert handshake(server(kind, files(made), TlsPolicy()), client_context(made.ca_file)).compression() is None


def test_no_renegotiation(made: pki.LocalPki) -> None:
    assert stdlib_context(files(made), TlsPolicy()).options & ssl.OP_NO_RENEGOTIATION
    # pyOpenSSL returns the options in force after adding none.
    assert openssl_context(files(made), TlsPolicy()).set_options(0) & SSL.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_named(tmp_path: Path, made: pki.LocalPki, kind: str) -> None:
    build = stdlib_context if kind == "stdlib" else openssl_context
    other = pki.ensure(tmp_path / "other", [], NOW)
    text = tmp_path / "text.pem"
    text.write_text("text")
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(made.server_file.read_bytes(), None)
    locked.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    ))
    for bad in (
        TlsFiles(tmp_path / "missing.pem", made.server_file),
        TlsFiles(made.server_file, tmp_path / "missing.pem"),
        TlsFiles(text, made.server_file),
        TlsFiles(made.server_file, other.server_file),
    ):
        with pytest.raises(ConfigError, match=r"\.pem: "):
            build(bad, TlsPolicy())
    with pytest.raises(ConfigError, match=r"tls\.ciphers: 'NONSENSE' selects no cipher"):
        build(files(made), TlsPolicy(ciphers="NONSENSE"))
    with pytest.raises(ConfigError, match="belong together"):
        stdlib_context(TlsFiles(made.server_file, other.server_file), TlsPolicy())
    with pytest.raises(ConfigError, match="pass phrase"):
        stdlib_context(TlsFiles(made.server_file, locked), TlsPolicy())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def servers(contexts: TlsContexts) -> dict[str, Step]:
    return {
        "stdlib": stdlib_server(contexts.stdlib()),
        "openssl": openssl_server(contexts.twisted().context),
    }


def leaf_of(step: Step, ca: Path) -> bytes:
    octets = handshake(step, client_context(ca)).getpeercert(binary_form=True)
    assert octets is not None
    return octets


@pytest.mark.parametrize("kind", KINDS)
def test_contexts_handed_out_before_a_reload_serve_the_new_certificate(tmp_path: Path, kind: str) -> None:
    old = pki.ensure(tmp_path / "tls", [], NOW)
    contexts = TlsContexts(files(old), Clock())
    stdlib, twisted = contexts.stdlib(), contexts.twisted()
    before = leaf_of(servers(contexts)[kind], old.ca_file)
    old.server_file.unlink()
    new = pki.ensure(tmp_path / "tls", [], NOW)
    assert contexts.check()
    assert contexts.stdlib() is stdlib
    assert contexts.twisted() is twisted
    after = leaf_of(servers(contexts)[kind], new.ca_file)
    assert after != before
    assert after == ssl.PEM_cert_to_DER_cert(_certificate_part(new.server_file))


def _certificate_part(path: Path) -> str:
    text = path.read_text()
    return text[text.index("-----BEGIN CERTIFICATE"):]


def test_a_handshake_without_a_server_name_gets_the_new_certificate_too(tmp_path: Path) -> None:
    old = pki.ensure(tmp_path / "tls", [], NOW)
    contexts = TlsContexts(files(old), Clock())
    front = contexts.stdlib()
    old.server_file.unlink()
    new = pki.ensure(tmp_path / "tls", [], NOW)
    contexts.reload()
    # An IP address is never sent as server name (RFC 6066 3).
    connection = handshake(stdlib_server(front), client_context(new.ca_file), "127.0.0.1")
    assert connection.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(_certificate_part(new.server_file))


def test_a_broken_change_keeps_the_old_certificate(tmp_path: Path) -> None:
    old = pki.ensure(tmp_path / "tls", [], NOW)
    contexts = TlsContexts(files(old), Clock())
    before = leaf_of(servers(contexts)["stdlib"], old.ca_file)
    good = old.server_file.read_bytes()
    old.server_file.write_bytes(b"half a certif")
    assert not contexts.check()
    for step in servers(contexts).values():
        assert leaf_of(step, old.ca_file) == before
    with pytest.raises(ConfigError):
        contexts.reload()
    old.server_file.write_bytes(good)
    os.utime(old.server_file, ns=(1, 1))
    assert contexts.check()


def test_contexts_are_rebuilt_daily_for_their_ticket_keys(made: pki.LocalPki) -> None:
    clock = Clock()
    contexts = TlsContexts(files(made), clock)
    first = contexts.twisted().context
    clock.now = REBUILD - 1
    assert not contexts.check()
    assert contexts.twisted().context is first
    clock.now = REBUILD
    assert contexts.check()
    assert contexts.twisted().context is not first


def test_reload_may_take_other_files(tmp_path: Path) -> None:
    one, two = pki.ensure(tmp_path / "1", [], NOW), pki.ensure(tmp_path / "2", [], NOW)
    contexts = TlsContexts(files(one), Clock())
    contexts.stdlib()
    contexts.reload(files(two))
    for step in servers(contexts).values():
        assert leaf_of(step, two.ca_file)
    assert not contexts.check()


def test_policies_have_contexts_of_their_own(made: pki.LocalPki) -> None:
    contexts = TlsContexts(files(made), Clock())
    assert contexts.stdlib(TlsPolicy("1.0")) is not contexts.stdlib()
    assert contexts.stdlib(TlsPolicy("1.2")) is contexts.stdlib()


def test_a_real_loopback_handshake_over_asyncio(made: pki.LocalPki) -> None:
    async def run() -> bytes:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"* OK\r\n")
            await writer.drain()
            writer.close()

        context = TlsContexts(files(made), Clock()).stdlib()
        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(made.ca_file), server_hostname="localhost"
        )
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        listener.close()
        await listener.wait_closed()
        return line

    assert asyncio.run(run()) == b"* OK\r\n"
