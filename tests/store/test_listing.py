"""What LIST and STATUS read, and that every change of the tree is noticed by its version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.model.flags import DELETED, SEEN
from gateway.store import entries, inboxes, listing, mailboxes, messages
from gateway.store.db import Database, Tx

from .helpers import NOW, fill, mailbox_id, make_inbox


async def test_counters_come_where_they_are_asked_for(db: Database) -> None:
    inbox = await make_inbox(db)
    other = await make_inbox(db, "bob@example.test")
    box = await mailbox_id(db, inbox.id)
    uids = await fill(db, inbox.id, box, 3)
    await fill(db, other.id, await mailbox_id(db, other.id), 2, flags=DELETED)
    await db.write(
        lambda tx: messages.store_flags(tx, inbox.id, box, uids[:2], "add", DELETED), inboxes=(inbox.id,)
    )

    async def row(**asked: bool) -> listing.Listed:
        found = await db.read(lambda rx: listing.mailboxes(rx, inbox.id, **asked))  # type: ignore[arg-type]
        assert len(found) == 5
        return next(row for row in found if row.name == "INBOX")

    assert (await row())[1:] == (0, 0, None, box, 0, 0, 0, 0, 0, 0, "", 0, 0)
    assert (await row(subscribed=True)).subscribed == 1
    counted = await row(counters=True)
    assert (counted.messages, counted.unseen, counted.octets, counted.deleted) == (3, 3, 60, 0)
    whole = await row(subscribed=True, deleted=True)
    assert (whole.messages, whole.deleted, whole.deleted_octets) == (3, 2, 40)
    one = await db.read(lambda rx: listing.mailbox(rx, inbox.id, "INBOX", subscribed=True, deleted=True))
    assert one == whole
    assert await db.read(lambda rx: listing.mailbox(rx, inbox.id, "no\0where")) is None
    assert len(await db.read(lambda rx: listing.mailboxes(rx, inbox.id, most=2))) == 2


async def test_one_is_found_by_its_id_or_any_spelling_of_its_name(db: Database) -> None:
    inbox = await make_inbox(db)
    other = await make_inbox(db, "bob@example.test")
    made = await db.write(lambda tx: mailboxes.create(tx, inbox.id, "Füße", now=NOW), inboxes=(inbox.id,))
    # A name that is spelt like the id of another one.
    await db.write(lambda tx: mailboxes.create(tx, inbox.id, made.object_id, now=NOW), inboxes=(inbox.id,))
    theirs = await db.read(lambda rx: mailboxes.by_name(rx, other.id, "INBOX"))
    assert theirs is not None

    async def name(reference: str) -> str | None:
        found = await db.read(lambda rx: listing.referred(rx, inbox.id, reference))
        return None if found is None else found.name

    assert [await name(each) for each in ("inbox", "INBOX", "Füße", "Fu\u0308ße")] == ["INBOX", "INBOX", "Füße", "Füße"]
    assert await name(made.object_id) == "Füße"
    assert [await name(each) for each in ("Fehlt", "", "no\0where", theirs.object_id)] == [None] * 4


async def test_what_holds_messages(db: Database) -> None:
    inbox = await make_inbox(db)
    await fill(db, inbox.id, await mailbox_id(db, inbox.id), 2)
    trash = await db.read(lambda rx: mailboxes.by_name(rx, inbox.id, "Trash"))
    assert trash is not None
    await fill(db, inbox.id, trash.id, 1, flags=SEEN)
    found = await db.read(lambda rx: listing.holding(rx, inbox.id))
    assert sorted(found) == sorted([(await mailbox_id(db, inbox.id), None), (trash.id, trash.role)])
    assert await db.read(lambda rx: listing.holding(rx, inbox.id, unseen=True)) \
        == [(await mailbox_id(db, inbox.id), None)]


async def test_children_are_found_by_whole_levels(db: Database) -> None:
    inbox = await make_inbox(db)
    for name in ("a/b", "a!", "ab", "a0"):
        await db.write(lambda tx, name=name: mailboxes.create(tx, inbox.id, name, now=NOW), inboxes=(inbox.id,))
    found = {
        name: await db.read(lambda rx, name=name: listing.has_children(rx, inbox.id, name))
        for name in ("a", "a/b", "ab", "a!", "a0", "INBOX")
    }
    assert found == {"a": True, "a/b": False, "ab": False, "a!": False, "a0": False, "INBOX": False}


async def test_whatever_list_shows_has_another_version_when_it_changes(db: Database) -> None:
    inbox = await make_inbox(db)
    version = await db.read(lambda rx: listing.tree_version(rx, inbox.id))
    assert version > 0

    async def after(unit: Callable[[Tx], Any]) -> bool:
        """Whether the version is a new one."""
        nonlocal version
        await db.write(unit, inboxes=(inbox.id,))
        before, version = version, await db.read(lambda rx: listing.tree_version(rx, inbox.id))
        return version > before

    assert await after(lambda tx: mailboxes.create(tx, inbox.id, "a/b", now=NOW))
    assert await after(lambda tx: mailboxes.subscribe(tx, inbox.id, "a/b"))
    assert not await after(lambda tx: mailboxes.subscribe(tx, inbox.id, "a/b"))
    assert await after(lambda tx: mailboxes.unsubscribe(tx, inbox.id, "a/b"))
    assert await after(lambda tx: mailboxes.rename(tx, inbox.id, "a", "c", now=NOW))
    assert await after(lambda tx: mailboxes.delete(tx, inbox.id, "c", now=NOW))
    assert await after(lambda tx: mailboxes.create(tx, inbox.id, "c", now=NOW))
    assert await after(lambda tx: mailboxes.set_role(tx, inbox.id, "c", "\\Archive"))
    assert await after(lambda tx: mailboxes.rename(tx, inbox.id, "INBOX", "old", now=NOW))
    box = await mailbox_id(db, inbox.id)
    await fill(db, inbox.id, box, 1)
    assert not await after(lambda tx: messages.expunge(tx, inbox.id, box, [1], only_deleted=False, now=NOW))
    assert not await after(lambda tx: inboxes.change_settings(tx, inbox.id, settings=inbox.settings, name="x"))
    assert not await after(lambda tx: entries.change(tx, inbox.id, box, {"/shared/x": None}))
