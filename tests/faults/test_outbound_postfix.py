"""Debian's Postfix as the next hop: what it takes from us, and what it hands on to a server that counts messages."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.model.recipient import Notify, Recipient
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.smtp_transport import SmtpConnection
from gateway.outbound.tls import Security, TlsPolicy
from gateway.outbound.verdict import Outcome
from tests.faults.smtp_kit import run
from tests.faults.smtp_peer import FAST, Got, Peer, mail, peer
from tests.servers.postfix import Postfix, running_postfix

HEAD = b"From: ann@example.org\r\nTo: eve@x.net\r\nMessage-ID: <one@example.org>\r\nSubject: hi\r\n\r\n"
EVIL = b"MAIL FROM:<evil@example.org>|RCPT TO:<victim@x.net>|DATA|From: evil@example.org||evil|.|"
ENDS = [
    b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\r\n.\r", b"\r\n.\r\0\n", b"\r\0\n.\r\n", b"\r\n.\0\r\n",
    b"\r\r\n.\r\r\n", b"\r\n.\r\n", b"\r\n..\r\n", b"\x85.\x85", b"\n\n.\r\n", b"\r\n.\r\r\n", b"\0\r\n.\r\n",
]  # fmt: skip


@pytest.fixture(autouse=True)
def installed(missing: Callable[[str], None]) -> None:
    if not Path("/usr/lib/postfix/sbin/master").exists():
        missing("postfix")


@asynccontextmanager
async def hop(extra: str = "", *, sink: Peer | None = None) -> AsyncIterator[tuple[Postfix, Peer]]:
    """A Postfix that hands on to a strict server of ours."""
    async with peer(sink or Peer(("8BITMIME", "SMTPUTF8", "PIPELINING"))) as end:
        settings = f"relayhost = [127.0.0.1]:{end.port}\nsmtp_destination_concurrency_limit = 1\n"
        settings += "smtpd_forbid_bare_newline = no\nsmtpd_forbid_unauth_pipelining = no\nsmtputf8_enable = yes\n"
        stack = ExitStack()
        postfix = await asyncio.to_thread(stack.enter_context, running_postfix(settings + extra))
        try:
            yield postfix, end
        finally:
            await asyncio.to_thread(stack.close)


def endpoint(postfix: Postfix, *, tls: bool = False) -> Endpoint:
    policy = TlsPolicy(Security.TLS, postfix.ca) if tls else TlsPolicy(Security.NONE)
    port = postfix.smtps if tls else postfix.smtp
    host = "localhost" if tls else "127.0.0.1"
    return Endpoint(host, port, policy, helo="mail.example.org", allow_private=True, timeouts=FAST)


async def handed_on(end: Peer, count: int) -> list[Got]:
    """Until so many have come."""
    while len(end.got) < count:  # noqa: ASYNC110 - Postfix's queue is another process
        await asyncio.sleep(0.02)
    return end.got


def test_nothing_stored_goes_out_as_two_messages() -> None:
    """What APPEND kept never passed submission's checks: it is one message at the next hop and behind it."""

    async def main() -> None:
        async with hop() as (postfix, end):
            connection = await SmtpConnection.open(endpoint(postfix))
            for number, dot in enumerate(ENDS):
                for line in (b"\n", b"\r\n", b"\r"):
                    octets = HEAD + b"start%d" % number + dot + EVIL.replace(b"|", line) + b"end\r\n"
                    [outcome] = await connection.send(mail("eve@x.net", octets=octets))
                    assert (outcome.verdict.value, connection.usable) == ("sent", True), (dot, line)
            await connection.close()
            got = await handed_on(end, 3 * len(ENDS))
            for each in got:
                assert each.mail.startswith("MAIL FROM:<ann@example.org>")
                assert each.rcpts == ["RCPT TO:<eve@x.net>"]
                assert each.octets.count(b"\r\nend\r\n") + each.octets.count(b"|end\r\n") == 1
                assert each.octets.count(b"\nstart") == 1
            assert sorted(each.octets.partition(b"\nstart")[2].split(b"\r\n")[0][:1].isdigit() for each in got) == [
                True
            ] * len(got)
            # A further message shows that nothing was left behind, in either queue.
            last = await SmtpConnection.open(endpoint(postfix))
            await last.send(mail("last@x.net", octets=HEAD + b"last\r\n"))
            await last.close()
            assert (await handed_on(end, 3 * len(ENDS) + 1))[-1].rcpts == ["RCPT TO:<last@x.net>"]
            assert len(end.got) == 3 * len(ENDS) + 1

    run(main())


