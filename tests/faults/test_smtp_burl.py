"""BURL (RFC 4468): what a signed URL names is submitted as if it had been sent, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.imap.submitted_urls import SubmittedUrls
from gateway.imap.url_access import fresh_key, token_of
from gateway.model.ids import InboxId
from gateway.smtp.burl import parse_burl
from gateway.store import content, mailboxes, messages, url_keys
from gateway.store.db import Rx, Tx
from tests.faults.smtp_kit import USER, Certificates, Client, Door, certificates, door, principal, run
from tests.faults.smtp_store import House, house

T = TypeVar("T")
HEADER = b"From: ann@example.org\r\nTo: bob@example.org\r\nSubject: stored\r\n\r\n"
BODY = b"line\r\n" * 60_000  # more than a page
HOST = "mail.example.org"
NOW = 1_800_000_000


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"))


async def store(it: House, octets: bytes, inbox: InboxId | None = None) -> int:
    writer = it.ingest.writer(max_size=10_000_000)
    await writer.write(octets)
    staged = await writer.finish()
    owner = it.ann if inbox is None else inbox

    def unit(tx: Tx) -> int:
        box = mailboxes.by_name(tx, owner, "Drafts")
        assert box is not None
        content.complete(tx, staged, NOW)
        return messages.append(tx, box.id, owner, staged, internal_date=NOW, now=NOW).uid

    return await it.db.write(unit, inboxes=(owner,))


async def signed(
    it: House, uid: int, *, section: str = "", access: str = "submit+ann%40example.org", expire: str = "",
    owner: str = "ann%40example.org", host: str = HOST,
) -> str:  # fmt: skip
    """As GENURLAUTH makes it (RFC 4467 7); tests/transcripts/urlauth.txt has the command."""
    inbox = it.ann if owner.startswith("ann") else it.bob
    rump = f"imap://{owner}@{host}/Drafts/;UID={uid}{section}{expire};URLAUTH={access}".encode()
    fresh = fresh_key()

    def unit(tx: Tx) -> bytes:
        box = mailboxes.by_name(tx, inbox, "Drafts")
        assert box is not None
        return url_keys.need_key(tx, inbox, box.id, fresh)

    key = await it.db.write(unit, inboxes=(inbox,))
    return (rump + b":internal:" + token_of(key, rump)).decode()


@asynccontextmanager
async def entrance(it: House, tls: Certificates, **settings: int) -> AsyncIterator[tuple[Door, Client]]:
    who = principal(inbox_id=it.ann)
    urls = SubmittedUrls(it.db, it.clock, HOST)
    async with door(tls, who=who, acceptor=it.submissions, urls=urls, **settings) as opened, opened.client() as client:  # type: ignore[arg-type]
        await client.login()
        yield opened, client


async def begin(client: Client, recipient: str = "bob@example.org") -> None:
    assert (await client.say(f"MAIL FROM:<{USER}>")).startswith("250")
    assert (await client.say(f"RCPT TO:<{recipient}>")).startswith("250")


def test_the_command() -> None:
    assert parse_burl(b"imap://a@b/c LAST") == (b"imap://a@b/c", True)
    assert parse_burl(b"imap://a@b/c \t last") == (b"imap://a@b/c", True)
    assert parse_burl(b"imap://a@b/c") == (b"imap://a@b/c", False)
    for bad in (b"", b"a b", b"a LAST x", b"a\x80 LAST"):
        assert parse_burl(bad) is None


def test_it_is_offered_to_whom_it_may_serve(tmp_path: Path, tls: Certificates) -> None:
    """RFC 4468 3.1: before a login, without `imap`."""

    async def main() -> None:
        async with house(tmp_path) as it, entrance(it, tls) as (opened, client):
            assert "250-BURL imap" in (await client.say("EHLO vm")).split("\n")
            async with opened.client() as stranger:
                assert "250-BURL" in (await stranger.say("EHLO vm")).split("\n")
                assert (await stranger.say("BURL imap://a@b/c;UID=1 LAST")).startswith("530 5.7.0")
        async with door(tls) as plain, plain.client() as client:
            await client.login()
            assert "BURL" not in await client.say("EHLO vm")
            await begin(client)
            assert (await client.say("BURL imap://a@b/c;UID=1 LAST")).startswith("502 5.5.1")

    run(main())


def test_a_stored_message_is_sent(tmp_path: Path, tls: Certificates) -> None:
    """RFC 4468 3.4, the first example."""

    async def main() -> None:
        async with house(tmp_path) as it, entrance(it, tls) as (_, client):
            url = await signed(it, await store(it, HEADER + BODY))
            await begin(client)
            assert (await client.say(f"BURL {url} LAST")).startswith("250 2.0.0 Accepted as ")
            [got] = await it.mail(it.bob)
            assert got.octets.endswith(b"\r\n\r\n" + BODY)
            assert b"\r\nSubject: stored\r\n" in got.octets
            assert (await client.say("NOOP")).startswith("250")

    run(main())


def test_it_takes_turns_with_bdat(tmp_path: Path, tls: Certificates) -> None:
    """RFC 4468 3.2: forwarding without download; the parts are put together in the order of the commands."""

    async def main() -> None:
        async with house(tmp_path) as it, entrance(it, tls) as (_, client):
            url = await signed(it, await store(it, HEADER + BODY), section="/;SECTION=TEXT")
            await begin(client)
            head = b"From: ann@example.org\r\nSubject: Fwd\r\n\r\nsee below\r\n"
            assert (await client.say(b"BDAT %d\r\n" % len(head) + head)).startswith("250")
            assert await client.say(f"BURL {url}") == "250 2.5.0 Waiting for additional BURL or BDAT commands"
            assert (await client.say("RCPT TO:<bob@example.org>")).startswith("503 5.5.1")
            assert (await client.say(b"BDAT 5 LAST\r\nend\r\n")).startswith("250 2.0.0 Accepted")
            [got] = await it.mail(it.bob)
            assert got.octets.endswith(b"\r\n\r\nsee below\r\n" + BODY + b"end\r\n")

    run(main())


def test_what_is_refused(tmp_path: Path, tls: Certificates) -> None:
    """RFC 4468 5, 6: the transaction as a whole fails, and goes on after RSET only."""

    async def main() -> None:
        async with house(tmp_path) as it, entrance(it, tls, max_errors=100) as (_, client):
            mine = await store(it, HEADER + b"x\r\n")
            theirs = await store(it, HEADER + b"secret\r\n", it.bob)
            good = await signed(it, mine)
            cases = {
                good[:-1] + ("0" if good[-1] != "0" else "1"): "554 5.7.0",
                await signed(it, mine, access="user+ann%40example.org"): "554 5.7.0",
                await signed(it, mine, access="authuser"): "554 5.7.0",
                await signed(it, mine, access="anonymous"): "554 5.7.0",
                await signed(it, mine, access="submit+bob%40example.org"): "554 5.7.0",
                await signed(it, mine, access="submit+nobody%40example.org"): "554 5.7.0",
                await signed(it, theirs, owner="bob%40example.org", access="submit+bob%40example.org"): "554 5.7.0",
                await signed(it, mine, expire=";EXPIRE=2027-01-15T07:59:59Z"): "554 5.7.0",
                f"imap://ann%40example.org@{HOST}/Drafts/;UID={mine}": "554 5.7.0",
                f"imap://ann%40example.org@other.test/Drafts/;UID={mine}": "554 5.7.8",
                await signed(it, 99): "554 5.6.6",
                await signed(it, mine, section="/;SECTION=7.7"): "554 5.6.6",
                "http://example.org/": "554 5.6.6",
                f"/Drafts/;UID={mine}": "554 5.7.8",
            }
            for url, reply in cases.items():
                await begin(client)
                assert (await client.say(f"BURL {url} LAST")).startswith(reply), url
                assert (await client.say(f"BURL {good} LAST")).startswith("503 5.5.1")
                assert (await client.say("RSET")).startswith("250")
            for line in ("BURL", f"BURL {good} FIRST"):
                await begin(client)
                assert (await client.say(line)).startswith("501 5.5.4")
                assert (await client.say("RSET")).startswith("250")
            assert (await client.say(f"BURL {good} LAST")).startswith("503 5.5.1 Need MAIL")
            await client.say(f"MAIL FROM:<{USER}>")
            assert (await client.say(f"BURL {good} LAST")).startswith("554 5.5.1 No valid recipients")
            assert (await client.say("RSET")).startswith("250")
            assert await it.mail(it.bob) == []
            await begin(client)
            assert (await client.say(f"BURL {good} LAST")).startswith("250")
            # whose URL it is does not matter, if it was signed for who submits
            url = await signed(it, theirs, owner="bob%40example.org")
            await begin(client)
            assert (await client.say(f"BURL {url} LAST")).startswith("250")
            assert len(await it.mail(it.bob)) == 2

    run(main())


def test_bounds_and_line_ends_are_those_of_any_message(tmp_path: Path, tls: Certificates) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, entrance(it, tls, max_message_size=100_000) as (_, client):
            large, bare = await store(it, HEADER + BODY), await store(it, HEADER + b"a\nb\r\n")
            await begin(client)
            assert (await client.say(f"BURL {await signed(it, large)} LAST")).startswith("554 5.3.4")
            await client.say("RSET")
            await begin(client)
            assert (await client.say(f"BURL {await signed(it, bare)} LAST")).startswith("550 5.6.0")
            await client.say("RSET")
            small = await store(it, HEADER + b"x" * 60_000 + b"\r\n")
            url = await signed(it, small)
            await begin(client)
            assert (await client.say(f"BURL {url}")).startswith("250 2.5.0")
            assert (await client.say(f"BURL {url}")).startswith("554 5.3.4")
            assert await it.mail(it.bob) == []

    run(main())


def test_what_brings_nothing_ends(tmp_path: Path, tls: Certificates) -> None:
    """Each look-up costs a read and a signature; chunks without an octet are no cheaper however they are written."""

    async def main() -> None:
        async with house(tmp_path) as it:
            empty = await signed(it, await store(it, HEADER), section="/;SECTION=TEXT")
            for line in (f"BURL {empty}", "BDAT 0", "BDAT 00"):
                async with entrance(it, tls, max_idle_commands=5, max_errors=3) as (_, client):
                    await begin(client)
                    for _ in range(7):  # EHLO is one of five; the third error is the last one
                        assert (await client.say(line)).startswith("250")
                    assert await client.reply() == "421 4.7.0 Too many errors"
                    assert await client.reply() == ""

    run(main())


def test_of_a_message_that_is_refused_no_more_is_read(tmp_path: Path, tls: Certificates) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, entrance(it, tls) as (_, client):
            url = await signed(it, await store(it, HEADER + b"a\nb\r\n" + BODY * 3))
            reads = 0
            real = it.db.read

            async def counted(query: Callable[[Rx], T]) -> T:
                nonlocal reads
                reads += 1
                return await real(query)

            it.db.read = counted  # type: ignore[method-assign]
            await begin(client)
            assert (await client.say(f"BURL {url} LAST")).startswith("550 5.6.0")
            assert reads == 2, "what the URL names, and its first page"

    run(main())
