"""Dovecot as the last hop: what goes out is one message there too, whatever was stored."""

from __future__ import annotations

import asyncio
import imaplib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.outbound.endpoint import Endpoint
from gateway.outbound.smtp_transport import SmtpConnection
from gateway.outbound.tls import Security, TlsPolicy
from tests.faults.smtp_kit import run
from tests.faults.smtp_peer import FAST, mail
from tests.faults.test_outbound_postfix import ENDS, EVIL, HEAD
from tests.servers.dovecot import Dovecot


@asynccontextmanager
async def greeted_as_lmtp(port: int) -> AsyncIterator[int]:
    """A port where EHLO is LHLO and nothing else is changed: with one recipient LMTP's replies are SMTP's."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, hello: bool) -> None:
        if hello:
            line = await reader.readline()
            assert line.startswith(b"EHLO ")
            writer.write(b"L" + line[1:])
        while octets := await reader.read(65_536):
            writer.write(octets)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(forward(reader, to_them, hello=True), forward(theirs, writer, hello=False))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def delivered(dovecot: Dovecot, user: str) -> list[bytes]:
    context = ssl.create_default_context(cafile=str(dovecot.ca))
    with imaplib.IMAP4_SSL("localhost", dovecot.imaps, ssl_context=context) as client:
        client.login(user, dovecot.password)
        client.select("INBOX", readonly=True)
        return [row[1] for row in client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]


def test_nothing_stored_goes_out_as_two_messages(dovecot: Dovecot) -> None:
    async def main() -> None:
        async with greeted_as_lmtp(dovecot.lmtp) as port:
            endpoint = Endpoint("127.0.0.1", port, TlsPolicy(Security.NONE), allow_private=True, timeouts=FAST)
            connection = await SmtpConnection.open(endpoint)
            for number, dot in enumerate(ENDS):
                for line in (b"\n", b"\r\n", b"\r"):
                    octets = HEAD + b"start%d" % number + dot + EVIL.replace(b"|", line) + b"end\r\n"
                    [outcome] = await connection.send(mail("eve@x.net", octets=octets))
                    assert (outcome.verdict.value, connection.usable) == ("sent", True), (dot, line)
            await connection.close()

    run(main())
    got = delivered(dovecot, "eve@x.net")
    assert len(got) == 3 * len(ENDS)
    for octets in got:
        assert octets.count(b"\nstart") == 1
        assert octets.endswith(b"end\r\n")
        assert b"evil" in octets, "it is text of the message"
