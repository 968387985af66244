"""What the tests of LMTP share: a server over a real store, and a client that says what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.model.ports import NULL_METRICS, Metrics
from gateway.ops.sockets import bind_unix
from gateway.smtp.ports import SubmissionServices
from gateway.smtp.server import SubmissionListener, SubmissionServer
from gateway.smtp.settings import SmtpSettings
from gateway.submit.intake import Intake
from gateway.submit.settings import SubmitSettings
from tests.faults.smtp_kit import Client, Doorman, ScriptedAcceptor, principal
from tests.faults.smtp_store import House, house

MAX_SIZE = 2_000_000
SENDER = "eve@elsewhere.net"
MAIL = b"From: Eve <eve@elsewhere.net>\r\nTo: you\r\nSubject: hello\r\n\r\nA body\r\n"


class LmtpClient(Client):
    async def lhlo(self) -> str:
        return await self.say("LHLO front.example.org")

    async def envelope(self, *recipients: str, sender: str = SENDER) -> None:
        """MAIL, RCPT, DATA up to 354."""
        assert (await self.say(f"MAIL FROM:<{sender}>")).startswith("250 2.1.0")
        for recipient in recipients or ("bob@example.org",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250 2.1.5")
        assert (await self.say("DATA")).startswith("354")

    async def deliver(self, *recipients: str, octets: bytes = MAIL, sender: str = SENDER) -> list[str]:
        """The replies, one a recipient. `octets` as they go over the wire, without the end."""
        await self.envelope(*recipients, sender=sender)
        self.writer.write(octets + (b".\r\n" if octets.endswith(b"\r\n") else b"\r\n.\r\n"))
        return [await self.reply() for _ in recipients or ("bob@example.org",)]


@dataclass
class Post:
    """A running LMTP server."""

    house: House
    server: SubmissionServer
    path: Path

    @asynccontextmanager
    async def client(self) -> AsyncIterator[LmtpClient]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        client = LmtpClient(reader, writer)
        try:
            assert (await client.reply()) == "220 mail.example.org LMTP"
            assert (await client.lhlo()).startswith("250-mail.example.org")
            yield client
        finally:
            writer.transport.abort()


@asynccontextmanager
async def post(
    directory: Path, url: str = "", *, metrics: Metrics = NULL_METRICS, submit: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Post]:
    """A house with ann and bob @example.org, and LMTP at a Unix socket."""
    async with house(directory, url) as it:
        intake = Intake(
            it.db,
            it.ingest,
            it.clock,
            SubmitSettings(hostname="mail.example.org", max_message_size=MAX_SIZE, **(submit or {})),
            it.submissions.directory,
        )
        doorman = Doorman(principal())
        services = SubmissionServices(
            acceptor=ScriptedAcceptor(),
            authenticator=doorman,
            sessions=doorman,
            clock=it.clock,
            settings=SmtpSettings(hostname="mail.example.org", max_message_size=MAX_SIZE, **settings),
            metrics=metrics,
            intake=intake,
        )
        path = directory / "lmtp"
        sock = bind_unix(path, 0o600, 100)
        server = SubmissionServer(services, SubmissionListener(None, implicit_tls=False, sock=sock, lmtp=True))
        await server.start()
        try:
            yield Post(it, server, path)
        finally:
            await server.close(grace_s=5)
            await intake.drain()
