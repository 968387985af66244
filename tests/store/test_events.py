"""Events of an inbox: what each change tells, and that whoever reads later, or in other pages, is told the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.access.events import RESET, Event, event_of, events_after, start_at
from gateway.access.events_place import Place, place_of, shown, whole
from gateway.delivery.local import ROUTE, LocalDelivery
from gateway.delivery.source import stored
from gateway.ingest.writer import Ingest
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.flags import DELETED, FLAGGED, SEEN
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.model.recipient import Recipient
from gateway.store import cleanup, event_log, inboxes, mailboxes, messages, queue, reports, snapshot
from gateway.store.append import Appended
from gateway.store.db import Database

from .helpers import NOW, mailbox_id, make_inbox, put
from .queue_kit import claim, end, send


async def append(db: Database, inbox_id: InboxId, box: MailboxId) -> Appended:
    return await db.write(lambda tx: put(tx, inbox_id, box))


async def told(db: Database, inbox_id: InboxId, after: Place, most: int = 500) -> tuple[list[Event], Place]:
    """All events behind a place."""
    found: list[Event] = []
    while True:
        page = await db.read(lambda rx, place=after: events_after(rx, inbox_id, place, most))  # type: ignore[misc]
        found += page.events
        assert page.more is False or page.end > after
        after = page.end
        if not page.more:
            return found, after


async def now_at(db: Database, inbox_id: InboxId) -> Place:
    return (await db.read(lambda rx: start_at(rx, inbox_id))).now


def brief(events: list[Event]) -> list[tuple[str, Any]]:
    return [(event.type, event.data.get("uid")) for event in events]


async def test_what_becomes_of_a_message(db: Database) -> None:
    inbox = await make_inbox(db)
    box, trash = await mailbox_id(db, inbox.id), await mailbox_id(db, inbox.id, "Trash")
    start = await now_at(db, inbox.id)
    first = await append(db, inbox.id, box)
    (received,), place = await told(db, inbox.id, start)
    assert (received.type, received.data["message"], received.data["uid"]) == (
        "message.received", first.email_id, first.uid,
    )
    assert received.data["mailbox"]["name"] == "INBOX"
    await db.write(lambda tx: messages.store_flags(tx, inbox.id, box, [first.uid], "add", SEEN, ("later",)))
    (flags,), place = await told(db, inbox.id, place)
    assert (flags.type, flags.data["flags"]) == ("message.flags", ["\\Seen", "later"])
    await db.write(lambda tx: messages.copy(tx, inbox.id, box, [first.uid], trash, now=NOW))
    (copied,), place = await told(db, inbox.id, place)
    assert (copied.type, copied.data["message"], copied.role) == ("message.copied", first.email_id, "\\Trash")
    await db.write(lambda tx: messages.move(tx, inbox.id, box, [first.uid], trash, now=NOW))
    (moved,), place = await told(db, inbox.id, place)
    assert (moved.type, moved.data["from_mailbox"]["name"], moved.data["from_uid"]) == (
        "message.moved", "INBOX", first.uid,
    )
    await db.write(lambda tx: messages.expunge(tx, inbox.id, trash, [1, 2], only_deleted=False, now=NOW))
    deleted, place = await told(db, inbox.id, place)
    assert [(each.type, each.data["uid"], each.data["message"]) for each in deleted] == [
        ("message.deleted", 1, first.email_id), ("message.deleted", 2, first.email_id),
    ]
    assert await told(db, inbox.id, place) == ([], place)
    # within the hour all of it is told again, but for flags of what is gone
    again, _ = await told(db, inbox.id, start)
    assert [each.id for each in again] == [each.id for each in (received, copied, moved, *deleted)]
    assert [each.data for each in again] == [each.data for each in (received, copied, moved, *deleted)]


async def test_mailboxes(db: Database) -> None:
    inbox = await make_inbox(db)
    place = await now_at(db, inbox.id)
    made = await db.write(lambda tx: mailboxes.create(tx, inbox.id, "Work/New", now=NOW))
    created, place = await told(db, inbox.id, place)
    assert [(each.type, each.data["mailbox"]["name"]) for each in created] == [
        ("mailbox.created", "Work"), ("mailbox.created", "Work/New"),
    ]
    await db.write(lambda tx: mailboxes.rename(tx, inbox.id, "Work", "Job", now=NOW))
    renamed, place = await told(db, inbox.id, place)
    assert [(each.type, each.data["from"], each.data["to"]) for each in renamed] == [
        ("mailbox.renamed", "Work", "Job"), ("mailbox.renamed", "Work/New", "Job/New"),
    ]
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "Job/New", now=NOW))
    (gone,), place = await told(db, inbox.id, place)
    assert (gone.type, gone.data["mailbox"]) == ("mailbox.deleted", {"id": made.object_id, "name": "Job/New"})


async def test_a_renamed_inbox_moves_its_messages(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await append(db, inbox.id, box)
    place = await now_at(db, inbox.id)
    await db.write(lambda tx: mailboxes.rename(tx, inbox.id, "INBOX", "Old", now=NOW))
    events, _ = await told(db, inbox.id, place)
    assert [each.type for each in events] == ["mailbox.created", "message.moved"]
    assert events[1].data["from_mailbox"]["name"] == "INBOX"


async def test_sent_mail(db: Database) -> None:
    inbox = await make_inbox(db)
    place = await now_at(db, inbox.id)
    await send(db, inbox, "one@far.test", "two@far.test")
    (sent,), place = await told(db, inbox.id, place)
    assert (sent.type, sent.data["recipients"]) == ("message.sent", ["one@far.test", "two@far.test"])
    first, second = await claim(db)
    await end(db, first, "sent")
    await end(db, second, "deferred", at=NOW + 60)
    events, place = await told(db, inbox.id, place)
    assert [(each.type, each.data["recipient"]) for each in events] == [
        ("message.delivered", "one@far.test"), ("message.deferred", "two@far.test"),
    ]
    (again,) = await claim(db, now=NOW + 61)
    await end(db, again, "bounced", now=NOW + 62)
    (bounced,), place = await told(db, inbox.id, place)
    assert (bounced.type, bounced.data["code"], bounced.at) == ("message.bounced", 250, NOW + 62)
    await db.write(lambda tx: queue.purge_finished(tx, NOW + 100, 10))
    events, _ = await told(db, inbox.id, whole(inbox.modseq))
    assert [each.type for each in events] == [RESET]


async def test_mail_that_waits_is_delivered_here_once_for_whoever_reads(db: Database) -> None:
    inbox = await make_inbox(db)
    place = await now_at(db, inbox.id)
    await send(db, inbox, later=[Recipient(inbox.address)])
    (sent,), then = await told(db, inbox.id, place)
    assert (sent.type, sent.data["recipients"]) == ("message.sent", [inbox.address])
    (item,) = await claim(db)
    here = LocalDelivery(db, Ingest(db, now=lambda: NOW), owner="me", clock=lambda: NOW)
    assert await here.deliver(ROUTE, [item], await stored(db, item.content_id)) == []
    events, _ = await told(db, inbox.id, then)
    assert sorted(each.type for each in events) == ["message.delivered", "message.received"]
    (delivered,) = [each for each in events if each.type == "message.delivered"]
    assert (delivered.data["recipient"], delivered.data["here"]) == (inbox.address, True)
    later, _ = await told(db, inbox.id, place)
    assert [each.id for each in later] == [sent.id, *(each.id for each in events)]


async def test_what_is_told_once_is_not_told_again_for_what_nobody_is_told_of(db: Database) -> None:
    """A recipient is held after it was tried, and is reported to have been handed on: no news, and no MODSEQ."""
    inbox = await make_inbox(db)
    await send(db, inbox, "one@far.test", "two@far.test", message_id=b"m@x")
    first, second = await claim(db)
    await end(db, first, "deferred", at=NOW + 60)
    await end(db, second, "sent")
    place = await now_at(db, inbox.id)
    (again,) = await claim(db, now=NOW + 61)
    await end(db, again, "held")
    (row,) = await db.read(lambda rx: reports.handed_on(rx, inbox.id, None, (b"m@x",)))
    await db.write(lambda tx: reports.note_report(tx, inbox.id, ContentId(77), NOW))
    relayed = reports.Told(row, "relayed", 250, "2.0.0", b"ok", "far.test")
    assert await db.write(lambda tx: reports.settle_report(tx, inbox.id, ContentId(77), [relayed], NOW)) == 1
    assert await told(db, inbox.id, place) == ([], place)


async def test_a_long_history_of_sent_mail_is_cut_and_says_so(db: Database) -> None:
    inbox = await make_inbox(db)
    place = await now_at(db, inbox.id)
    for _ in range(5):
        await send(db, inbox, "one@far.test")
    events, _ = await told(db, inbox.id, place)
    kind = await db.read(lambda rx: event_log.long_record(rx, 2))
    assert kind == (inbox.id, "submitted")
    await db.write(lambda tx: event_log.prune(tx, inbox.id, "submitted", 2, 100))
    assert [each.type for each in (await told(db, inbox.id, place))[0]] == [RESET]
    later, _ = await told(db, inbox.id, events[2].place)
    assert [each.id for each in later] == [each.id for each in events[3:]]


async def test_another_epoch_and_a_pruned_record_reset(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    start = await now_at(db, inbox.id)
    for _ in range(4):
        await append(db, inbox.id, box)
    for uid in (1, 2, 3):
        await db.write(lambda tx, uid=uid: messages.expunge(tx, inbox.id, box, [uid], only_deleted=False, now=NOW))  # type: ignore[misc]
    await db.write(lambda tx: cleanup.prune_record(tx, inbox.id, box, 1, 100))
    (reset,), place = await told(db, inbox.id, start)
    assert (reset.type, place) == (RESET, await now_at(db, inbox.id))
    old = shown(inbox.epoch, place)
    await db.write(lambda tx: snapshot.mark_restored(tx, NOW))
    foreign = await db.read(lambda rx: start_at(rx, inbox.id, [old]))
    (reset,), place = await told(db, inbox.id, foreign.place)
    assert reset.type == RESET
    assert (await db.read(lambda rx: start_at(rx, inbox.id, [reset.id]))).place == place


async def test_one_event_by_its_id(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    start = await now_at(db, inbox.id)
    for _ in range(3):
        await append(db, inbox.id, box)
    for event in (await told(db, inbox.id, start))[0]:
        assert await db.read(lambda rx, event=event: event_of(rx, inbox.id, event.id)) == event  # type: ignore[misc]
    places = [(inbox.epoch, whole(3)), ("other", Place(2, 2, box, 1)), (inbox.epoch, Place(9, 2, box, 1))]
    for wrong in [shown(*each) for each in places]:
        with pytest.raises(NotFound):
            await db.read(lambda rx, wrong=wrong: event_of(rx, inbox.id, wrong))  # type: ignore[misc]


async def test_a_deleted_inbox_tells_nothing(db: Database) -> None:
    inbox = await make_inbox(db)
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW))
    with pytest.raises(NotFound):
        await told(db, inbox.id, whole(1))


@pytest.mark.parametrize(
    "wrong", ["", "x", "1.2.3", "a.b", "a-1-2-3", f"a.{1 << 63}", "a.-1", "a b.1", "é.1", "a-1-99-1-" + "9" * 19]
)
def test_what_is_no_cursor(wrong: str) -> None:
    with pytest.raises(InvalidRequest):
        place_of(wrong)


@pytest.mark.parametrize("place", [whole(7), Place(7, 2, 3, 4)])
def test_cursors_are_read_as_they_are_shown(place: Place) -> None:
    assert place_of(shown("abc0", place)) == ("abc0", place)


async def test_whoever_reads_later_or_in_small_pages_is_told_the_same(db: Database) -> None:
    """Random changes: a listener reads after each, others from the beginning in pages of any size."""
    chance = random.Random(5)
    inbox = await make_inbox(db)
    boxes = [await mailbox_id(db, inbox.id, name) for name in ("INBOX", "Trash", "Spam")]
    start = place = await now_at(db, inbox.id)
    live: list[Event] = []
    for _ in range(60):
        box, other = chance.sample(boxes, 2)
        uids = [row[0] for row in await db.read(lambda rx, box=box: messages.load(rx, box))]  # type: ignore[misc]
        some = sorted(chance.sample(uids, min(len(uids), chance.randint(1, 5))))
        what = chance.choice(["append", "append", "flags", "copy", "move", "expunge"])
        if what == "append" or not some:
            for _ in range(chance.randint(1, 3)):
                await append(db, inbox.id, box)
        elif what == "flags":
            mask = chance.choice([SEEN, FLAGGED, DELETED])
            await db.write(lambda tx, b=box, u=some, m=mask: messages.store_flags(tx, inbox.id, b, u, "add", m))  # type: ignore[misc]
        elif what == "copy":
            await db.write(lambda tx, b=box, u=some, o=other: messages.copy(tx, inbox.id, b, u, o, now=NOW))  # type: ignore[misc]
        elif what == "move":
            await db.write(lambda tx, b=box, u=some, o=other: messages.move(tx, inbox.id, b, u, o, now=NOW))  # type: ignore[misc]
        else:
            await db.write(
                lambda tx, b=box, u=some: messages.expunge(tx, inbox.id, b, u, only_deleted=False, now=NOW)  # type: ignore[misc]
            )
        events, place = await told(db, inbox.id, place)
        live += events
    assert len({event.id for event in live}) == len(live)
    assert [event.place for event in live] == sorted(event.place for event in live)
    whole_log, end_ = await told(db, inbox.id, start)
    assert end_ == place
    for most in (1, 2, 7, 40):
        assert (await told(db, inbox.id, start, most))[0] == whole_log
    # later readers miss only changes of flags that were changed again, or of what is gone
    by_id = {event.id: event for event in live}
    assert {event.id for event in whole_log} <= by_id.keys()
    assert all(by_id[event.id].type == "message.flags" for event in live if event.id not in {e.id for e in whole_log})
    assert all(event.data == by_id[event.id].data for event in whole_log if event.type != "message.flags")
    for event in chance.sample(whole_log, 15):
        at = whole_log.index(event)
        assert (await told(db, inbox.id, event.place, 3))[0] == whole_log[at + 1 :]
