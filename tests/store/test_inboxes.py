"""Inboxes: birth, look-up, the grace period and the purge in small pieces."""

from __future__ import annotations

import pytest

from gateway.model.errors import AlreadyExists, InvalidName, NotFound
from gateway.model.ids import PodId
from gateway.model.mailbox import STANDARD_MAILBOXES
from gateway.model.permissions import ScopeKind
from gateway.store import (
    addresses,
    content,
    inboxes,
    keys,
    mailboxes,
    messages,
    queue_outcome,
    submissions,
)
from gateway.store.db import Database, Tx, Wake, WakeKind
from gateway.store.inboxes import InboxSettings
from gateway.store.queue import QueueState
from gateway.store.queue_outcome import Result
from gateway.store.statements import Stmt
from tests.support.queue import claim_due, entries

from .helpers import NOW, assert_consistent, fill, mailbox_id, make_inbox, put, staged, submission

_TABLES = (
    "mailbox", "message", "expunged", "change", "subscription", "thread_ref", "keyword", "address", "api_key",
    "submission", "queue_recipient", "queue_attempt", "inbox",
)  # fmt: skip


async def test_a_new_inbox_has_the_standard_mailboxes_subscribed(db: Database) -> None:
    wakes: list[Wake] = []
    db.subscribe(wakes.append)
    inbox = await make_inbox(db, "Anna@Example.test")
    assert Wake(WakeKind.INBOX, inbox.id) in wakes
    assert (inbox.address, inbox.settings, inbox.messages, inbox.octets) == ("anna@example.test", InboxSettings(), 0, 0)
    boxes = await db.read(lambda rx: mailboxes.list_mailboxes(rx, inbox.id))
    assert {box.name: box.role for box in boxes} == dict(STANDARD_MAILBOXES)
    assert all(box.subscribed and box.highest_modseq == inbox.modseq for box in boxes)
    assert len({box.uidvalidity for box in boxes}) == len({box.object_id for box in boxes}) == 5


async def test_an_inbox_is_found_by_what_names_it(db: Database) -> None:
    inbox = await make_inbox(db)
    await db.write(lambda tx: addresses.add_address(tx, inbox.id, "info@example.test"))
    await db.write(lambda tx: addresses.add_address(tx, inbox.id, "@example.test"))
    await db.write(lambda tx: addresses.add_address(tx, inbox.id, "a@gmail.test", "external"))
    assert await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox.id)) == inbox
    for address in ("ANNA@example.test", "info@example.TEST"):
        assert await db.read(lambda rx, address=address: inboxes.inbox_by_address(rx, address)) == inbox
    for address in ("x@example.test", "a@gmail.test", "@example.test", "anna", "anna+x@example.test"):
        assert await db.read(lambda rx, address=address: inboxes.inbox_by_address(rx, address)) is None


async def test_an_inbox_needs_a_free_address_in_a_domain_of_its_pod(db: Database) -> None:
    inbox = await make_inbox(db)
    with pytest.raises(AlreadyExists):
        await make_inbox(db, "ANNA@example.test")
    with pytest.raises(NotFound):
        await db.write(lambda tx: inboxes.create_inbox(tx, PodId(999), "b@example.test", now=NOW))
    with pytest.raises(NotFound):
        await db.write(lambda tx: inboxes.create_inbox(tx, inbox.pod_id, "b@nowhere.test", now=NOW))
    with pytest.raises(InvalidName):
        await db.write(lambda tx: inboxes.create_inbox(tx, inbox.pod_id, "no address", now=NOW))
    assert await db.read(inboxes.inboxes) == [inbox]


async def test_settings_change(db: Database) -> None:
    inbox = await make_inbox(db)
    await db.write(
        lambda tx: inboxes.change_settings(tx, inbox.id, settings=InboxSettings(sent_copy="never"), name="Anna")
    )
    after = await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox.id))
    assert after is not None
    assert (after.settings.sent_copy, after.name) == ("never", "Anna")


