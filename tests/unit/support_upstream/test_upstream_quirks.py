"""The providers' quirks in the scripted upstream."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable

from tests.support.upstream import (
    COURIER,
    DOVECOT,
    EXCHANGE,
    GMAIL,
    NETEASE,
    PLAIN,
    YAHOO,
    ZOHO,
    FakeUpstream,
    Personality,
    digest,
)
from tests.unit.support_upstream.raw import Raw, connected


def logged_in(test: Callable[[FakeUpstream, Raw], Awaitable[None]], personality: Personality, messages: int = 3,
              violations: int = 0) -> None:
    async def run() -> None:
        async with FakeUpstream(personality, mailboxes={"INBOX": messages}) as server, connected(server) as client:
            await client.login()
            await test(server, client)
            assert len(server.violations) == violations, server.violations

    asyncio.run(run())


def test_yahoo_shows_ten_thousand_and_walks_all_with_uidonly() -> None:
    small = YAHOO.quirk(visible=5, message_limit=3)

    async def test(server: FakeUpstream, client: Raw) -> None:
        assert (await client.ask("a STATUS Inbox (MESSAGES)"))[0] == '* STATUS "Inbox" (MESSAGES 8)'
        assert "* 5 EXISTS" in await client.ask("b SELECT INBOX")
        assert (await client.ask("c UID SEARCH RETURN (COUNT) ALL"))[-1].startswith("c OK [MESSAGELIMIT 3 6]")
        await client.ask("d UNSELECT")
        assert (await client.ask("e ENABLE UIDONLY"))[0] == "* ENABLED UIDONLY"
        assert "* 8 EXISTS" in await client.ask("f SELECT INBOX")
        assert await client.ask("g UID FETCH 1:* (FLAGS) (PARTIAL 1:2)") == [
            "* 1 UIDFETCH (FLAGS ())", "* 2 UIDFETCH (FLAGS ())", "g OK UID FETCH completed"]
        assert (await client.ask("h UID FETCH 1:* (FLAGS) (PARTIAL -1:-2)"))[:2] == [
            "* 7 UIDFETCH (FLAGS ())", "* 8 UIDFETCH (FLAGS ())"]
        assert (await client.ask("i UID FETCH 1:* (FLAGS)"))[-1].startswith("i OK [MESSAGELIMIT 3 6]")
        assert (await client.ask("j UID SEARCH RETURN (PARTIAL 1:3) ALL"))[0] == (
            '* ESEARCH (TAG "j") UID PARTIAL (1:3 1:3)')
        server.expunge("INBOX", 2)
        assert await client.ask("k NOOP") == ["* VANISHED 2", "k OK NOOP completed"]
        assert (await client.ask("l UID FETCH 1 (EMAILID)"))[0] == "* 1 UIDFETCH (EMAILID (E00000001))"
        assert (await client.ask("n UID COPY 1:* Trash"))[-1].startswith("n NO [MESSAGELIMIT 3 6]")
        assert (await client.ask("o UID MOVE 1:* Trash"))[-1].startswith("o OK [MESSAGELIMIT 3 6]")
        assert list(server.snapshot()["Trash"]) == [1, 2, 3]
        assert (await client.ask("m FETCH 1 (FLAGS)"))[-1].startswith("m BAD [UIDREQUIRED]")

    logged_in(test, small, 8, violations=1)


def test_yahoo_permutes_copyuid_says_no_expunge_in_idle_and_knows_no_not() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        await client.ask("a SELECT INBOX")
        assert (await client.ask("b UID MOVE 1:2 Trash"))[0].split("]")[0].endswith(" 1:2 2,1")
        client.send(b"c IDLE\r\n")
        await client.line()
        server.expunge("INBOX", 3)
        server.deliver()
        assert await client.line() == b"* 2 EXISTS\r\n"
        client.send(b"DONE\r\n")
        assert await client.until("c ") == ["c OK IDLE completed"]
        assert (await client.ask("d NOOP"))[0] == "* 1 EXPUNGE"
        assert (await client.ask("e UID SEARCH NOT DELETED"))[-1].startswith("e BAD")

    logged_in(test, YAHOO, violations=1)


def test_zoho_lists_twice_and_shows_roles_unasked() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        told = await client.ask('a LIST "" *')
        assert [line for line in told if "Sent" in line] == ['* LIST (\\Sent \\HasNoChildren) "/" "Sent"'] * 2
        assert (await client.ask('b XLIST "" INBOX'))[0] == '* XLIST (\\Inbox) "/" "INBOX"'

    logged_in(test, ZOHO)


def test_163_wants_id_and_leaves_uidnext_out() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert (await client.ask("a SELECT INBOX"))[-1].startswith("a NO SELECT Unsafe Login")
        await client.ask('b ID ("name" "test")')
        assert (await client.ask("c STATUS INBOX (MESSAGES UIDNEXT)"))[0] == '* STATUS "INBOX" (MESSAGES 3)'
        assert (await client.ask("d SELECT INBOX"))[-1].startswith("d OK")
        assert (await client.ask("e IDLE"))[-1].startswith("e BAD")

    logged_in(test, NETEASE, violations=1)


def test_exchange_has_other_sizes_and_other_octets_after_a_move() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        size = len(server.account.mailbox("INBOX").places[1].mail.octets)
        before = server.digests()
        await client.ask("a SELECT INBOX")
        assert (await client.ask("b UID FETCH 1 (RFC822.SIZE)"))[0] == f"* 1 FETCH (UID 1 RFC822.SIZE {size + 17})"
        await client.ask("c UID MOVE 1 Archive")
        moved = server.account.mailbox("Archive").places[1].mail
        assert len(moved.octets) == size
        assert digest(moved.octets) not in before

    logged_in(test, EXCHANGE)


def test_courier_keeps_below_inbox_and_hides_appends() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert (await client.ask("a NAMESPACE"))[0] == '* NAMESPACE (("INBOX." ".")) NIL NIL'
        assert (await client.ask("b CREATE Work"))[-1].startswith("b NO")
        assert (await client.ask("c CREATE INBOX.Work"))[-1].startswith("c OK")
        await client.ask("d SELECT INBOX")
        client.send(b"e APPEND INBOX {4}\r\n")
        await client.line()
        client.send(b"A: b\r\n")
        assert [line.split("]")[0] for line in await client.until("e ")] == [
            f"e OK [APPENDUID {server.account.mailbox('INBOX').uidvalidity} 4"]
        assert await client.ask("f NOOP") == ["f OK NOOP completed"]
        assert "* 4 EXISTS" in await client.ask("g SELECT INBOX")

    logged_in(test, COURIER)


def test_gmail_limits_folders_in_status_too() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert (await client.ask("a STATUS INBOX (MESSAGES)"))[0] == '* STATUS "INBOX" (MESSAGES 2)'
        assert "* 2 EXISTS" in await client.ask("b SELECT INBOX")

    logged_in(test, GMAIL.quirk(visible=2, visible_in_status=True))


def test_literals_of_each_kind() -> None:
    async def both(server: FakeUpstream, client: Raw) -> None:
        client.send(b"a STATUS {5+}\r\nINBOX (MESSAGES)\r\n")
        assert (await client.until("a "))[0] == '* STATUS "INBOX" (MESSAGES 3)'
        client.send(b"b APPEND INBOX {5000+}\r\n" + b"x" * 5000 + b"\r\n")

    async def plus(server: FakeUpstream, client: Raw) -> None:
        await both(server, client)
        assert (await client.until("b "))[-1].startswith("b OK")

    async def minus(server: FakeUpstream, client: Raw) -> None:
        await both(server, client)
        assert (await client.until("b "))[-1].startswith("b BAD")

    logged_in(plus, DOVECOT)
    logged_in(minus, GMAIL, violations=1)


def test_compress() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert (await client.ask("a COMPRESS DEFLATE"))[-1].startswith("a OK")
        deflate, inflate = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.decompressobj(-15)
        client.send(deflate.compress(b"b NOOP\r\n") + deflate.flush(zlib.Z_SYNC_FLUSH))
        told = b""
        while not told.endswith(b"\r\n"):
            told += inflate.decompress(await client.reader.read(1000))
        assert told == b"b OK NOOP completed\r\n"

    logged_in(test, DOVECOT)


def test_names_in_utf8_and_in_utf7() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        await client.ask('a CREATE "Entw&APw-rfe & mehr"')
        assert (await client.ask('b LIST "" Ent*'))[0].endswith('"Entw&APw-rfe & mehr"')
        await client.ask("c ENABLE UTF8=ACCEPT")
        assert (await client.ask('d LIST "" "Entwürfe*"'))[0].endswith('"Entwürfe & mehr"')
        assert (await client.ask('e CREATE "Bücher"'))[-1].startswith("e OK")
        assert "B&APw-cher" in server.account.mailboxes

    logged_in(test, GMAIL)


def test_list_extended_status_and_roles() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        told = await client.ask('a LIST (SPECIAL-USE) "" * RETURN (SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY))')
        assert len(told) == 11
        assert told[0] == '* LIST (\\Archive \\HasNoChildren) "/" "Archive"'
        assert told[1].startswith('* STATUS "Archive" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ')
        await client.ask("b CREATE a/b")
        assert [line.split('"')[-2] for line in (await client.ask('c LIST "" %/%'))[:-1]] == ["a/b"]
        await client.ask("d SUBSCRIBE a/b")
        assert (await client.ask('e LSUB "" a*'))[0] == '* LSUB () "/" "a/b"'
        await client.ask("f RENAME a/b c")
        assert (await client.ask("g DELETE c"))[-1].startswith("g OK")
        assert (await client.ask("h SELECT c"))[-1].startswith("h NO [NONEXISTENT]")

    logged_in(test, DOVECOT)


def test_search_keys() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        await client.ask("a SELECT INBOX")
        server.set_flags("INBOX", 2, ["\\Seen", "Work"])
        await client.ask("n NOOP")
        octets = server.account.mailbox("INBOX").places[3].mail.octets
        subject = octets.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
        for keys, found in {
            "UNSEEN": "1 3", "KEYWORD Work": "2", "NOT SEEN 2:3": "3", "OR UID 1 SEEN": "1 2", "(SEEN FROM ann)": "2",
            f'SUBJECT "{subject}"': "3", "SINCE 1-Jan-2020 BEFORE 1-Jan-2035": "1 2 3", "SINCE 1-Jan-2035": "",
            "HEADER Message-ID sender.test": "1 2 3", "LARGER 100000": "", "TEXT hello UID 2:9": "2 3",
        }.items():
            assert (await client.ask(f"b UID SEARCH {keys}"))[0].split() == ["*", "SEARCH", *found.split()], keys

    logged_in(test, PLAIN)


def test_what_a_client_must_not_do_is_noted() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        for line in ("a FETCH 1 FLAGS", "b  NOOP", 'c SELECT "INBOX', "d MOVE 1 Sent", "e UID FETCH 0 FLAGS"):
            assert (await client.ask(line))[-1].split()[1] == "BAD"
        await client.ask("f EXAMINE INBOX")
        assert (await client.ask("g UID STORE 1 +FLAGS (\\Seen)"))[-1].startswith("g NO [READ-ONLY]")
        assert len(server.violations) == 6

    logged_in(test, PLAIN, violations=6)
