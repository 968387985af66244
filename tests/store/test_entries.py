"""Annotations: all or nothing, limits, and what others can be told of them."""

from __future__ import annotations

import pytest

from gateway.model.errors import AnnotationTooBig, CannotChange, NotFound, TooManyAnnotations
from gateway.model.ids import InboxId, MailboxId
from gateway.store import entries, inboxes, mailboxes
from gateway.store.db import Database
from gateway.store.entries import MAX_ENTRIES, MAX_VALUE, SERVER, Changed
from gateway.store.statements import Stmt

from .helpers import NOW, mailbox_id, make_inbox

ROWS = Stmt("SELECT count(*) FROM annotation")


async def change(db: Database, inbox_id: InboxId, mailbox: MailboxId, **values: bytes | None) -> int | None:
    named = {f"/shared/{name}": value for name, value in values.items()}
    return await db.write(lambda tx: entries.change(tx, inbox_id, mailbox, named), inboxes=(inbox_id,))


async def test_values_are_octets_and_removal_leaves_no_value(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    first = await change(db, inbox.id, box, a=b"\0\xff\r\n", b=b"")
    assert first is not None
    assert await db.read(lambda rx: entries.of_mailbox(rx, inbox.id, box)) == {
        "/shared/a": b"\0\xff\r\n", "/shared/b": b""
    }
    assert await change(db, inbox.id, box, c=None) is None  # nothing was there
    second = await change(db, inbox.id, box, a=None, c=None)
    assert second is not None
    assert await db.read(lambda rx: entries.of_mailbox(rx, inbox.id, box)) == {"/shared/b": b""}
    news = await db.read(lambda rx: entries.changed_since(rx, inbox.id, first - 1, most=9))
    assert [(one.modseq, one.mailbox, one.entry) for one in news] == [
        (first, "INBOX", "/shared/b"), (second, "INBOX", "/shared/a")
    ]
    found = await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox.id))
    assert found is not None
    assert found.modseq == second


async def test_limits_change_nothing(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await change(db, inbox.id, box, a=b"x" * MAX_VALUE)
    with pytest.raises(AnnotationTooBig):
        await change(db, inbox.id, box, b=b"1", c=b"x" * (MAX_VALUE + 1))
    await change(db, inbox.id, box, **{f"n{number}": b"" for number in range(MAX_ENTRIES - 1)})
    with pytest.raises(TooManyAnnotations):
        await change(db, inbox.id, box, a=b"", b=b"")
    await change(db, inbox.id, box, a=None, b=b"in its place")
    found = await db.read(lambda rx: entries.of_mailbox(rx, inbox.id, box))
    assert len(found) == MAX_ENTRIES
    assert "/shared/a" not in found
    await change(db, inbox.id, SERVER, a=b"the server's are counted for themselves")


async def test_all_values_of_an_inbox_have_a_limit(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MAX_OCTETS", 10)
    inbox = await make_inbox(db)
    await change(db, inbox.id, SERVER, a=b"12345")
    box = await mailbox_id(db, inbox.id)
    await change(db, inbox.id, box, a=b"12345")
    with pytest.raises(TooManyAnnotations):
        await change(db, inbox.id, box, b=b"1")
    await change(db, inbox.id, box, a=b"1234", b=b"1")


async def test_what_was_removed_is_not_remembered_for_ever(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    for round_ in range(3):
        names = [f"r{round_}-{number}" for number in range(MAX_ENTRIES)]
        await change(db, inbox.id, box, **dict.fromkeys(names, b""))
        await change(db, inbox.id, box, **dict.fromkeys(names))
    assert await db.read(lambda rx: rx.scalar(ROWS)) == entries.MAX_REMOVED


async def test_they_go_with_their_mailbox(db: Database) -> None:
    inbox = await make_inbox(db)
    made = await db.write(lambda tx: mailboxes.create(tx, inbox.id, "a", now=NOW), inboxes=(inbox.id,))
    await change(db, inbox.id, made.id, x=b"1", gone=b"2")
    await change(db, inbox.id, made.id, gone=None)
    await db.write(lambda tx: mailboxes.rename(tx, inbox.id, "a", "b", now=NOW), inboxes=(inbox.id,))
    assert await db.read(lambda rx: entries.of_mailbox(rx, inbox.id, made.id)) == {"/shared/x": b"1"}
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "b", now=NOW), inboxes=(inbox.id,))
    assert await db.read(lambda rx: rx.scalar(ROWS)) == 0
    assert await db.read(lambda rx: entries.changed_since(rx, inbox.id, 0, most=9)) == []


async def test_inbox_keeps_its_own_when_it_is_renamed(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await change(db, inbox.id, box, x=b"1")
    await db.write(lambda tx: mailboxes.rename(tx, inbox.id, "INBOX", "old", now=NOW), inboxes=(inbox.id,))
    old = await mailbox_id(db, inbox.id, "old")
    for each in (box, old):
        assert await db.read(lambda rx, each=each: entries.of_mailbox(rx, inbox.id, each)) == {"/shared/x": b"1"}


async def test_a_purged_inbox_leaves_none(db: Database) -> None:
    inbox = await make_inbox(db)
    await change(db, inbox.id, SERVER, x=b"1")
    await change(db, inbox.id, await mailbox_id(db, inbox.id), x=b"1")
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW), inboxes=(inbox.id,))
    while not await db.write(lambda tx: inboxes.purge_inbox(tx, inbox.id, 10), inboxes=(inbox.id,)):
        pass
    assert await db.read(lambda rx: rx.scalar(ROWS)) == 0


async def test_a_special_use_belongs_to_one_mailbox(db: Database) -> None:
    inbox = await make_inbox(db)

    async def give(name: str, role: str | None) -> tuple[int | None, str | None]:
        modseq, displaced = await db.write(
            lambda tx: mailboxes.set_role(tx, inbox.id, name, role), inboxes=(inbox.id,)
        )
        return modseq, displaced.name if displaced else None

    modseq, displaced = await give("INBOX", "\\Sent")
    assert displaced == "Sent"
    news = await db.read(lambda rx: entries.changed_since(rx, inbox.id, 0, most=9))
    assert sorted(news, key=lambda one: one.mailbox) == [
        Changed(modseq, name, entries.SPECIAL_USE, role)  # type: ignore[arg-type]
        for name, role in (("INBOX", "\\Sent"), ("Sent", None))
    ]
    assert await give("INBOX", "\\Sent") == (None, None)
    assert (await give("INBOX", None))[1] is None
    assert await db.read(lambda rx: mailboxes.by_role(rx, inbox.id, "\\Sent")) is None
    with pytest.raises(NotFound):
        await give("nowhere", "\\Sent")
    await db.write(lambda tx: mailboxes.create(tx, inbox.id, "a/b", now=NOW), inboxes=(inbox.id,))
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "a", now=NOW), inboxes=(inbox.id,))
    with pytest.raises(CannotChange):
        await give("a", "\\Sent")
