"""Two-way with Gmail: mailboxes here are labels there."""

from __future__ import annotations

import pytest

from gateway.model.flags import SEEN
from gateway.store.db import Database
from tests.connectors.kit import Connected, all_mail, connected, options
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS, settle
from tests.support.upstream import GMAIL, Drop, FakeUpstream, example

ALL, TRASH, SPAM = "[Gmail]/All Mail", "[Gmail]/Trash", "[Gmail]/Spam"
TWO_WAY = options(mode="two-way")


async def counts(here: Connected) -> dict[str, int]:
    found = await all_mail(here.db, here.inbox.id)
    return {name: sum(mail.values()) for name, mail in found.items() if mail}


def labels(server: FakeUpstream, uid: int) -> set[str]:
    return set(server.account.mailbox(ALL).places[uid].mail.labels)


async def start(here: Connected, server: FakeUpstream) -> Local:
    await here.good_sync()
    assert await counts(here) == {"INBOX": 3, "Work": 2}
    return Local(here)


def account(server: FakeUpstream) -> list[int]:
    wanted = [["\\Inbox"], ["\\Inbox"], ["\\Inbox", "Work"], ["Work"]]
    return [server.account.deliver(ALL, labels=some) for some in wanted]


async def uid_here(local: Local, server: FakeUpstream, uid: int, name: str) -> int:
    """The local UID, in a mailbox, of a message of All Mail."""
    wanted = server.account.mailbox(ALL).snapshot()[uid][1]
    for one in await local.uids(name):
        if await local.digest(name, one) == wanted:
            return one
    raise KeyError(uid)


@pytest.mark.parametrize("when", ["", "before", "after", "told"])
async def test_moves_between_mailboxes_change_labels_only(db: Database, when: str) -> None:
    async with FakeUpstream(GMAIL) as server, connected(db, server, TWO_WAY, settings=SETTINGS) as here:
        uids = account(server)
        local = await start(here, server)
        emails = await local.emails("INBOX")
        await local.create("Play")
        await local.create("Archive")
        await local.move("INBOX", [await uid_here(local, server, uids[0], "INBOX")], "Play")
        await local.move("INBOX", [await uid_here(local, server, uids[1], "INBOX")], "Archive")
        await local.copy("Work", [await uid_here(local, server, uids[3], "Work")], "INBOX")
        await local.expunge("Work", [await uid_here(local, server, uids[2], "Work")])
        if when:
            server.arm(Drop("STORE", when=when, nth=2))
        for _ in range(4):
            await here.sync()
        assert [labels(server, uid) for uid in uids] == [{"Play"}, set(), {"\\Inbox"}, {"Work", "\\Inbox"}]
        assert await counts(here) == {"INBOX": 2, "Work": 1, "Play": 1, "Archive": 1}
        assert emails >= await local.emails("Play")
        assert not [one for one in server.log if one.name in ("UID MOVE", "UID COPY", "APPEND", "UID EXPUNGE")]
        found = await here.good_sync()
        assert (found.run.imported, found.run.pushed) == (0, 0)


async def test_what_leaves_all_its_mailboxes_goes_to_trash_and_comes_back(db: Database) -> None:
    async with FakeUpstream(GMAIL) as server, connected(db, server, TWO_WAY, settings=SETTINGS) as here:
        uids = account(server)
        local = await start(here, server)
        await local.expunge("INBOX", [await uid_here(local, server, uids[0], "INBOX")])
        await local.move("INBOX", [await uid_here(local, server, uids[2], "INBOX")], "Trash")
        await settle(here)
        assert len(server.account.mailbox(TRASH).places) == 2
        assert await counts(here) == {"INBOX": 1, "Work": 1, "Trash": 2}
        await local.move("Trash", await local.uids("Trash"), "Work")
        await settle(here)
        assert not server.account.mailbox(TRASH).places
        assert sum("Work" in place.mail.labels for place in server.account.mailbox(ALL).places.values()) == 3
        assert await counts(here) == {"INBOX": 1, "Work": 3}
        await local.move("INBOX", await local.uids("INBOX"), "Spam")
        await settle(here)
        assert len(server.account.mailbox(SPAM).places) == 1
        assert await counts(here) == {"Spam": 1, "Work": 3}


async def test_drafts_and_filed_mail_bear_their_labels(db: Database) -> None:
    async with FakeUpstream(GMAIL) as server, connected(db, server, TWO_WAY, settings=SETTINGS) as here:
        account(server)
        local = await start(here, server)
        await local.append("Work", example(message_id="<w@x.test>"), flags=SEEN)
        await local.append("Drafts", example(message_id="<d@x.test>"))
        await local.append("INBOX")
        await settle(here)
        assert await counts(here) == {"INBOX": 4, "Work": 3, "Drafts": 1}
        assert len(server.account.mailbox(ALL).places) == 7
        assert len(server.account.mailbox("[Gmail]/Drafts").places) == 1
        found = await here.good_sync()
        assert (found.run.imported, found.run.pushed) == (0, 0)


async def test_flags_of_one_place_are_those_of_all(db: Database) -> None:
    async with FakeUpstream(GMAIL) as server, connected(db, server, TWO_WAY, settings=SETTINGS) as here:
        uids = account(server)
        local = await start(here, server)
        await local.flag("Work", [await uid_here(local, server, uids[2], "Work")], "add", "\\Seen")
        await settle(here)
        assert server.account.mailbox(ALL).places[uids[2]].mail.flags == {"\\Seen"}
        seen = [flags for name in ("INBOX", "Work") for flags, _ in await here.mail(name) if "\\Seen" in flags]
        assert len(seen) == 2
