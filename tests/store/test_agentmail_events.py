"""AgentMail's words for what the change log says, on both databases: which name, which ids, and what of mail that is
gone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agentmail.events import MessageBouncedEvent, MessageDeliveredEvent, MessageReceivedEvent, MessageSentEvent

from gateway.access.digest import Digests
from gateway.access.events import RESET, Event, start_at
from gateway.model.errors import NotFound
from gateway.model.permissions import BUNDLES
from gateway.store import content, inboxes, messages
from gateway.store.append import Appended
from gateway.store.db import Database, Tx
from gateway.web.agentmail.events import told

from .helpers import NOW, mailbox_id, make_inbox, put, staged
from .queue_kit import claim, end, send
from .test_events import now_at
from .test_events import told as log_of

READS = BUNDLES["read"]
MODELS: dict[str, Any] = {
    "message": MessageReceivedEvent, "send": MessageSentEvent, "delivery": MessageDeliveredEvent,
    "bounce": MessageBouncedEvent,
}


async def theirs(db: Database, event: Event, *types: str, reads: frozenset[str] = READS) -> Any:
    """As their SDK reads it, None where nothing is told; it must be JSON, and of one of their types whole."""
    document = await told(db, Digests(), reads, types, event)
    if document is None:
        return None
    (model,) = [MODELS[name] for name in document if name in MODELS]
    return model.model_validate(json.loads(json.dumps(document)))


async def test_a_message_with_its_thread_and_when_it_is_gone(db: Database) -> None:
    inbox = await make_inbox(db)
    box, trash = await mailbox_id(db, inbox.id), await mailbox_id(db, inbox.id, "Trash")
    start = await now_at(db, inbox.id)
    kept = await db.write(lambda tx: put(tx, inbox.id, box))
    (event,), _ = await log_of(db, inbox.id, start)
    found = await theirs(db, event)
    assert (found.event_type, found.event_id) == ("message.received", event.id)
    assert (found.message.inbox_id, found.message.message_id, found.message.thread_id, found.message.labels) == (
        inbox.address, kept.email_id, kept.thread_id, ["received", "unread"],
    )
    assert (found.thread.thread_id, found.thread.message_count, found.thread.last_message_id) == (
        kept.thread_id, 1, kept.email_id,
    )
    await db.write(lambda tx: messages.move(tx, inbox.id, box, [kept.uid], trash, now=NOW))
    assert (await theirs(db, event)).message.labels == ["received", "trash", "unread"]
    hidden = await theirs(db, event, reads=READS - {"label_trash_read"})
    await db.write(lambda tx: messages.expunge(tx, inbox.id, trash, [1], only_deleted=False, now=NOW))
    gone = await theirs(db, event)
    for left in (hidden, gone):
        assert (left.message.message_id, left.message.size, left.message.labels) == (
            kept.email_id, found.message.size, ["received"],
        )
        assert (left.thread.thread_id, left.thread.message_count) == (kept.thread_id, 1)
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW))
    with pytest.raises(NotFound):
        await told(db, Digests(), READS, (), event)


async def test_junk_is_told_to_who_names_it(db: Database) -> None:
    inbox = await make_inbox(db)
    start = await now_at(db, inbox.id)
    junk = await mailbox_id(db, inbox.id, "Spam")
    await db.write(lambda tx: put(tx, inbox.id, junk))
    (event,), _ = await log_of(db, inbox.id, start)
    assert event.role == "\\Junk"
    assert await theirs(db, event) is None
    assert await theirs(db, event, "message.received", "message.received.blocked") is None
    assert (await theirs(db, event, "message.received.spam")).event_type == "message.received.spam"


async def test_what_becomes_of_sent_mail(db: Database) -> None:
    inbox = await make_inbox(db)
    start = await now_at(db, inbox.id)
    sent = await mailbox_id(db, inbox.id, "Sent")
    await send(db, inbox, "b@else.test", "c@else.test", message_id=b"one@mail.test")
    events, place = await log_of(db, inbox.id, start)
    (event,) = [each for each in events if each.type == "message.sent"]
    alone = await theirs(db, event)
    assert (alone.send.message_id, alone.send.thread_id) == ("<one@mail.test>", "<one@mail.test>")
    assert alone.send.recipients == ["b@else.test", "c@else.test"]

    def keep(tx: Tx) -> Appended:
        made = staged(b"a: b\r\n\r\nbody", message_id=b"one@mail.test")
        content.complete(tx, made, NOW)
        return messages.append(tx, sent, inbox.id, made, internal_date=NOW, flags=0, keywords=(), now=NOW)

    copy = await db.write(keep)
    assert (await theirs(db, event)).send.message_id == copy.email_id
    for item, state in zip(await claim(db), ("sent", "bounced"), strict=True):
        await end(db, item, state)
    events, _ = await log_of(db, inbox.id, place)
    good, bad = [await theirs(db, each) for each in events if each.type != "message.added"]
    assert (good.event_type, good.delivery.recipients, good.delivery.message_id) == (
        "message.delivered", ["b@else.test"], copy.email_id,
    )
    assert (bad.event_type, bad.bounce.type, bad.bounce.sub_type, bad.bounce.thread_id) == (
        "message.bounced", "Permanent", "General", copy.thread_id,
    )
    assert [each.address for each in bad.bounce.recipients] == ["c@else.test"]
    assert await theirs(db, event, "message.delivered", "message.received") is None


@pytest.mark.parametrize(("code", "enhanced", "kind", "why", "status"), [
    (550, "5.1.1", "Permanent", "NoEmail", "5.1.1"), (552, "5.2.2", "Permanent", "MailboxFull", "5.2.2"),
    (451, "4.7.1", "Transient", "General", "4.7.1"), (421, None, "Transient", "General", "421"),
    (None, None, "Permanent", "General", "failed"),
])  # fmt: skip
async def test_bounces(db: Database, code: int | None, enhanced: str | None, kind: str, why: str, status: str) -> None:
    inbox = await make_inbox(db)
    place = (await db.read(lambda rx: start_at(rx, inbox.id))).now
    data = {"message_id": None, "recipient": "b@else.test", "code": code, "enhanced": enhanced}
    event = Event(place, "e-1-8-0-1", "message.bounced", data, {"id": inbox.uuid, "address": inbox.address}, NOW)
    bounce = (await theirs(db, event)).bounce
    assert (bounce.type, bounce.sub_type, bounce.recipients[0].status) == (kind, why, status)
    assert bounce.timestamp.timestamp() == NOW


async def test_what_has_no_name_there(db: Database) -> None:
    inbox = await make_inbox(db)
    place = await now_at(db, inbox.id)
    for kind in (RESET, "message.flags", "message.deferred", "mailbox.created"):
        event = Event(place, "e.1", kind, {}, {"id": inbox.uuid, "address": inbox.address})
        assert await theirs(db, event) is None
