"""Names of mailboxes: the tree, RENAME, DELETE, subscriptions and what each leaves for sessions and cursors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from gateway.model.errors import AlreadyExists, CannotChange, HasChildren, InvalidName, LimitReached, NotFound
from gateway.model.ids import InboxId
from gateway.model.mailbox import MAX_DEPTH, Mailbox
from gateway.store import changes, inboxes, mailboxes, messages
from gateway.store.db import Database, Tx, Wake
from gateway.store.statements import Stmt

from .helpers import NOW, fill, mailbox_id, make_inbox, put

T = TypeVar("T")
_CHANGES = Stmt("SELECT modseq, kind FROM change WHERE inbox_id = :inbox AND modseq > :after ORDER BY modseq")
_GARBAGE = Stmt("SELECT count(*) FROM garbage")


async def _names(db: Database, inbox_id: InboxId) -> dict[str, Mailbox]:
    rows = await db.read(lambda rx: mailboxes.list_mailboxes(rx, inbox_id))
    return {row.name: row for row in rows}


async def _create(db: Database, inbox_id: InboxId, name: str, **options: Any) -> Mailbox:
    return await db.write(lambda tx: mailboxes.create(tx, inbox_id, name, now=NOW, **options), inboxes=(inbox_id,))


async def _delete(db: Database, inbox_id: InboxId, name: str) -> None:
    await db.write(lambda tx: mailboxes.delete(tx, inbox_id, name, now=NOW), inboxes=(inbox_id,))


async def _rename(db: Database, inbox_id: InboxId, old: str, new: str) -> None:
    await db.write(lambda tx: mailboxes.rename(tx, inbox_id, old, new, now=NOW), inboxes=(inbox_id,))


async def test_create_makes_missing_parents_that_hold_mail(db: Database) -> None:
    inbox = await make_inbox(db)
    made = await _create(db, inbox.id, "a/b/c/")
    found = await _names(db, inbox.id)
    assert made == found["a/b/c"]
    assert {"a", "a/b", "a/b/c"} <= set(found)
    assert not any(box.noselect for box in found.values())
    assert len({box.uidvalidity for box in found.values()}) == len(found)
    assert {found[name].highest_modseq for name in ("a", "a/b", "a/b/c")} == {inbox.modseq + 1}
    assert not found["a"].subscribed


@pytest.mark.parametrize("name", ["INBOX", "inbox", "Sent", "InBoX/"])
async def test_create_refuses_a_name_that_is_taken(db: Database, name: str) -> None:
    inbox = await make_inbox(db)
    with pytest.raises(AlreadyExists):
        await _create(db, inbox.id, name)


@pytest.mark.parametrize("name", ["", "/", "a//b", "/a", "a*", "100%", "a\x01b", "/".join("x" * (MAX_DEPTH + 1))])
async def test_create_refuses_a_name_that_cannot_be(db: Database, name: str) -> None:
    inbox = await make_inbox(db)
    with pytest.raises(InvalidName):
        await _create(db, inbox.id, name)


async def test_names_of_any_script_are_found_in_either_normal_form(db: Database) -> None:
    inbox = await make_inbox(db)
    made = await _create(db, inbox.id, "Ablage/Zu\u0308rich \U0001f4ec")
    assert made.name == "Ablage/Z\u00fcrich \U0001f4ec"
    assert await db.read(lambda rx: mailboxes.by_name(rx, inbox.id, "Ablage/Zu\u0308rich \U0001f4ec")) == made


async def test_a_role_belongs_to_one_mailbox(db: Database) -> None:
    inbox = await make_inbox(db)
    assert (await _create(db, inbox.id, "Archive")).role == "\\Archive"
    with pytest.raises(AlreadyExists):
        await _create(db, inbox.id, "Other", role="\\Archive")
    await _rename(db, inbox.id, "Sent", "Sent Items")
    assert (await _create(db, inbox.id, "Sent")).role is None
    sent = await db.read(lambda rx: mailboxes.by_role(rx, inbox.id, "\\Sent"))
    assert sent is not None
    assert sent.name == "Sent Items"


async def test_delete_keeps_the_name_of_a_parent_and_frees_a_leaf(db: Database) -> None:
    inbox = await make_inbox(db)
    parent = (await _create(db, inbox.id, "foo/bar"), (await _names(db, inbox.id))["foo"])[1]
    await fill(db, inbox.id, parent.id, 2)
    await _delete(db, inbox.id, "foo")
    left = (await _names(db, inbox.id))["foo"]
    assert left.noselect
    assert (left.messages, left.octets) == (0, 0)
    assert left.id != parent.id
    with pytest.raises(HasChildren):
        await _delete(db, inbox.id, "foo")
    with pytest.raises(NotFound):
        await db.write(lambda tx: put(tx, inbox.id, left.id))
    await _delete(db, inbox.id, "foo/bar")
    assert "foo" in await _names(db, inbox.id)  # RFC 3501 6.3.4's own example
    await _delete(db, inbox.id, "foo")
    assert "foo" not in await _names(db, inbox.id)


async def test_a_noselect_name_comes_back_with_another_uidvalidity(db: Database) -> None:
    inbox = await make_inbox(db)
    await _create(db, inbox.id, "foo/bar")
    before = (await _names(db, inbox.id))["foo"]
    await fill(db, inbox.id, before.id, 3)
    await _delete(db, inbox.id, "foo")
    again = await _create(db, inbox.id, "foo")
    assert not again.noselect
    assert again.uidnext == 1
    assert again.uidvalidity > before.uidvalidity
    assert again.object_id != before.object_id


async def test_delete_refuses_inbox_and_what_is_not_there(db: Database) -> None:
    inbox = await make_inbox(db)
    with pytest.raises(CannotChange):
        await _delete(db, inbox.id, "inbox")
    with pytest.raises(NotFound):
        await _delete(db, inbox.id, "nowhere")


async def test_delete_of_a_large_mailbox_counts_down_and_leaves_the_octets_to_the_janitor(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await _create(db, inbox.id, "big")
    other = await mailbox_id(db, inbox.id)
    await fill(db, inbox.id, other, 1)
    await fill(db, inbox.id, box.id, 4_100)
    await db.write(lambda tx: messages.expunge(tx, inbox.id, box.id, [1], only_deleted=False, now=NOW))
    await _delete(db, inbox.id, "big")
    after = await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox.id))
    assert after is not None
    assert after.messages == 1
    assert await db.read(lambda rx: rx.scalar(_GARBAGE)) == 4_100
    gone = await db.read(lambda rx: changes.changes_since(rx, inbox.id, box.id, 0))
    assert not gone.exists


async def test_rename_moves_a_tree_and_keeps_what_names_it(db: Database) -> None:
    inbox = await make_inbox(db)
    await _create(db, inbox.id, "old/a/b")
    await _create(db, inbox.id, "older")
    await db.write(lambda tx: mailboxes.subscribe(tx, inbox.id, "old/a"))
    before = await _names(db, inbox.id)
    uids = await fill(db, inbox.id, before["old/a"].id, 2)
    await _rename(db, inbox.id, "old", "deep/er/new")
    after = await _names(db, inbox.id)
    assert {"deep", "deep/er", "deep/er/new", "deep/er/new/a", "deep/er/new/a/b", "older"} <= set(after)
    assert not any(name == "old" or name.startswith("old/") for name in after)
    moved = after["deep/er/new/a"]
    assert (moved.id, moved.object_id, moved.uidvalidity) == (
        before["old/a"].id,
        before["old/a"].object_id,
        before["old/a"].uidvalidity,
    )
    assert moved.messages == len(uids)
    assert not moved.subscribed  # RFC 3501 6.3.6: subscriptions are names of their own
    assert "old/a" in await db.read(lambda rx: mailboxes.subscriptions(rx, inbox.id))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("nowhere", "x", NotFound),
        ("a", "Sent", AlreadyExists),
        ("a", "inbox", AlreadyExists),
        ("a", "a", AlreadyExists),
        ("a", "a/b/c", CannotChange),
        ("a", "x*", InvalidName),
        ("a", "/".join("x" * MAX_DEPTH), InvalidName),
        ("INBOX", "Sent", AlreadyExists),
    ],
)
async def test_rename_refuses(db: Database, old: str, new: str, error: type[Exception]) -> None:
    inbox = await make_inbox(db)
    await _create(db, inbox.id, "a/b")
    before = await _names(db, inbox.id)
    with pytest.raises(error):
        await _rename(db, inbox.id, old, new)
    assert await _names(db, inbox.id) == before


async def test_rename_treats_like_wildcards_of_sql_as_letters(db: Database) -> None:
    inbox = await make_inbox(db)
    await _create(db, inbox.id, "a_b/x")
    await _create(db, inbox.id, "aXb/x")
    await _rename(db, inbox.id, "a_b", "c")
    assert {"c", "c/x", "aXb", "aXb/x"} <= set(await _names(db, inbox.id))


async def test_rename_inbox_moves_its_mail_and_leaves_an_empty_inbox(db: Database) -> None:
    inbox = await make_inbox(db)
    box = (await _names(db, inbox.id))["INBOX"]
    await _create(db, inbox.id, "INBOX/child")

    def unit(tx: Tx) -> None:
        put(tx, inbox.id, box.id, b"a: 1\r\n\r\n1")
        put(tx, inbox.id, box.id, b"a: 2\r\n\r\n22", keywords=["$Work"])
        put(tx, inbox.id, box.id, b"a: 3\r\n\r\n333", flags=1)

    await db.write(unit)
    await db.write(lambda tx: messages.expunge(tx, inbox.id, box.id, [1], only_deleted=False, now=NOW))
    before = await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox.id))
    assert before is not None
    ids = await db.read(lambda rx: rx.all(_EMAIL_IDS, mailbox=box.id))
    await _rename(db, inbox.id, "inbox", "Old Mail/2023")
    names = await _names(db, inbox.id)
    empty, full = names["INBOX"], names["Old Mail/2023"]
    assert (empty.id, empty.object_id, empty.uidvalidity, empty.uidnext) == (box.id, box.object_id, box.uidvalidity, 4)
    assert (empty.messages, empty.unseen, empty.octets) == (0, 0, 0)
    assert (full.messages, full.unseen, full.uidnext) == (2, 1, 3)
    assert full.object_id != box.object_id
    assert "INBOX/child" in names
    assert [row[0] for row in await db.read(lambda rx: rx.all(_EMAIL_IDS, mailbox=full.id))] == [row[0] for row in ids]
    rows = await db.read(lambda rx: messages.load(rx, full.id, 0, 10))
    assert [row[0] for row in rows] == [1, 2]
    bits = await db.read(lambda rx: mailboxes.keywords(rx, full.id))
    assert [bits[bit] for bit in bits if rows[0][1] >> bit & 1] == ["$Work"]
    seen = await db.read(lambda rx: changes.changes_since(rx, inbox.id, box.id, before.modseq))
    assert seen.expunged == ((2, 3),)
    assert await db.read(lambda rx: messages.expunged_rows(rx, box.id, [3], messages.Columns.CONTENT_ID)) != []
    again = await db.write(lambda tx: put(tx, inbox.id, box.id))
    assert again.uid == 4


_EMAIL_IDS = Stmt("SELECT email_id FROM message WHERE mailbox_id = :mailbox ORDER BY uid")


async def test_rename_of_an_empty_inbox_makes_an_empty_mailbox(db: Database) -> None:
    inbox = await make_inbox(db)
    await _rename(db, inbox.id, "INBOX", "x")
    names = await _names(db, inbox.id)
    assert names["x"].messages == names["INBOX"].messages == 0


async def test_subscriptions_are_names_that_outlive_their_mailbox(db: Database) -> None:
    inbox = await make_inbox(db)
    await _create(db, inbox.id, "x")
    assert await db.write(lambda tx: mailboxes.subscribe(tx, inbox.id, "x"))
    assert not await db.write(lambda tx: mailboxes.subscribe(tx, inbox.id, "x"))
    assert (await _names(db, inbox.id))["x"].subscribed
    await _delete(db, inbox.id, "x")
    assert "x" in await db.read(lambda rx: mailboxes.subscriptions(rx, inbox.id))
    assert await db.write(lambda tx: mailboxes.unsubscribe(tx, inbox.id, "x"))
    assert not await db.write(lambda tx: mailboxes.unsubscribe(tx, inbox.id, "x"))
    assert await db.write(lambda tx: mailboxes.unsubscribe(tx, inbox.id, "iNbOx"))
    with pytest.raises(InvalidName):
        await db.write(lambda tx: mailboxes.subscribe(tx, inbox.id, "a%"))


async def test_each_change_of_names_draws_one_modseq_is_recorded_and_wakes(db: Database) -> None:
    inbox = await make_inbox(db)
    wakes: list[Wake] = []
    stop = db.subscribe(wakes.append)

    async def step(unit: Callable[[Tx], object]) -> tuple[set[tuple[int, str]], set[object]]:
        before = await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox.id))
        assert before is not None
        wakes.clear()
        await db.write(unit)
        rows = await db.read(lambda rx: rx.all(_CHANGES, inbox=inbox.id, after=before.modseq))
        return {(modseq - before.modseq, kind) for modseq, kind in rows}, {wake.inbox_id for wake in wakes}

    here = {inbox.id}
    assert await step(lambda tx: mailboxes.create(tx, inbox.id, "a/b", now=NOW)) == ({(1, "created")}, here)
    assert await step(lambda tx: mailboxes.rename(tx, inbox.id, "a", "c", now=NOW)) == ({(1, "renamed")}, here)
    assert await step(lambda tx: mailboxes.subscribe(tx, inbox.id, "c")) == ({(1, "subscribed")}, here)
    assert await step(lambda tx: mailboxes.subscribe(tx, inbox.id, "c")) == (set(), set())
    assert await step(lambda tx: mailboxes.unsubscribe(tx, inbox.id, "c")) == ({(1, "unsubscribed")}, here)
    assert await step(lambda tx: mailboxes.delete(tx, inbox.id, "c/b", now=NOW)) == ({(1, "deleted")}, here)
    stop()


async def test_uidvalidity_never_repeats_though_the_clock_stands_still(db: Database) -> None:
    inbox = await make_inbox(db)
    seen = {box.uidvalidity for box in (await _names(db, inbox.id)).values()}
    for _ in range(5):
        made = await _create(db, inbox.id, "again")
        assert made.uidvalidity > max(seen)
        seen.add(made.uidvalidity)
        await _delete(db, inbox.id, "again")


async def test_the_number_of_mailboxes_is_limited(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = await make_inbox(db)
    monkeypatch.setattr(mailboxes, "MAX_MAILBOXES", 7)
    with pytest.raises(LimitReached):
        await _create(db, inbox.id, "a/b/c")
    assert len(await _names(db, inbox.id)) == 5


async def test_mailboxes_of_another_inbox_are_out_of_reach(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    box = await _create(db, anna.id, "private")
    assert await db.read(lambda rx: mailboxes.by_id(rx, ben.id, box.id)) is None
    assert await db.read(lambda rx: mailboxes.by_name(rx, ben.id, "private")) is None
    with pytest.raises(NotFound):
        await _delete(db, ben.id, "private")
