"""BDAT over real sockets and TLS: chunks, what is refused and read past all the same, and what nobody can smuggle."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.model.errors import OverQuota, TooBig
from tests.faults.smtp_kit import USER, Certificates, Client, Door, certificates, door, run

MESSAGE = b"From: ann@example.org\r\nSubject: x\r\n\r\nhello\r\n"
NOTHING = "503 5.5.1 Need MAIL command"
RESET = "503 5.5.1 Send RSET first"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(Path(tmp_path_factory.mktemp("tls")))


@pytest.fixture(params=["uvloop", "asyncio"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "uvloop")


def bdat(octets: bytes, *, last: bool = False) -> bytes:
    return b"BDAT %d%b\r\n" % (len(octets), b" LAST" if last else b"") + octets


async def begin(client: Client, parameters: str = "") -> None:
    assert (await client.say(f"MAIL FROM:<{USER}>{parameters}")).startswith("250")
    assert (await client.say("RCPT TO:<bob@example.org>")).startswith("250")


async def alive(client: Client, it: Door, accepted: int) -> None:
    """The session goes on, where it should be; nothing more than `accepted` messages is kept."""
    assert await client.say("NOOP") == "250 2.0.0 OK"
    assert len(it.acceptor.accepted) == accepted


def test_one_chunk_and_several(tls: Certificates, fast: bool) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            await begin(client)
            assert await client.say(bdat(MESSAGE, last=True)) == "250 2.0.0 Accepted as T1"
            await begin(client)
            assert await client.say(bdat(MESSAGE[:20])) == "250 2.0.0 20 octets received"
            assert await client.say("NOOP") == "250 2.0.0 OK"
            assert await client.say(bdat(b"")) == "250 2.0.0 0 octets received"
            assert (await client.say(bdat(MESSAGE[20:]))).startswith("250 2.0.0")
            assert await client.say("BDAT 0 LAST") == "250 2.0.0 Accepted as T2"
            assert [octets for _, octets in it.acceptor.accepted] == [MESSAGE, MESSAGE]
            assert await client.say(bdat(b"x", last=True)) == NOTHING
            await alive(client, it, 2)
            assert it.acceptor.aborted == 0

    run(main(), fast=fast)


def test_any_cut_of_a_pipelined_session(tls: Certificates, fast: bool) -> None:
    """Two messages, their commands and chunks in one stream, which arrives cut anywhere: the same messages."""
    large = MESSAGE + b"".join(b"%d\r\n.\r\n" % number for number in range(40_000))
    random_ = random.Random(3)

    async def main() -> None:
        async with door(tls) as it:
            for _ in range(8):
                async with it.client() as client:
                    await client.login()
                    stream = b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
                    replies, at = 2, 0
                    while at < len(large):
                        size = random_.choice((0, 1, 7, 1000, 70_000))
                        stream += bdat(large[at : at + size])
                        at += size
                        replies += 1
                        if replies > 60:
                            stream += bdat(large[at:])
                            at, replies = len(large), replies + 1
                    stream += b"BDAT 0 LAST\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
                    stream += bdat(MESSAGE, last=True) + b"QUIT\r\n"
                    replies += 5
                    sent = 0
                    while sent < len(stream):
                        size = random_.choice((1, 3, 100, 5_000, 100_000))
                        client.writer.write(stream[sent : sent + size])
                        await client.writer.drain()
                        sent += size
                        if random_.random() < 0.3:
                            await asyncio.sleep(0)
                    assert all([(await client.reply()).startswith("2") for _ in range(replies)])
                    assert [octets for _, octets in it.acceptor.accepted] == [large, MESSAGE]
                    it.acceptor.accepted.clear()

    run(main(), fast=fast)


def test_replies_come_while_the_rest_of_a_chunk_is_still_missing(tls: Certificates) -> None:
    """RFC 2920 3.2: a client that pipelines may wait for the earlier replies before it sends on."""

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            client.writer.write(b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nBDAT 10 LAST\r\nFrom")
            assert (await client.reply()).startswith("250 2.1.0")
            assert (await client.reply()).startswith("250 2.1.5")
            assert (await client.say(b": ann\r\nNOOP\r\n")).startswith("550 5.6.0")  # its CR is the tenth octet
            assert (await client.reply()).startswith("500 5.5.2")  # and the LF a line of its own
            assert (await client.reply()).startswith("250 2.0.0 OK")

    run(main())


def test_octets_of_refused_chunks_are_never_commands(tls: Certificates) -> None:
    poison = b"RSET\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\nFrom: x\r\n\r\n.\r\nQUIT\r\n"

    async def main() -> None:
        async with door(tls, max_errors=50) as it, it.client() as client:
            assert (await client.say("EHLO vm")).startswith("250-")
            assert await client.say(bdat(poison)) == "530 5.7.0 Authentication required"
            await client.login()
            assert await client.say(bdat(poison, last=True)) == NOTHING
            assert (await client.say(f"MAIL FROM:<{USER}>")).startswith("250")
            assert await client.say(bdat(poison)) == "554 5.5.1 No valid recipients"
            # A recipient that is named now would get the second half of a message.
            for line in ("RCPT TO:<bob@example.org>", "DATA"):
                assert await client.say(line) == RESET
            assert await client.say(bdat(poison, last=True)) == RESET
            assert await client.say(f"MAIL FROM:<{USER}>") == RESET
            assert (await client.say("RSET")).startswith("250")
            await begin(client)
            assert (await client.say(bdat(poison + b"\n"))).startswith("550 5.6.0")
            assert await client.say(bdat(poison)) == RESET
            assert await client.say(bdat(b"", last=True)) == RESET
            assert (await client.say("EHLO vm")).startswith("250-")
            await begin(client)
            assert (await client.say(bdat(MESSAGE, last=True))).startswith("250")
            await alive(client, it, 1)
            assert it.acceptor.aborted == 1

    run(main())


def test_before_tls(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, implicit_tls=False) as it, it.client(tls=False) as client:
            await client.say("EHLO vm")
            assert (await client.say(bdat(b"STARTTLS\r\n"))).startswith("530 5.7.0 Must issue a STARTTLS")
            assert (await client.say("BDAT 200000")) == "421 4.7.0 Too much data before login"
            assert await client.reply() == ""

    run(main())


@pytest.mark.parametrize("argument", ["", "LAST", "-1", "abc LAST", "5 NEXT", "100000000000000000000"])
def test_a_size_that_cannot_be_read_ends_the_session(tls: Certificates, argument: str) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            await begin(client)
            reply = await client.say(f"BDAT {argument}".encode() + b"\r\nRSET\r\nMAIL FROM:<ann@example.org>\r\n")
            assert reply.startswith("501 5.5.4")
            assert (await client.reply()).startswith("421 5.5.4")
            assert await client.reply() == ""
            assert it.acceptor.accepted == []

    run(main())


def test_sizes_that_lie(tls: Certificates) -> None:
    """Too small: what follows are commands that do not exist. Too large: what follows is the message, and it waits."""

    async def main() -> None:
        async with door(tls) as it:
            async with it.client() as client:
                await client.login()
                await begin(client)
                client.writer.write(b"BDAT 10 LAST\r\n" + MESSAGE)
                assert (await client.reply()).startswith("250 2.0.0 Accepted")
                for _ in range(4):
                    assert (await client.reply()).startswith("500 5.5.2")
                await alive(client, it, 1)
                assert it.acceptor.accepted.pop()[1] == MESSAGE[:10]
            async with it.client() as client:
                await client.login()
                await begin(client)
                client.writer.write(b"BDAT 500 LAST\r\n" + MESSAGE + b"RSET\r\nQUIT\r\n")
                await client.writer.drain()
                client.drop()
            await it.server.wait_empty()
            assert it.acceptor.accepted == []
            assert it.acceptor.aborted == 1

    run(main())


def test_a_chunk_that_stalls_is_ended(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, slow_window_s=0.2, slow_octets=1000) as it, it.client() as client:
            await client.login()
            await begin(client)
            assert await client.say(b"BDAT 500\r\nabc") == "421 4.4.2 Data arrive too slowly"
            assert await client.reply() == ""
            assert it.acceptor.aborted == 1

    run(main())


def test_too_big(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, max_message_size=100_000) as it, it.client() as client:
            await client.login()
            await begin(client)
            assert (await client.say(bdat(MESSAGE + b"x" * 60_000))).startswith("250")
            assert (await client.say(bdat(b"x" * 60_000))).startswith("552 5.3.4")
            assert await client.say(bdat(b"x" * 100, last=True)) == RESET
            await client.say("RSET")
            await alive(client, it, 0)
            assert await client.say("BDAT 99999999999999999999") == "552 5.3.4 Message is too big"
            assert await client.reply() == ""

    run(main())


def test_acceptance_that_refuses(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            await begin(client)
            it.acceptor.write_error = TooBig("x")
            assert (await client.say(bdat(b"x" * 40_000))).startswith("552 5.3.4")
            assert await client.say(bdat(b"x" * 40_000)) == RESET
            assert (await client.say("RSET")).startswith("250")
            it.acceptor.write_error = None
            it.acceptor.finish_error = OverQuota("x")
            await begin(client)
            assert (await client.say(bdat(MESSAGE, last=True))).startswith("452 4.2.2")
            it.acceptor.finish_error = None
            await begin(client)  # the transaction was over: no RSET is needed
            assert (await client.say(bdat(MESSAGE, last=True))).startswith("250")
            await alive(client, it, 1)
            assert it.acceptor.aborted == 2

    run(main())


def test_one_message_one_way(tls: Certificates) -> None:
    """RFC 3030 2: a message comes by DATA or by BDAT, and its recipients stand before it."""

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            await begin(client)
            assert (await client.say(bdat(MESSAGE))).startswith("250")
            assert await client.say("DATA") == "503 5.5.1 The message comes by BDAT"
            assert await client.say("RCPT TO:<eve@example.org>") == "503 5.5.1 The message has begun"
            assert (await client.say(f"MAIL FROM:<{USER}>")).startswith("503 5.5.1")
            assert (await client.say("BDAT 0 LAST")).startswith("250")
            assert [recipient.address for recipient in it.acceptor.accepted[0][0].recipients] == ["bob@example.org"]

    run(main())


def test_a_client_that_goes_leaves_nothing(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it:
            for ending in ("drop", "QUIT", "RSET"):
                async with it.client() as client:
                    await client.login()
                    await begin(client)
                    assert (await client.say(bdat(MESSAGE))).startswith("250")
                    if ending == "drop":
                        client.drop()
                    else:
                        assert (await client.say(ending)).startswith("2")
                await it.server.wait_empty()
            assert it.acceptor.aborted == 3
            assert it.acceptor.accepted == []

    run(main())


def test_empty_chunks_without_end(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            await begin(client)
            client.writer.write(b"BDAT 0\r\n" * 200)
            replies = []
            while reply := await client.reply():
                replies.append(reply)
            assert replies[-1] == "421 4.7.0 Too many errors"

    run(main())
