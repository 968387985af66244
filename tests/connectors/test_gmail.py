"""Gmail: each message once, labels as mailboxes, and the same when they change there."""

from __future__ import annotations

from gateway.store.db import Database
from tests.connectors.kit import Connected, connected, options
from tests.support.upstream import GMAIL, FakeUpstream
from tests.support.upstream.server import WRITES

ALL = "[Gmail]/All Mail"


async def counts(here: Connected) -> dict[str, int]:
    names = ("INBOX", "Work", "Play", "Archive", "Sent", "Spam", "Trash")
    found = {name: sum((await here.mail(name)).values()) for name in names}
    return {name: count for name, count in found.items() if count}


async def test_labels_that_change_there_move_mail_here(db: Database) -> None:
    async with FakeUpstream(GMAIL) as server:
        uids = [
            server.account.deliver(ALL, labels=labels)
            for labels in (["\\Inbox"], ["\\Inbox", "Work"], ["Work"], [], ["\\Sent"])
        ]
        async with connected(db, server) as here:
            await here.good_sync()
            assert await counts(here) == {"INBOX": 2, "Work": 2, "Archive": 1, "Sent": 1}
            relabel(server, uids[0], {"Play"})
            relabel(server, uids[1], {"Work", "Play", "\\Inbox"})
            relabel(server, uids[2], set())
            relabel(server, uids[3], {"\\Inbox"})
            result = await here.good_sync()
            assert await counts(here) == {"INBOX": 2, "Work": 1, "Play": 2, "Archive": 1, "Sent": 1}
            assert result.run.imported == 0, "no octet of it came again"
            relabel(server, uids[0], set())
            await here.good_sync()
            assert await counts(here) == {"INBOX": 2, "Work": 1, "Play": 1, "Archive": 2, "Sent": 1}
        assert not [command.name for command in server.log if command.name.removeprefix("UID ") in WRITES]


def relabel(server: FakeUpstream, uid: int, labels: set[str]) -> None:
    server.account.store_labels(server.account.mailbox(ALL).places[uid], labels)
    server.account.notify()


async def test_flags_are_those_of_the_message_wherever_it_is(db: Database) -> None:
    async with FakeUpstream(GMAIL) as server:
        uid = server.account.deliver(ALL, labels=["\\Inbox", "Work"])
        async with connected(db, server) as here:
            await here.good_sync()
            server.account.set_flags(ALL, uid, ["\\Flagged"])
            await here.good_sync()
            for name in ("INBOX", "Work"):
                ((flags, _),) = await here.mail(name)
                assert flags == {"\\Flagged"}


async def test_what_goes_to_trash_there_is_in_trash_here(db: Database) -> None:
    """Though pull keeps what is gone from a folder: it is the same message."""
    async with FakeUpstream(GMAIL) as server:
        uids = [server.account.deliver(ALL, labels=["\\Inbox"]) for _ in range(3)]
        async with connected(db, server) as here:
            await here.good_sync()
            server.account.move(ALL, uids[1], "[Gmail]/Trash")
            result = await here.good_sync()
            assert await counts(here) == {"INBOX": 2, "Trash": 1}
            assert len(set(result.run.email_ids)) == 1


async def test_without_all_mail_labels_are_folders(db: Database) -> None:
    boxes = tuple(box for box in GMAIL.boxes if box[0] != ALL)
    async with (
        FakeUpstream(GMAIL.replace(boxes=(*boxes, (ALL, ("\\All", "\\Noselect"))))) as server,
        connected(db, server, options()) as here,
    ):
        server.account.deliver("INBOX")
        result = await here.good_sync()
        assert await counts(here) == {"INBOX": 1}
        assert any("All Mail" in note for note in result.run.notes)
