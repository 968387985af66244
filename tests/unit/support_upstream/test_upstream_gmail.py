"""Gmail's model in the scripted upstream: one message, many labels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.support.upstream import GMAIL, FakeUpstream, example
from tests.support.upstream.gmail import GmailAccount
from tests.unit.support_upstream.raw import Raw, selected

ALL, TRASH, SPAM, STARRED = "[Gmail]/All Mail", "[Gmail]/Trash", "[Gmail]/Spam", "[Gmail]/Starred"


def gmail(test: Callable[[FakeUpstream, Raw], Awaitable[None]], opened: str = "INBOX") -> FakeUpstream:
    """Two messages, the second with the label Work."""
    server = FakeUpstream(GMAIL, mailboxes={"INBOX": [example(1)], "Work": []})
    server.deliver("INBOX", example(2), labels=["Work"])

    async def run() -> None:
        async with server, selected(server, f'SELECT "{opened}"') as client:
            await test(server, client)
            assert not server.violations

    asyncio.run(run())
    return server


def where(server: FakeUpstream) -> dict[str, list[int]]:
    """Mailbox -> UIDs, the empty ones left out."""
    return {raw: list(box) for raw, box in server.snapshot().items() if box}


def test_a_message_is_in_all_mail_and_under_each_label() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert where(server) == {"INBOX": [1, 2], ALL: [1, 2], "Work": [1]}
        assert (await client.ask("a UID FETCH 1:* (X-GM-MSGID X-GM-LABELS)"))[:2] == [
            '* 1 FETCH (UID 1 X-GM-MSGID 1300000000000000001 X-GM-LABELS ())',
            '* 2 FETCH (UID 2 X-GM-MSGID 1300000000000000002 X-GM-LABELS (Work))',
        ]
        await client.ask(f'b SELECT "{ALL}"')
        assert (await client.ask("c UID FETCH 2 (X-GM-LABELS)"))[0] == (
            '* 2 FETCH (UID 2 X-GM-LABELS (Work "\\\\Inbox"))')
        assert (await client.ask('d UID SEARCH X-GM-LABELS "\\\\Inbox"'))[0] == "* SEARCH 1 2"
        assert (await client.ask("e UID SEARCH X-GM-MSGID 1300000000000000002"))[0] == "* SEARCH 2"

    gmail(test)


def test_flags_are_the_messages_and_a_star_is_a_label() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        await client.ask("a UID STORE 2 +FLAGS (\\Flagged \\Seen)")
        box = server.snapshot()
        assert box["Work"][1][0] == box[ALL][2][0] == box[STARRED][1][0] == {"\\Flagged", "\\Seen"}
        await client.ask("b UID STORE 2 -FLAGS.SILENT (\\Flagged)")
        assert STARRED not in where(server)

    gmail(test)


def test_deleting_in_a_label_archives() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        await client.ask("a UID STORE 2 +FLAGS.SILENT (\\Deleted)")
        assert "* 2 EXPUNGE" in await client.ask("b UID EXPUNGE 2")
        assert where(server) == {"INBOX": [1], ALL: [1, 2], "Work": [1]}

    gmail(test)


def test_what_the_last_labels_going_does_is_a_setting() -> None:
    for behaviour, left in (("trash", {"INBOX": [2], ALL: [2], "Work": [1], TRASH: [1]}),
                            ("delete", {"INBOX": [2], ALL: [2], "Work": [1]})):

        async def test(server: FakeUpstream, client: Raw, behaviour: str = behaviour) -> None:
            assert isinstance(server.account, GmailAccount)
            server.account.expunge_behaviour = behaviour
            await client.ask("a UID STORE 1 +FLAGS.SILENT (\\Deleted)")
            await client.ask("b EXPUNGE")

        assert where(gmail(test)) == left


def test_move_to_trash_is_out_of_everything_and_back() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        told = await client.ask(f'a UID MOVE 2 "{TRASH}"')
        assert "[COPYUID" in told[0]
        assert told[1] == "* 2 EXPUNGE"
        assert where(server) == {"INBOX": [1], ALL: [1], TRASH: [1]}
        await client.ask(f'b SELECT "{TRASH}"')
        await client.ask("c UID MOVE 1 INBOX")
        assert where(server) == {"INBOX": [1, 3], ALL: [1, 3]}

    gmail(test)


def test_copy_and_move_between_labels() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        await client.ask("a UID COPY 1 Work")
        assert where(server) == {"INBOX": [1, 2], ALL: [1, 2], "Work": [1, 2]}
        assert (await client.ask("b UID COPY 1 Work"))[0].endswith(" 1 2] UID COPY completed"), "it was there already"
        await client.ask(f'c UID MOVE 1 "{ALL}"')
        assert where(server) == {"INBOX": [2], ALL: [1, 2], "Work": [1, 2]}

    gmail(test)


def test_labels_are_stored() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        await client.ask('a UID STORE 2 +X-GM-LABELS.SILENT (\\Starred "Work")')
        assert where(server) == {"INBOX": [1, 2], ALL: [1, 2], "Work": [1], STARRED: [1]}
        await client.ask('b UID STORE 2 -X-GM-LABELS (Work "\\\\Inbox")')
        assert where(server) == {"INBOX": [1], ALL: [1, 2], STARRED: [1]}
        await client.ask("c UID STORE 1 +X-GM-LABELS (\\Spam)")

    server = gmail(test, ALL)
    assert where(server) == {ALL: [2], STARRED: [1], SPAM: [1]}


def test_from_outside() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(b"a IDLE\r\n")
        await client.line()
        server.set_labels("INBOX", 1, ["Work"])
        assert await client.line() == b"* 1 EXPUNGE\r\n"
        server.rename("Work", "Play")
        assert where(server) == {"INBOX": [2], ALL: [1, 2], "Play": [1, 2]}
        server.delete("Play")
        assert where(server) == {"INBOX": [2], ALL: [1, 2]}
        server.expunge(ALL, 2)
        assert where(server) == {ALL: [1], TRASH: [1]}

    gmail(test)
