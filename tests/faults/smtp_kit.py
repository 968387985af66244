"""What the SMTP fault tests share: certificates, a server over a scripted acceptor, a raw client, a scripted relay."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.model.errors import AuthenticationFailed, GatewayError, SenderNotAuthorized
from gateway.model.ids import InboxId, KeyId, SubmissionId
from gateway.model.permissions import ALL_PERMISSIONS, Principal, ScopeKind
from gateway.model.ports import NULL_METRICS, Metrics
from gateway.model.recipient import Recipient
from gateway.smtp.ports import Acceptor, Gate, SubmissionServices, Urls
from gateway.smtp.server import SubmissionListener, SubmissionServer
from gateway.smtp.settings import SmtpSettings
from gateway.submit.envelope import Accepted, SubmissionEnvelope
from gateway.submit.errors import UnknownRecipient
from gateway.wire import scram

T = TypeVar("T")

USER, SECRET = "ann@example.org", "s3cret-canary"
SALT = scram.Parameters(b"sixteen octets..", 4096)


def run(main: Coroutine[Any, Any, T], *, fast: bool = True) -> T:
    """On uvloop, as the gateway runs, or on asyncio's own loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if fast else None) as runner:
        return runner.run(asyncio.wait_for(main, 60))


@dataclass(frozen=True)
class Certificates:
    server: ssl.SSLContext
    client: ssl.SSLContext
    ca_file: Path