def test_wishes_for_reports_are_handed_on() -> None:
    """Postfix offers DSN, so that it owes the report: it sends "relayed", for the server behind it offers none."""

    async def main() -> None:
        async with hop() as (postfix, end):
            connection = await SmtpConnection.open(endpoint(postfix, tls=True))
            asked = Recipient("eve@x.net", Notify.SUCCESS, "rfc822;Original+2BEve@x.net")
            quiet = Recipient("bob@x.net", Notify.NEVER)
            outcomes = await connection.send(mail(asked, quiet, octets=HEAD + b"x\r\n", envelope_id="Q=1", ret="HDRS"))
            await connection.close()
            assert [(each.verdict.value, each.notifies) for each in outcomes] == [("sent", True)] * 2
            got = await handed_on(end, 2)
            [report] = [each for each in got if each.mail.startswith("MAIL FROM:<>")]
            assert report.rcpts == ["RCPT TO:<ann@example.org>"]
            status = email.message_from_bytes(report.octets).get_payload(1)
            text = str(status)
            assert "Original-Envelope-Id: Q=1" in text
            assert "Action: relayed" in text
            assert "Original-Recipient: rfc822;Original+Eve@x.net" in text
            assert "bob@x.net" not in text

    run(main())


BINARY = (
    b"From: ann@example.org\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\n" + bytes(range(256)) * 1000 + b"\r\n.\r\n\n.\n"
)
TEXT = (
    "From: ann@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\nzoë wrote a line that is long enough\r\n"
).encode()


@pytest.mark.parametrize("keywords", ["", "8bitmime,smtputf8", "pipelining,chunking,dsn,8bitmime,size"])
def test_what_it_does_not_offer_is_converted(keywords: str) -> None:
    async def main() -> list[Outcome]:
        async with hop(f"smtpd_discard_ehlo_keywords = {keywords}\n") as (postfix, end):
            connection = await SmtpConnection.open(endpoint(postfix))
            outcomes = await connection.send(mail("a@x.net", octets=BINARY, binary=True))
            outcomes += await connection.send(mail("b@x.net", octets=TEXT, body_8bit=True))
            await connection.close()
            for got in await handed_on(end, 2):
                want = BINARY if "<a@" in got.rcpts[0] else TEXT
                found = email.message_from_bytes(got.octets).get_payload(decode=True)
                assert found == want.partition(b"\r\n\r\n")[2]
                assert got.octets.isascii() or (want is TEXT and not keywords)
            return outcomes

    assert {outcome.verdict.value for outcome in run(main())} == {"sent"}


def test_its_refusals_find_their_recipients() -> None:
    """Replies to pipelined commands of a real server, of which a third is refused, with its words."""

    async def main() -> None:
        refuse = "smtpd_recipient_restrictions = check_recipient_access inline:{{bad@x.net = 550 5.1.1 nobody}, "
        refuse += "{later@x.net = 450 4.2.1 not now}}, permit_mynetworks, reject\n"
        async with hop(refuse) as (postfix, end):
            connection = await SmtpConnection.open(endpoint(postfix))
            for _ in range(3):
                outcomes = await connection.send(mail("good@x.net", "bad@x.net", "later@x.net", octets=HEAD + b"x\r\n"))
                assert [(each.code, each.verdict.value) for each in outcomes] == [
                    (250, "sent"), (550, "permanent"), (450, "temporary"),
                ], [each.text for each in outcomes]  # fmt: skip
                assert "nobody" in outcomes[1].text
                [outcome] = await connection.send(mail("bad@x.net", octets=HEAD + b"x\r\n"))
                assert outcome.code == 550
                assert connection.usable
            await connection.close()
            assert {tuple(got.rcpts) for got in await handed_on(end, 3)} == {("RCPT TO:<good@x.net>",)}

    run(main())
