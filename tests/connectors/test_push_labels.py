"""Two-way with Gmail: a mailbox that is made, renamed or deleted here is a label that is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.connectors.options import Options
from gateway.store.connectors import events, ops
from gateway.store.db import Database
from tests.connectors.kit import Connected, all_mail, connected, options
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS, settle
from tests.support.upstream import GMAIL, Drop, FakeUpstream, Refuse, digest, example

ALL, TRASH = "[Gmail]/All Mail", "[Gmail]/Trash"
TWO_WAY = options(mode="two-way")
LABELS = [["\\Inbox"], ["\\Inbox", "Work"], ["Work"], ["Work"], ["Work/Old"]]


@asynccontextmanager
async def account(
    db: Database, wanted: Options = TWO_WAY
) -> AsyncIterator[tuple[FakeUpstream, Connected, Local]]:
    async with FakeUpstream(GMAIL) as server, connected(db, server, wanted, settings=SETTINGS) as here:
        for some in LABELS:
            server.account.deliver(ALL, labels=some)
        await here.good_sync()
        assert await counts(here) == {"INBOX": 2, "Work": 3, "Work/Old": 1}
        yield server, here, Local(here)


async def counts(here: Connected) -> dict[str, int]:
    found = await all_mail(here.db, here.inbox.id)
    return {name: sum(mail.values()) for name, mail in found.items() if mail}


def labels(server: FakeUpstream) -> list[list[str]]:
    return [sorted(one.mail.labels) for one in server.account.mailbox(ALL).places.values()]


async def at_rest(here: Connected) -> None:
    """Another sync does nothing, and nothing is left to be done."""
    found = await here.good_sync()
    assert (found.run.imported, found.run.pushed, found.run.vanished) == (0, 0, 0)
    assert not await here.db.read(lambda rx: ops.open_ops(rx, here.row.id))


async def notes(here: Connected) -> set[str]:
    of = events.Filter(connector_id=here.row.id)
    rows = await here.db.read(lambda rx: events.since(rx, 0, of))
    return {note for row in rows for note in (row.detail or {}).get("notes", [])}


@pytest.mark.parametrize("when", ["", "before", "after", "told"])
async def test_a_mailbox_that_is_renamed_is_a_label_that_is(db: Database, when: str) -> None:
    async with account(db) as (server, here, local):
        emails = await local.emails("Work")
        await local.rename("Work", "Job")
        if when:
            server.arm(Drop("RENAME", when=when))
        for _ in range(3):
            await here.sync()
        assert labels(server) == [["\\Inbox"], ["Job", "\\Inbox"], ["Job"], ["Job"], ["Job/Old"]]
        assert not {"Work", "Work/Old"} & server.account.mailboxes.keys()
        assert await counts(here) == {"INBOX": 2, "Job": 3, "Job/Old": 1}
        assert emails == await local.emails("Job")
        assert not [one for one in server.log if one.name in ("UID STORE", "UID MOVE", "UID COPY", "APPEND")]
        await at_rest(here)
        await local.expunge("Job", await local.uids("Job"))
        await settle(here)
        assert labels(server) == [["\\Inbox"], ["\\Inbox"], ["Job/Old"]]
        assert len(server.account.mailbox(TRASH).places) == 2


async def test_a_message_that_left_while_its_label_was_renamed_loses_the_label(db: Database) -> None:
    async with account(db) as (server, here, local):
        await local.rename("Work", "Job")
        moved = await local.uids("Job")
        await local.move("Job", moved, "INBOX")
        await settle(here)
        assert labels(server) == [["\\Inbox"]] * 4 + [["Job/Old"]]
        await at_rest(here)
        assert await counts(here) == {"INBOX": 4, "Job/Old": 1}


@pytest.mark.parametrize("when", ["", "before", "after", "told"])
async def test_a_mailbox_that_is_deleted_is_a_label_that_goes_and_no_mail_does(db: Database, when: str) -> None:
    async with account(db) as (server, here, local):
        await local.delete("Work")
        if when:
            server.arm(Drop("DELETE", when=when))
        for _ in range(4):
            await here.sync()
        assert "Work" not in server.account.mailboxes
        assert labels(server) == [["\\Inbox"], ["\\Inbox"], [], [], ["Work/Old"]]
        assert await counts(here) == {"INBOX": 2, "Archive": 2, "Work/Old": 1}
        assert "Work" not in await local.names()
        assert not server.account.mailbox(TRASH).places
        assert not [one for one in server.log if one.name in ("UID STORE", "UID MOVE", "UID COPY", "APPEND")]
        await at_rest(here)


@pytest.mark.parametrize("command", ["FETCH", "SEARCH"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_what_is_cut_off_after_a_label_went_goes_on(db: Database, command: str, nth: int) -> None:
    async with account(db) as (server, here, local):
        await local.delete("Work")
        server.arm(Drop(command, when="before", nth=nth))
        for _ in range(4):
            await here.sync()
        assert await counts(here) == {"INBOX": 2, "Archive": 2, "Work/Old": 1}
        await at_rest(here)


async def test_mail_that_left_a_mailbox_before_it_was_deleted_is_where_it_went(db: Database) -> None:
    async with account(db) as (server, here, local):
        emails = await local.emails("Work")
        await local.create("Play")
        await local.move("Work", await local.uids("Work"), "Play")
        await local.delete("Work")
        await settle(here)
        assert labels(server) == [["\\Inbox"], ["Play", "\\Inbox"], ["Play"], ["Play"], ["Work/Old"]]
        assert await counts(here) == {"INBOX": 2, "Play": 3, "Work/Old": 1}
        assert await local.emails("Play") == emails
        await at_rest(here)


async def test_what_got_the_label_there_meanwhile_is_archived_with_the_rest(db: Database) -> None:
    async with account(db) as (server, here, local):
        await local.delete("Work")
        server.account.deliver(ALL, labels=["Work"])
        server.account.set_labels(ALL, 1, ["Work"])
        await settle(here)
        assert labels(server) == [[], ["\\Inbox"], [], [], ["Work/Old"], []]
        assert await counts(here) == {"INBOX": 1, "Archive": 4, "Work/Old": 1}
        await at_rest(here)


async def test_a_label_that_the_account_keeps_comes_back_with_its_mail(db: Database) -> None:
    async with account(db) as (server, here, local):
        server.arm(Refuse("DELETE", "NO [CANNOT] never", times=0))
        await local.delete("Work")
        server.account.deliver(ALL, labels=["Work"])
        await settle(here, 8)
        assert await counts(here) == {"INBOX": 2, "Work": 4, "Work/Old": 1}
        assert any("given up" in note for note in await notes(here))
        await at_rest(here)


async def test_a_label_that_cannot_be_renamed_keeps_its_name_there_and_its_mail_here(db: Database) -> None:
    async with account(db) as (server, here, local):
        server.arm(Refuse("RENAME", "NO [CANNOT] never", times=0))
        await local.rename("Work", "Job")
        await settle(here, 8)
        server.account.deliver(ALL, labels=["Work"])
        await settle(here)
        assert await counts(here) == {"INBOX": 2, "Job": 4, "Job/Old": 1}
        assert any("given up" in note for note in await notes(here))
        await at_rest(here)


async def test_a_name_that_a_label_once_had_can_be_given_again(db: Database) -> None:
    async with account(db) as (server, here, local):
        await local.delete("Work/Old")
        await settle(here)
        await local.create("Play")
        await local.move("Work", await local.uids("Work"), "Play")
        await settle(here)
        await local.rename("Play", "Work/Old")
        await settle(here)
        assert labels(server) == [["\\Inbox"], ["Work/Old", "\\Inbox"], ["Work/Old"], ["Work/Old"], []]
        assert await counts(here) == {"INBOX": 2, "Work/Old": 3, "Archive": 1}
        await at_rest(here)


async def test_what_was_made_deleted_and_made_again_is_a_new_label(db: Database) -> None:
    async with account(db) as (server, here, local):
        await local.delete("Work")
        await local.create("Work")
        await local.move("INBOX", (await local.uids())[:1], "Work")
        await settle(here)
        assert labels(server) == [["Work"], ["\\Inbox"], [], [], ["Work/Old"]]
        assert await counts(here) == {"INBOX": 1, "Work": 1, "Archive": 2, "Work/Old": 1}
        await at_rest(here)


async def test_a_new_mailbox_is_a_new_label_and_one_that_is_gone_there_is_not_made_again(db: Database) -> None:
    async with account(db) as (server, here, local):
        await local.create("Play")
        await settle(here)
        assert "Play" in server.account.mailboxes
        server.account.delete("Work")
        await settle(here)
        assert "Work" not in server.account.mailboxes
        assert await counts(here) == {"INBOX": 2, "Archive": 2, "Work/Old": 1}
        await local.move("INBOX", (await local.uids())[:1], "Work")
        await settle(here)
        assert sorted(map(tuple, labels(server))) == [(), (), ("Work",), ("Work/Old",), ("\\Inbox",)]
        await at_rest(here)


@pytest.mark.parametrize("name", ["Sent", "Drafts", "Archive"])
async def test_gmails_own_labels_keep_their_names_and_come_back(db: Database, name: str) -> None:
    async with account(db) as (server, here, local):
        own = {"Sent": ["\\Sent"], "Drafts": ["\\Draft"], "Archive": []}[name]
        server.account.deliver(ALL, labels=own)
        server.account.deliver(ALL, labels=[*own, "Work"])
        await settle(here)
        before = labels(server)
        await local.rename(name, "Mine")
        await settle(here)
        assert labels(server) == before
        both = 1 if name == "Archive" else 2
        assert await counts(here) == {"INBOX": 2, "Work": 4, "Work/Old": 1, "Mine": both}
        assert any("keeps its name" in note for note in await notes(here))
        await local.delete("Mine")
        await settle(here)
        assert labels(server) == before
        assert await counts(here) == {"INBOX": 2, "Work": 4, "Work/Old": 1, name: both}
        assert any("comes back" in note for note in await notes(here))
        assert not server.account.mailbox(TRASH).places
        await at_rest(here)


async def test_where_folders_do_not_go_up_a_deleted_mailbox_comes_back(db: Database) -> None:
    async with account(db, options(mode="two-way", new_folders=False)) as (server, here, local):
        before = labels(server)
        await local.rename("Work", "Job")
        await local.delete("Job")
        await settle(here)
        assert labels(server) == before
        assert await counts(here) == {"INBOX": 2, "Work": 3, "Job/Old": 1}
        await at_rest(here)


async def test_a_label_that_is_hidden_from_imap_is_known_by_its_name(db: Database) -> None:
    async with account(db) as (server, here, local):
        server.account.hidden.add("Secret")
        server.account.deliver(ALL, labels=["Secret"])
        await settle(here)
        assert (await counts(here))["Secret"] == 1
        await local.move("Secret", await local.uids("Secret"), "Work")
        await settle(here)
        assert labels(server)[-1] == ["Work"]
        await at_rest(here)


async def test_mail_that_was_deleted_here_and_labelled_there_is_kept(db: Database) -> None:
    async with account(db) as (server, here, local):
        await local.expunge("INBOX", (await local.uids())[:1])
        server.account.set_labels(ALL, 1, ["\\Inbox", "Work"])
        await settle(here)
        assert labels(server)[0] == ["Work", "\\Inbox"]
        assert await counts(here) == {"INBOX": 2, "Work": 4, "Work/Old": 1}
        await at_rest(here)


async def test_labels_that_both_sides_change_are_merged(db: Database) -> None:
    async with account(db) as (server, here, local):
        await local.move("INBOX", (await local.uids())[:1], "Work")
        server.account.set_labels(ALL, 1, ["\\Inbox", "Play"])
        await settle(here)
        assert labels(server)[0] == ["Play", "Work"]
        assert await counts(here) == {"INBOX": 1, "Work": 4, "Work/Old": 1, "Play": 1}
        await at_rest(here)


async def test_what_is_copied_and_moved_into_the_same_mailbox_is_there_once(db: Database) -> None:
    async with account(db) as (server, here, local):
        (first, *_) = await local.uids()
        await local.copy("INBOX", [first], "Work")
        await local.move("INBOX", [first], "Work")
        octets = await local.append("Work/Old")
        new = (await local.uids("Work/Old"))[-1:]
        await local.copy("Work/Old", new, "Work")
        await settle(here)
        assert labels(server)[0] == ["Work"]
        assert labels(server)[-1] == ["Work", "Work/Old"], "one message under both"
        assert server.account.digests(ALL)[digest(octets)] == 1
        assert await counts(here) == {"INBOX": 1, "Work": 5, "Work/Old": 2}
        await at_rest(here)


async def test_a_copy_out_of_trash_takes_it_from_there(db: Database) -> None:
    async with account(db) as (server, here, local):
        server.account.move(ALL, 1, TRASH)
        await settle(here)
        await local.copy("Trash", await local.uids("Trash"), "Work")
        await settle(here)
        assert not server.account.mailbox(TRASH).places
        assert labels(server)[-1] == ["Work"]
        assert await counts(here) == {"INBOX": 1, "Work": 4, "Work/Old": 1}
        await at_rest(here)


async def test_what_went_up_unseen_and_was_moved_here_meanwhile_is_known_again(db: Database) -> None:
    async with account(db) as (server, here, local):
        octets = await local.append("Trash", example(message_id="<t@x.test>"))
        server.arm(Drop("APPEND", when="after"))
        await here.sync()
        await local.move("Trash", await local.uids("Trash"), "Work")
        await settle(here)
        assert server.account.digests(ALL)[digest(octets)] == 1
        assert labels(server)[-1] == ["Work"]
        assert await counts(here) == {"INBOX": 2, "Work": 4, "Work/Old": 1}
        await at_rest(here)
