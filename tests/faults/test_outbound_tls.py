"""TLS as it goes out, against real OpenSSL servers: certificates, pins, versions and groups of all kinds."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.model.errors import ConfigError
from gateway.outbound.endpoint import Endpoint, Timeouts
from gateway.outbound.failure import Failure
from gateway.outbound.smtp_transport import SmtpConnection, TransportFailed
from gateway.outbound.tls import MOST_CONTEXTS, ClientContexts, Security, TlsPolicy
from gateway.outbound.tls_peer import TlsFailed, explained, tls_object
from gateway.outbound.verdict import Verdict
from tests.faults.smtp_kit import run
from tests.support.authority import Authority, Leaf, group_file

QUICK = Timeouts(connect=5, greeting=5, mail=5, rcpt=5, data=5, block=5, final=5, quit=1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture(scope="module")
def ca(directory: Path) -> Authority:
    return Authority(directory)


@pytest.fixture(scope="module")
def leaf(ca: Authority) -> Leaf:
    return ca.leaf()


@contextmanager
def server(context: ssl.SSLContext | None, *, starttls: bool = False, offers: bool = True) -> Iterator[int]:
    """SMTP as far as EHLO and QUIT; its port. In threads: asyncio's servers keep their alerts to themselves."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(10)
                with suppress(OSError):  # the client did not want what it saw, which is what is tested
                    _speak(sock, context, starttls, offers)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def _speak(sock: socket.socket, context: ssl.SSLContext | None, starttls: bool, offers: bool) -> None:
    if context is not None and not starttls:
        sock = context.wrap_socket(sock, server_side=True)
    sock.sendall(b"220 peer ESMTP\r\n")
    while words := sock.recv(1000).split():  # a client that waits for each reply sends its line in one piece
        verb = words[0].upper()
        if verb == b"STARTTLS" and context is not None:
            sock.sendall(b"220 go\r\n")
            sock = context.wrap_socket(sock, server_side=True)
        elif verb == b"QUIT":
            sock.sendall(b"221 bye\r\n")
            break
        else:
            sock.sendall(b"250-peer\r\n250 STARTTLS\r\n" if starttls and offers else b"250 peer\r\n")
    sock.close()


async def tried(port: int, policy: TlsPolicy, host: str = "127.0.0.1") -> SmtpConnection:
    endpoint = Endpoint(host, port, policy, helo="gateway.example", allow_private=True, timeouts=QUICK)
    connection = await SmtpConnection.open(endpoint)
    await connection.close()
    return connection


def outcome_of(
    context: ssl.SSLContext | None, policy: TlsPolicy, host: str = "127.0.0.1", *, starttls: bool = False
) -> SmtpConnection | tuple[Failure | None, str]:
    """The connection, or the class of its failure and the text."""

    async def main() -> SmtpConnection | tuple[Failure | None, str]:
        try:
            return await tried(port, policy, host)
        except TransportFailed as failed:
            if failed.outcome.verdict is not Verdict.TEMPORARY:
                raise
            return failed.outcome.failure, failed.outcome.text

    with server(context, starttls=starttls) as port:
        return run(main())


def works(found: SmtpConnection | tuple[Failure | None, str], version: str) -> None:
    assert isinstance(found, SmtpConnection), found
    assert found.tls is not None
    assert found.tls.version == version


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_certificates_that_are_not_accepted_are_told_apart(directory: Path, ca: Authority, security: Security) -> None:
    other = Authority(directory, "other")
    starttls = security is Security.STARTTLS

    def text(leaf: Leaf, **changes: object) -> str:
        policy = TlsPolicy(security, **{"ca_file": ca.file, **changes})  # type: ignore[arg-type]
        found = outcome_of(leaf.server(), policy, starttls=starttls)
        assert isinstance(found, tuple)
        assert found[0] is Failure.TLS_VERIFY
        return found[1]

    assert "has expired" in text(ca.leaf(days=-1))
    assert "is for another name" in text(ca.leaf("imap.example"))
    assert "is for another name" in text(ca.leaf(), server_name="imap.example")
    assert "is not from the given CA" in text(other.leaf())
    assert "is not from a CA that this system trusts" in text(ca.leaf(), ca_file=None)
    assert "is too weak" in text(ca.leaf(bits=1024))


@pytest.mark.parametrize("trusted", ["file", "text", "its own certificate"])
def test_a_ca_as_file_or_text_is_the_only_one_that_is_trusted(
    directory: Path, ca: Authority, leaf: Leaf, trusted: str
) -> None:
    """The server's own certificate, which no CA is, may be given in place of its CA's."""
    own = leaf.certificate.public_bytes(Encoding.PEM).decode()
    policy = {
        "file": TlsPolicy(ca_file=ca.file),
        "text": TlsPolicy(ca_pem=ca.pem),
        "its own certificate": TlsPolicy(ca_pem=own),
    }[trusted]
    works(outcome_of(leaf.server(), policy), "TLSv1.3")
    found = outcome_of(Authority(directory, "third").leaf().server(), policy)
    assert isinstance(found, tuple)


