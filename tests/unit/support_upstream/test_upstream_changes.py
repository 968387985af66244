"""What the scripted upstream tells about changes: MODSEQ, VANISHED, news to other sessions, COPYUID, APPENDUID."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.upstream import CYRUS, DOVECOT, FASTMAIL, ICLOUD, PLAIN, FakeUpstream, Personality, example
from tests.unit.support_upstream.raw import Raw, connected, selected


def opened(test: Callable[[FakeUpstream, Raw], Awaitable[None]], personality: Personality = DOVECOT, *,
           messages: int = 4, first: str = "") -> FakeUpstream:
    """Logged in, `first` said, INBOX selected; no violation afterwards."""
    server = FakeUpstream(personality, mailboxes={"INBOX": messages})

    async def run() -> None:
        async with server, connected(server) as client:
            await client.login()
            if first:
                await client.ask(f"e {first}")
            assert (await client.ask("s SELECT INBOX"))[-1].startswith("s OK")
            await test(server, client)
            assert not server.violations

    asyncio.run(run())
    return server


def test_changedsince_and_vanished() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        since = server.account.mailbox("INBOX").highest_modseq
        server.set_flags("INBOX", 2, ["\\Seen", "Later"])
        server.expunge("INBOX", [3, 4])
        assert await client.ask(f"a UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since} VANISHED)") == [
            "* VANISHED (EARLIER) 3:4", f"* 2 FETCH (UID 2 FLAGS (Later \\Seen) MODSEQ ({since + 1}))",
            "* VANISHED 3:4", f"* 2 FETCH (UID 2 FLAGS (Later \\Seen) MODSEQ ({since + 1}))",
            "a OK UID FETCH completed"]
        uidvalidity = server.account.mailbox("INBOX").uidvalidity
        told = await client.ask(f"b SELECT INBOX (QRESYNC ({uidvalidity} {since}))")
        assert "* VANISHED (EARLIER) 3:4" in told
        assert f"* 2 FETCH (UID 2 FLAGS (Later \\Seen) MODSEQ ({since + 1}))" in told
        assert f"* OK [HIGHESTMODSEQ {since + 3}] Highest" in told

    opened(test, first="ENABLE QRESYNC")


@pytest.mark.parametrize(("asked", "told"), [("1:*", []), ("1:4294967295", ["* VANISHED (EARLIER) 4"])])
def test_cyrus_clips_vanished_at_a_star(asked: str, told: list[str]) -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        since = server.account.mailbox("INBOX").highest_modseq
        server.expunge("INBOX", 4)
        await client.ask("n NOOP")
        answer = await client.ask(f"a UID FETCH {asked} (FLAGS) (CHANGEDSINCE {since} VANISHED)")
        assert [line for line in answer if "EARLIER" in line] == told

    for personality in (CYRUS, FASTMAIL):
        opened(test, personality, first="ENABLE QRESYNC")


def test_icloud_does_not_say_enabled_and_names_live_mail_as_vanished() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert await client.ask("e ENABLE QRESYNC") == ["e OK ENABLE completed"]
        answer = await client.ask("a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")
        assert answer[0] == "* VANISHED EARLIER 1:4"
        assert await client.ask("b UID FETCH 1 (RFC822)") == [
            "* 1 FETCH (UID 1 FLAGS (\\Seen))", "b OK UID FETCH completed"]
        assert "  " in (await client.ask("c CAPABILITY"))[0]

    opened(test, ICLOUD)


def test_unchangedsince() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        since = server.account.mailbox("INBOX").highest_modseq
        server.set_flags("INBOX", 2, ["\\Seen"])
        answer = await client.ask(f"a UID STORE 1:2 (UNCHANGEDSINCE {since}) +FLAGS.SILENT (\\Flagged)")
        assert answer[0] == f"* 1 FETCH (UID 1 MODSEQ ({since + 2}))"
        assert answer[-1] == "a OK [MODIFIED 2] Conditional STORE failed"

    server = opened(test)
    assert [sorted(flags) for flags, _ in server.snapshot()["INBOX"].values()] == [["\\Flagged"], ["\\Seen"], [], []]


def test_frozen_and_backward_modseqs() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        box = server.account.mailbox("INBOX")
        server.freeze_modseq()
        since = box.highest_modseq
        server.set_flags("INBOX", 1, ["\\Seen"])
        server.deliver()
        assert box.highest_modseq == since
        assert await client.ask(f"a UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since})") == [
            "* 5 EXISTS", f"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ({since}))", "a OK UID FETCH completed"]
        server.rewind_modseq(modseq=3)
        assert "* OK [HIGHESTMODSEQ 3] Highest" in await client.ask("b EXAMINE INBOX")

    opened(test)


def test_expunge_is_owed_to_commands_by_number() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        server.expunge("INBOX", 1)
        server.deliver()
        assert await client.ask("a FETCH 2 (UID)") == ["* 2 FETCH (UID 2)", "* 5 EXISTS", "a OK FETCH completed"]
        assert await client.ask("b NOOP") == ["* 1 EXPUNGE", "b OK NOOP completed"]
        assert await client.ask("c FETCH 1:* (UID)") == [
            *(f"* {number} FETCH (UID {number + 1})" for number in range(1, 5)), "c OK FETCH completed"]

    opened(test)


def test_two_sessions_see_each_other_and_not_themselves() -> None:
    async def run() -> None:
        async with FakeUpstream(mailboxes={"INBOX": 2}) as server, selected(server) as one, selected(server) as other:
            assert await one.ask("a UID STORE 1 +FLAGS.SILENT (\\Seen)") == ["a OK UID STORE completed"]
            assert await one.ask("b NOOP") == ["b OK NOOP completed"]
            assert await other.ask("b NOOP") == ["* 1 FETCH (FLAGS (\\Seen))", "b OK NOOP completed"]
            one.send(b"c APPEND INBOX (\\Flagged) {5+}\r\nA: b\n\r\n")
            assert "[APPENDUID " in (await one.until("c "))[-1]
            assert await other.ask("d NOOP") == ["* 3 EXISTS", "d OK NOOP completed"]
            assert server.snapshot()["INBOX"][3][0] == {"\\Flagged"}
            assert not server.violations

    asyncio.run(run())


def test_renumbered_from_outside() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        before = server.digests()
        old = server.account.mailbox("INBOX").uidvalidity
        client.send(b"i IDLE\r\n")
        await client.line()
        server.renumber("INBOX", first=50)
        assert (await client.line()).startswith(b"* BYE")
        box = server.account.mailbox("INBOX")
        assert (box.uidvalidity > old, box.uids, server.digests()) == (True, (50, 51, 52, 53), before)

    opened(test)


@pytest.mark.parametrize(
    ("capability", "command"),
    [("CONDSTORE", "UID FETCH 1 (MODSEQ)"), ("CONDSTORE", "SELECT INBOX (CONDSTORE)"), ("MOVE", "UID MOVE 1 Sent"),
     ("UIDPLUS", "UID EXPUNGE 1"), ("IDLE", "IDLE"), ("ESEARCH", "UID SEARCH RETURN (ALL) ALL"),
     ("LIST-STATUS", 'LIST "" * RETURN (STATUS (MESSAGES))'), ("UNSELECT", "UNSELECT"), ("ENABLE", "ENABLE QRESYNC")],
)
def test_capabilities_that_are_lies_and_those_that_are_missing(capability: str, command: str) -> None:
    async def lied(server: FakeUpstream, client: Raw) -> None:
        assert capability in (await client.ask("c CAPABILITY"))[0].split()
        assert (await client.ask(f"a {command}"))[-1].startswith("a BAD")

    opened(lied, DOVECOT.lying(capability))

    async def missing() -> None:
        server = FakeUpstream(DOVECOT.without(capability), mailboxes={"INBOX": 1})
        async with server, selected(server) as client:
            assert (await client.ask(f"a {command}"))[-1].startswith("a BAD")
            assert len(server.violations) == 1

    asyncio.run(missing())


def test_a_bare_server_has_only_rfc_3501() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert await client.ask("a UID COPY 1 INBOX") == ["* 5 EXISTS", "a OK UID COPY completed"]
        client.send(b"b APPEND INBOX {4}\r\n")
        assert (await client.line()).startswith(b"+ ")
        client.send(b"A: b\r\n")
        assert await client.until("b ") == ["* 6 EXISTS", "b OK APPEND completed"]
        assert "UIDNEXT" not in " ".join(await client.ask("c SELECT INBOX"))

    opened(test, PLAIN)


def test_a_message_that_is_listed_and_not_fetched() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        placed = server.add("INBOX", example())
        placed.mail.fetchable = False
        assert (await client.ask("a UID SEARCH ALL"))[0] == "* SEARCH 1 2 3 4"
        await client.ask("b NOOP")
        assert (await client.ask("c UID SEARCH ALL"))[0] == "* SEARCH 1 2 3 4 5"
        assert await client.ask("d UID FETCH 5 (BODY.PEEK[])") == ["d OK UID FETCH completed"]

    opened(test)