async def test_deleting_ends_keys_and_queue_at_once_and_keeps_the_mail(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await fill(db, inbox.id, box, 2)
    key = await db.write(
        lambda tx: keys.insert_key(
            tx, key_id="k" * 10, hash="h", name="", scope=ScopeKind.INBOX, permissions=(), now=NOW, inbox_id=inbox.id
        )
    )
    made = staged(b"a: b\r\n\r\n")
    new = submission(inbox.id, inbox.address, made, ["x@y.test"], key=key.id)

    def send(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        submissions.enqueue(tx, new, NOW)

    await db.write(send)
    wakes: list[Wake] = []
    db.subscribe(wakes.append)
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW + 5))
    assert {wake.kind for wake in wakes} >= {WakeKind.INBOX, WakeKind.KEYS}
    assert await db.read(lambda rx: inboxes.inbox_by_address(rx, inbox.address)) is None
    assert await db.read(inboxes.inboxes) == []
    [left] = await db.read(lambda rx: inboxes.inboxes(rx, include_deleted=True))
    assert (left.deleted_at, left.messages) == (NOW + 5, 2)
    revoked = await db.read(lambda rx: keys.key_by_id(rx, key.id))
    assert revoked is not None
    assert revoked.revoked_at == NOW + 5
    [entry] = await db.read(entries)
    assert entry.submission.finished_at == NOW + 5
    assert [who.state for who in entry.recipients] == [QueueState.CANCELLED]
    with pytest.raises(NotFound):
        await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW))
    with pytest.raises(AlreadyExists):
        await make_inbox(db)
    await db.write(lambda tx: inboxes.undelete_inbox(tx, inbox.id))
    assert await db.read(lambda rx: inboxes.inbox_by_address(rx, inbox.address)) is not None


async def test_purge_takes_everything_of_one_inbox_in_pieces_and_nothing_of_another(db: Database) -> None:
    inbox, other = await make_inbox(db), await make_inbox(db, "ben@example.test")
    for owner in (inbox, other):
        box = await mailbox_id(db, owner.id)
        await fill(db, owner.id, box, 25)
        await db.write(lambda tx, o=owner.id, b=box: put(tx, o, b, keywords=["$Work"]))
        await db.write(lambda tx, o=owner.id, b=box: messages.expunge(tx, o, b, [1, 2, 3], only_deleted=False, now=NOW))
        await db.write(lambda tx, o=owner.id: mailboxes.create(tx, o, "a/b", now=NOW))
        made = staged(b"a: b\r\n\r\n")
        new = submission(owner.id, owner.address, made, ["x@y.test"])
        await db.write(lambda tx, m=made, n=new: (content.complete(tx, m, NOW), submissions.enqueue(tx, n, NOW)))
        [item] = await db.write(lambda tx: claim_due(tx, NOW, 9))
        await db.write(
            lambda tx, i=item: queue_outcome.settle(
                tx, [Result(i.recipient_id, i.submission_id, QueueState.DEFERRED, 451, next_attempt=NOW * 2)], NOW
            )
        )
        await db.write(
            lambda tx, o=owner.id: keys.insert_key(
                tx, key_id=f"{o:010}", hash="h", name="", scope=ScopeKind.INBOX, permissions=(), now=NOW, inbox_id=o
            )
        )
    with pytest.raises(NotFound):
        await db.write(lambda tx: inboxes.purge_inbox(tx, inbox.id, 10))
    before = await _counts(db)
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW))
    assert await db.read(lambda rx: inboxes.due_for_purge(rx, NOW - 1)) == []
    assert await db.read(lambda rx: inboxes.due_for_purge(rx, NOW)) == [inbox.id]
    steps = 1
    while not await db.write(lambda tx: inboxes.purge_inbox(tx, inbox.id, 10)):
        steps += 1
        await assert_consistent(db)
    assert steps > 8
    after = await _counts(db)
    assert after == {table: count // 2 for table, count in before.items()}
    assert await db.read(lambda rx: inboxes.inbox_by_address(rx, inbox.address)) is None
    again = await make_inbox(db)
    assert again.id > other.id


async def _counts(db: Database) -> dict[str, int]:
    return await db.read(lambda rx: {table: rx.scalar(Stmt(f"SELECT count(*) FROM {table}")) for table in _TABLES})