def certificates(directory: Path) -> Certificates:
    """A CA and a leaf for localhost and 127.0.0.1."""
    now = datetime.datetime.now(datetime.UTC)

    def build(name: str, key: ec.EllipticCurvePrivateKey, issuer: str) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
        )

    ca_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = (
        build("test CA", ca_key, "test CA")
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
        )
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        build("localhost", leaf_key, "test CA")
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    ca_file, leaf_file = directory / "ca.pem", directory / "leaf.pem"
    ca_file.write_bytes(ca.public_bytes(pem))
    leaf_file.write_bytes(
        leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(pem)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(leaf_file)
    return Certificates(server, ssl.create_default_context(cafile=str(ca_file)), ca_file)


def principal(**changes: Any) -> Principal:
    values: dict[str, Any] = {
        "key_id": KeyId(1), "key_name": "laptop", "scope": ScopeKind.INBOX, "pod_id": None, "inbox_id": InboxId(1),
        "inbox_address": USER, "permissions": ALL_PERMISSIONS, "expires_at": None,
    }
    return Principal(**{**values, **changes})


def envelope_of(who: Principal, mail_from: str, recipients: Sequence[str], **values: Any) -> SubmissionEnvelope:
    """As a session makes it of what a client says without any parameter."""
    return SubmissionEnvelope(who, mail_from, tuple(map(Recipient, recipients)), **values)


@dataclass
class ScriptedAcceptance:
    owner: ScriptedAcceptor
    envelope: SubmissionEnvelope
    octets: bytearray = field(default_factory=bytearray)

    async def write(self, chunk: bytes) -> None:
        if self.owner.write_error is not None:
            raise self.owner.write_error
        self.octets += chunk

    async def finish(self) -> Accepted:
        self.owner.finishing.set()
        await self.owner.may_finish.wait()
        if self.owner.finish_error is not None:
            raise self.owner.finish_error
        self.owner.accepted.append((self.envelope, bytes(self.octets)))
        count = len(self.owner.accepted)
        return Accepted(f"T{count}", SubmissionId(1), (), 0, len(self.octets), self.owner.held_as)

    def abort(self) -> None:
        self.owner.aborted += 1


class ScriptedAcceptor:
    """Says yes to ann@example.org and to every recipient but nobody@example.org."""

    def __init__(self) -> None:
        self.accepted: list[tuple[SubmissionEnvelope, bytes]] = []
        self.aborted = 0
        self.senders: list[str] = []
        self.write_error: GatewayError | None = None
        self.finish_error: Exception | None = None
        self.held_as: str | None = None
        self.finishing = asyncio.Event()
        self.may_finish = asyncio.Event()
        self.may_finish.set()

    async def check_sender(self, principal: Principal, reverse_path: str) -> None:
        self.senders.append(reverse_path)
        if reverse_path not in ("", USER):
            raise SenderNotAuthorized(reverse_path)

    async def check_recipient(self, principal: Principal, reverse_path: str, address: str) -> None:
        if address == "nobody@example.org":
            raise UnknownRecipient(address)

    def begin(self, envelope: SubmissionEnvelope) -> ScriptedAcceptance:
        return ScriptedAcceptance(self, envelope)


class Doorman:
    """Authenticator and registry of live sessions at once."""

    def __init__(self, who: Principal) -> None:
        self.who = who
        self.error: GatewayError | None = None
        self.ends: list[Callable[[str], None]] = []
        self.closed = 0

    async def authenticate(self, user: str, secret: str, peer_ip: str, /) -> Principal:
        if self.error is not None:
            raise self.error
        if (user, secret) != (USER, SECRET):
            raise AuthenticationFailed("no")
        return self.who

    async def scram_parameters(self) -> scram.Parameters:
        return SALT

    async def prove(self, user: str, proof: scram.Proof | None, peer: str, /) -> tuple[Principal, bytes]:
        if self.error is not None:
            raise self.error
        signature = None if user != USER or proof is None else proof.signature(scram.derive(SECRET, SALT))
        if signature is None:
            raise AuthenticationFailed("no")
        return self.who, signature

    def add(self, principal: Principal, end: Callable[[str], None], /) -> Doorman:
        self.ends.append(end)
        return self

    def close(self) -> None:
        self.closed += 1


class Client:
    """A raw client: sends what it is told, reads replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def reply(self) -> str:
        """One reply, all its lines joined by LF; "" at the end of the connection."""
        lines = []
        while True:
            line = (await self.reader.readline()).decode()
            if not line:
                return "\n".join(lines)
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        octets = line if isinstance(line, bytes) else line.encode() + b"\r\n"
        self.writer.write(octets)
        await self.writer.drain()
        return await self.reply()

    async def login(self) -> None:
        token = base64.b64encode(f"\0{USER}\0{SECRET}".encode()).decode()
        assert (await self.say("EHLO vm")).startswith("250-")
        assert (await self.say(f"AUTH PLAIN {token}")).startswith("235 2.7.0")

    async def envelope(self, *recipients: str) -> None:
        """MAIL, RCPT, DATA up to 354."""
        assert (await self.say(f"MAIL FROM:<{USER}>")).startswith("250 2.1.0")
        for recipient in recipients or ("bob@example.org",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250 2.1.5")
        assert (await self.say("DATA")).startswith("354")

    async def starttls(self, context: ssl.SSLContext) -> None:
        await self.writer.start_tls(context, server_hostname="localhost")

    def drop(self) -> None:
        self.writer.transport.abort()


class Door:
    """A running submission server with all that a test wants to look at."""

    def __init__(
        self, server: SubmissionServer, acceptor: ScriptedAcceptor, doorman: Doorman, tls: Certificates
    ) -> None:
        self.server, self.acceptor, self.doorman, self.tls = server, acceptor, doorman, tls

    @asynccontextmanager
    async def client(self, *, tls: bool = True) -> AsyncIterator[Client]:
        context = self.tls.client if tls else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.server.port, ssl=context, server_hostname="localhost" if tls else None
        )
        client = Client(reader, writer)
        try:
            assert (await client.reply()).startswith(("220 ", "421 "))
            yield client
        finally:
            writer.transport.abort()


@asynccontextmanager
async def door(
    tls: Certificates,
    *,
    implicit_tls: bool = True,
    who: Principal | None = None,
    clock: float = 1e9,
    acceptor: Acceptor | None = None,
    listener: dict[str, Any] | None = None,
    gate: Gate | None = None,
    metrics: Metrics = NULL_METRICS,
    urls: Urls | None = None,
    **settings: Any,
) -> AsyncIterator[Door]:
    scripted, doorman = ScriptedAcceptor(), Doorman(who or principal())
    services = SubmissionServices(
        acceptor=acceptor or scripted,
        authenticator=doorman,
        sessions=doorman,
        clock=lambda: clock,
        settings=SmtpSettings(hostname="mail.example.org", **settings),
        gate=gate,
        metrics=metrics,
        urls=urls,
    )
    place: dict[str, Any] = {"tls": tls.server, "host": "127.0.0.1", "port": 0, **(listener or {})}
    server = SubmissionServer(services, SubmissionListener(implicit_tls=implicit_tls, **place))
    await server.start()
    try:
        yield Door(server, scripted, doorman, tls)
    finally:
        await server.close(grace_s=5)