def test_what_is_shown_of_a_connection(ca: Authority, leaf: Leaf) -> None:
    found = outcome_of(leaf.server(), TlsPolicy(ca_file=ca.file))
    assert isinstance(found, SmtpConnection)
    assert found.greeting == "peer ESMTP"
    assert found.tls is not None
    assert (found.tls.subject, found.tls.issuer) == ("CN=leaf", "CN=Test ca")
    assert found.tls.names == ("localhost", "127.0.0.1")
    assert found.tls.not_after == leaf.certificate.not_valid_after_utc
    assert found.tls.sha256 == hashlib.sha256(leaf.certificate.public_bytes(Encoding.DER)).hexdigest()


def certificate_pin(leaf: Leaf) -> str:
    return hashlib.sha256(leaf.certificate.public_bytes(Encoding.DER)).hexdigest()


def key_pin(leaf: Leaf) -> str:
    key = leaf.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


@pytest.mark.parametrize("pin_of", [certificate_pin, key_pin])
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_pins(directory: Path, ca: Authority, leaf: Leaf, pin_of: Callable[[Leaf], str], security: Security) -> None:
    """In addition to CA, date and name; instead of them only where that was said."""
    starttls = security is Security.STARTTLS
    stranger = Authority(directory, "stranger").leaf("elsewhere.example", days=-1)
    both = ("f" * 64, pin_of(leaf))
    works(outcome_of(leaf.server(), TlsPolicy(security, ca.file, pins=both), starttls=starttls), "TLSv1.3")
    for seen, policy, words in (
        (ca.leaf(), TlsPolicy(security, ca.file, pins=both), "another one than is pinned"),
        (stranger, TlsPolicy(security, ca.file, pins=(pin_of(stranger),)), "certificate"),
        (leaf, TlsPolicy(security, pins=(pin_of(stranger),), pin_only=True), "another one than is pinned"),
    ):
        found = outcome_of(seen.server(), policy, starttls=starttls)
        assert isinstance(found, tuple)
        assert found[0] is Failure.TLS_VERIFY
        assert words in found[1]
    only = TlsPolicy(security, pins=(pin_of(stranger),), pin_only=True)
    works(outcome_of(stranger.server(), only, starttls=starttls), "TLSv1.3")


def old(leaf: Leaf, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    """A server that knows one version."""
    context = leaf.server()
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "name", "setting"),
    [(ssl.TLSVersion.TLSv1, "TLSv1", "1.0"), (ssl.TLSVersion.TLSv1_1, "TLSv1.1", "1.1")],
)
def test_versions_below_1_2_have_to_be_asked_for(
    ca: Authority, leaf: Leaf, version: ssl.TLSVersion, name: str, setting: str
) -> None:
    context = old(leaf, version)
    found = outcome_of(context, TlsPolicy(ca_file=ca.file))
    assert isinstance(found, tuple)
    assert found[0] is Failure.TLS_VERSION
    assert "no version or cipher in common with us (TLS 1.2 to 1.3)" in found[1]
    works(outcome_of(context, TlsPolicy(ca_file=ca.file, min_version=setting)), name)
    # Certificates are looked at all the same, and a newer server is spoken with as well as it can.
    assert isinstance(outcome_of(context, TlsPolicy(min_version=setting)), tuple)
    works(outcome_of(leaf.server(), TlsPolicy(ca_file=ca.file, min_version=setting)), "TLSv1.3")


def test_the_highest_version_and_a_lowest_one_that_the_server_has_not(ca: Authority, leaf: Leaf) -> None:
    works(outcome_of(leaf.server(), TlsPolicy(ca_file=ca.file, max_version="1.2")), "TLSv1.2")
    found = outcome_of(old(leaf, ssl.TLSVersion.TLSv1_2), TlsPolicy(ca_file=ca.file, min_version="1.3"))
    assert isinstance(found, tuple)
    assert found[0] is Failure.TLS_VERSION


