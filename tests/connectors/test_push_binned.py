"""An append whose answer was lost, and which another client moved to Trash before anybody looked: it is one message."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.connectors import ops
from gateway.store.connectors.ops import OpState
from gateway.store.db import Database
from tests.connectors.conftest import both
from tests.connectors.kit import Connected, all_mail, connected, options, upstream_mail
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS, settle, there, two_way
from tests.support.upstream import (
    DOVECOT,
    DOVECOT_BARE,
    EXCHANGE,
    FASTMAIL,
    GMAIL,
    HMAIL,
    YAHOO,
    Do,
    Drop,
    FakeUpstream,
    Personality,
    digest,
    example,
)

NAMED = example(message_id="<t@x.test>")
NAMELESS = example(message_id="<t@x.test>").replace(b"Message-ID: <t@x.test>\r\n", b"")


async def here_by_digest(here: Connected, octets: bytes) -> dict[str, int]:
    """In which mailboxes here it is, and how often."""
    found = await all_mail(here.db, here.inbox.id)
    return {name: count for name, mail in found.items() if (count := _count(mail, octets))}


def _count(mail: Any, octets: bytes) -> int:
    return sum(count for (_, one), count in mail.items() if one == digest(octets))


def there_by_digest(server: FakeUpstream, octets: bytes) -> dict[str, int]:
    found = {name: _count(upstream_mail(server, name), octets) for name in server.account.mailboxes}
    return {name: count for name, count in found.items() if count}


async def lost(server: FakeUpstream, here: Connected, local: Local, octets: bytes, name: str = "INBOX") -> None:
    """It is appended, nobody hears of it, and somebody moves it to Trash."""
    await local.append(name, octets)
    server.arm(Drop("APPEND", when="after"))
    assert (await here.sync()).failure is not None
    folder = there(server, name)
    uid = max(server.account.mailbox(folder).places)
    assert _count(upstream_mail(server, folder), octets) == 1
    server.account.move(folder, uid, there(server, "Trash"))


CASES = [
    pytest.param(personality, octets, id=f"{personality.name}-{name}")
    for personality in (DOVECOT, DOVECOT_BARE, YAHOO, EXCHANGE, HMAIL, FASTMAIL)
    for name, octets in (("named", NAMED), ("nameless", NAMELESS))
    if not (personality is EXCHANGE and octets is NAMELESS)
]


@pytest.mark.parametrize(("personality", "octets"), CASES)
async def test_it_is_found_in_trash_and_not_appended_again(
    db: Database, personality: Personality, octets: bytes
) -> None:
    """Though the process ended between the append and the look: what it knew stands in the store."""
    async with two_way(db, personality) as (server, here, local):
        await lost(server, here, local, octets)
        await here.restart()
        emails = await local.emails()
        await settle(here)
        assert appends(server) == 1
        assert len(server.account.mailbox(there(server, "Trash")).places) == 1
        assert sum((await here.mail("Trash")).values()) == 1
        assert len(await local.uids()) == 8
        assert await local.emails("Trash") < emails, "it is the message that was here, moved"
        found = await here.good_sync()
        assert (found.run.imported, found.run.pushed) == (0, 0)


def appends(server: FakeUpstream) -> int:
    return sum(one.name == "APPEND" for one in server.log)


async def test_what_cannot_be_told_apart_in_trash_is_not_appended_again(db: Database) -> None:
    """It has no Message-ID, and its size is another one since it was moved."""
    async with two_way(db, EXCHANGE) as (server, here, local):
        await lost(server, here, local, NAMELESS)
        await settle(here)
        assert appends(server) == 1
        failed = await here.db.read(lambda rx: ops.page(rx, here.row.id, OpState.FAILED))
        assert [op.kind for op in failed] == ["append"]


async def test_an_older_one_of_the_same_name_in_trash_is_another_message(db: Database) -> None:
    """Drafts that were written over bear one Message-ID; this append was not done."""
    boxes = {"INBOX": 2, "Trash": 0}
    async with two_way(db, mailboxes=boxes) as (server, here, local):
        server.account.deliver("Trash", NAMED)
        await here.good_sync()
        await local.append("Drafts", NAMED)
        server.arm(Drop("APPEND", when="before"))
        await here.sync()
        await settle(here)
        assert there_by_digest(server, NAMED) == {"Drafts": 1, "Trash": 1}
        assert await here_by_digest(here, NAMED) == {"Drafts": 1, "Trash": 1}


async def test_an_older_one_that_came_to_trash_unseen_is_not_it(db: Database) -> None:
    """It came when the append began, so it may be ours: nothing goes to Trash here, and nothing is appended."""
    async with two_way(db, mailboxes={"INBOX": 2, "Trash": 3}) as (server, here, local):
        await local.append("Drafts", NAMED)
        server.arm(Do("APPEND", lambda server: server.account.deliver("Trash", NAMED)), Drop("APPEND", when="before"))
        await here.sync()
        await settle(here)
        assert there_by_digest(server, NAMED) == {"Trash": 1}
        assert await here_by_digest(here, NAMED) == {"Drafts": 1, "Trash": 1}
        (failed,) = await here.db.read(lambda rx: ops.page(rx, here.row.id, OpState.FAILED))
        assert (failed.kind, failed.failure) == ("append", "unidentified")


async def test_trash_is_deleted_here_at_that_moment(db: Database) -> None:
    """It is made anew, and then holds the message."""
    async with two_way(db) as (server, here, local):
        await lost(server, here, local, NAMED)

        async def gone(_: object) -> None:
            await local.delete("Trash")

        moment = Do("OPEN", gone, where=lambda one: b"Trash" in one.raw)
        server.arm(moment)
        await here.sync()
        assert moment.fired
        await settle(here)
        assert appends(server) == 1
        assert there_by_digest(server, NAMED) == {"Trash": 1}
        assert await here_by_digest(here, NAMED) == {"Trash": 1}


async def test_trash_was_numbered_anew_meanwhile(db: Database) -> None:
    """How far we knew it says nothing any more: what looks like it may be it."""
    async with two_way(db) as (server, here, local):
        await lost(server, here, local, NAMED)
        server.account.renumber(there(server, "Trash"))
        await settle(here)
        assert appends(server) == 1
        assert there_by_digest(server, NAMED) == {"Trash": 1}
        assert (await here_by_digest(here, NAMED))["Trash"] == 1


@both
async def test_it_was_moved_here_meanwhile_and_is_where_it_was_moved_to(db: Database) -> None:
    async with two_way(db) as (server, here, local):
        await lost(server, here, local, NAMED)
        await local.move("INBOX", (await local.uids())[-1:], "Work")
        await settle(here, 4)
        assert there_by_digest(server, NAMED) == {"Work": 1}
        assert await here_by_digest(here, NAMED) == {"Work": 1}
        assert appends(server) == 1


async def test_it_was_removed_here_meanwhile_and_stays_in_trash(db: Database) -> None:
    async with two_way(db) as (server, here, local):
        await lost(server, here, local, NAMED)
        await local.expunge("INBOX", (await local.uids())[-1:])
        await settle(here)
        assert there_by_digest(server, NAMED) == {"Trash": 1}
        assert await here_by_digest(here, NAMED) == {"Trash": 1}


async def test_trash_was_made_for_it(db: Database) -> None:
    bare = DOVECOT.replace(boxes=(("INBOX", ()), ("Sent", ("\\Sent",))))
    async with two_way(db, bare, {"INBOX": 3}) as (server, here, local):
        await local.append("INBOX", NAMED)
        server.arm(Drop("APPEND", when="after"))
        await here.sync()
        server.account.create("Trash", "\\Trash")
        server.account.move("INBOX", max(server.account.mailbox("INBOX").places), "Trash")
        emails = await local.emails()
        await settle(here, 4)
        assert appends(server) == 1
        assert there_by_digest(server, NAMED) == {"Trash": 1}
        assert await here_by_digest(here, NAMED) == {"Trash": 1}
        assert await local.emails("Trash") < emails


async def test_a_trash_that_is_not_synced_is_looked_into_all_the_same(db: Database) -> None:
    async with two_way(db, imap={"exclude": ("\\Trash",)}) as (server, here, local):
        await lost(server, here, local, NAMED)
        await settle(here)
        assert appends(server) == 1
        assert there_by_digest(server, NAMED) == {"Trash": 1}
        assert await here_by_digest(here, NAMED) == {"INBOX": 1}, "both sides stay as they are"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_the_look_into_trash_is_cut_off_too(db: Database, when: str) -> None:
    async with two_way(db) as (server, here, local):
        await lost(server, here, local, NAMED)
        trash = Drop("OPEN", when=when, where=lambda one: b"Trash" in one.raw)
        server.arm(trash)
        assert (await here.sync()).failure is not None
        assert trash.fired
        await settle(here)
        assert appends(server) == 1
        assert await here_by_digest(here, NAMED) == {"Trash": 1}


async def test_gmail(db: Database) -> None:
    async with FakeUpstream(GMAIL) as server, connected(db, server, options(mode="two-way"), settings=SETTINGS) as here:
        server.account.deliver("[Gmail]/All Mail", labels=["\\Inbox"])
        await here.good_sync()
        local = Local(here)
        await local.append("INBOX", NAMED)
        server.arm(Drop("APPEND", when="after"))
        await here.sync()
        server.account.move("INBOX", max(server.account.mailbox("INBOX").places), "[Gmail]/Trash")
        await settle(here)
        assert appends(server) == 1
        assert there_by_digest(server, NAMED) == {"[Gmail]/Trash": 1}
        assert await here_by_digest(here, NAMED) == {"Trash": 1}