def with_group(directory: Path, leaf: Leaf, bits: int) -> ssl.SSLContext:
    """A server that knows nothing but finite-field Diffie-Hellman in this group."""
    context = old(leaf, ssl.TLSVersion.TLSv1_2, "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    context.load_dh_params(str(group_file(directory, bits)))
    return context


@pytest.mark.parametrize(
    ("group", "smallest", "accepted"),
    [
        (1024, 2048, False), (1024, 1025, False), (1024, 1024, True), (1024, 512, True),
        (2048, 2048, True), (2048, 1024, True), (2048, 3072, False), (2048, 4096, False),
    ],
)  # fmt: skip
def test_the_smallest_group_that_is_accepted(
    directory: Path, ca: Authority, leaf: Leaf, group: int, smallest: int, accepted: bool
) -> None:
    found = outcome_of(with_group(directory, leaf, group), TlsPolicy(ca_file=ca.file, min_dh_bits=smallest))
    if accepted:
        works(found, "TLSv1.2")
        return
    assert isinstance(found, tuple)
    assert found[0] is Failure.TLS_VERSION
    if smallest <= 2048:  # beyond, no such cipher is offered at all
        assert f"a Diffie-Hellman group below {smallest} bits" in found[1]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_old_versions_do_without_groups(directory: Path, ca: Authority, leaf: Leaf) -> None:
    """Where TLS 1.0 is allowed OpenSSL accepts a group of any size, so none is offered."""
    context = with_group(directory, leaf, 1024)
    found = outcome_of(context, TlsPolicy(ca_file=ca.file, min_version="1.0", min_dh_bits=1024))
    assert isinstance(found, tuple)
    assert found[0] is Failure.TLS_VERSION


@pytest.mark.parametrize("bits", [2048, 4096])
def test_a_group_of_tls_1_3_is_held_to_the_minimum(ca: Authority, leaf: Leaf, bits: int) -> None:
    """OpenSSL's own server, for Python cannot choose its groups: it knows ffdhe2048 and nothing else."""

    async def main() -> TlsFailed | None:
        process = await asyncio.create_subprocess_exec(
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(leaf.file), "-tls1_3", "-groups", "ffdhe2048",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        policy = TlsPolicy(ca_file=ca.file, min_dh_bits=bits)
        try:
            while not (line := await process.stdout.readline()).startswith(b"ACCEPT"):
                assert line, "the server ended"
            port = int(line.rpartition(b":")[2])
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=policy.context())
            except OSError as error:
                return explained(error, policy, "127.0.0.1")
            assert tls_object(writer.transport).version() == "TLSv1.3"
            writer.transport.abort()
            return None
        finally:
            process.kill()
            await process.wait()

    found = run(main())
    if bits == 2048:
        assert found is None
    else:
        assert found is not None
        assert found.failure is Failure.TLS_VERSION


def test_ports_that_speak_otherwise_are_named(ca: Authority, leaf: Leaf) -> None:
    found = outcome_of(None, TlsPolicy(ca_file=ca.file))
    assert found == (Failure.NOT_TLS, "127.0.0.1 does not speak TLS on this port")

    with server(leaf.server(), starttls=True, offers=False) as port, pytest.raises(TransportFailed) as failed:
        run(tried(port, TlsPolicy(Security.STARTTLS, ca.file)))
    assert failed.value.outcome.failure is Failure.NO_STARTTLS
    assert "does not offer STARTTLS" in failed.value.outcome.text


def test_a_handshake_that_does_not_end_is_a_timeout(ca: Authority) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        listening = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        times = Timeouts(connect=5, greeting=0.2)
        endpoint = Endpoint("127.0.0.1", port, TlsPolicy(ca_file=ca.file), allow_private=True, timeouts=times)
        with pytest.raises(TransportFailed) as failed:
            await SmtpConnection.open(endpoint)
        assert failed.value.outcome.failure is Failure.TIMEOUT
        listening.close()

    run(main())


def test_policies_that_contradict_themselves() -> None:
    for values in (
        {"min_version": "1.3", "max_version": "1.2"}, {"min_version": "0.9"}, {"pins": ("ab",)}, {"pin_only": True},
        {"pins": ("A" * 64,)},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            TlsPolicy(**values)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot be read as PEM"):
        TlsPolicy(ca_pem="-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n").context()
    with pytest.raises(ConfigError, match="cannot be read as PEM"):
        TlsPolicy(ca_pem="zoë").context()


def test_contexts_are_shared_and_bounded(ca: Authority) -> None:
    """A thousand connectors of one provider have one context; a pin or a name is no part of it, its absence is."""

    async def main() -> None:
        made = ClientContexts()
        one = await made.get(TlsPolicy(ca_file=ca.file))
        assert one is await made.get(TlsPolicy(Security.STARTTLS, ca.file, pins=("0" * 64,), server_name="x"))
        only = await made.get(TlsPolicy(ca_file=ca.file, pins=("1" * 64,), pin_only=True))
        assert only.verify_mode is ssl.CERT_NONE
        assert one.verify_mode is ssl.CERT_REQUIRED
        assert one.check_hostname
        assert only is await made.get(TlsPolicy(ca_file=ca.file, pins=("2" * 64,), pin_only=True))
        for number in range(MOST_CONTEXTS):
            await made.get(TlsPolicy(ca_pem=ca.pem + "\n" * number))
        assert one is not await made.get(TlsPolicy(ca_file=ca.file))

    run(main())
