"""Drafts that decide about mail, counters of what was sent, and what was accepted before: on both databases."""

from __future__ import annotations

import asyncio

import pytest

from gateway.delivery.scheduler import Scheduler
from gateway.model.errors import NotFound
from gateway.model.ids import InboxId, SubmissionId
from gateway.model.mailbox import DRAFTS
from gateway.model.permissions import ScopeKind, expand
from gateway.store import content, drafts, holds, inboxes, keys, mailboxes, messages, once, queue_admin, rates
from gateway.store import submissions as acceptance
from gateway.store.db import Database, Tx
from gateway.store.inboxes import Inbox
from gateway.store.once import Attempt
from gateway.store.quota import Limits, set_limits
from gateway.store.rates import Sent

from .helpers import NOW, make_inbox, staged, submission
from .queue_kit import show


async def draft(
    db: Database, inbox: Inbox, *, reason: str = "approval", at: int | None = None, key: int | None = None
) -> SubmissionId:
    """A message in Drafts that two recipients wait for."""
    made, name = staged(b"Subject: x\r\n\r\nbody", message_id=holds.draft_id().encode()), holds.draft_id()
    mark = holds.PENDING if reason == "approval" else holds.SCHEDULED
    new = submission(
        inbox.id, inbox.address, made, ["x@elsewhere.test", "y@elsewhere.test"], key=key, draft=name, release_at=at,
        hold_reason=reason,
    )

    def unit(tx: Tx) -> SubmissionId:
        content.complete(tx, made, NOW)
        box = drafts.place(tx, inbox.id, NOW)
        messages.append(tx, box, inbox.id, made, internal_date=NOW, now=NOW, keywords=(mark,), email_id=name)
        return acceptance.enqueue(tx, new, NOW)

    return await db.write(unit, inboxes=(inbox.id,))


async def states(db: Database, number: SubmissionId) -> list[tuple[str, str | None, int | None]]:
    return [(str(one.state), one.hold_reason, one.next_attempt) for one in (await show(db, number)).recipients]


async def count(db: Database, inbox: InboxId, name: str) -> int:
    box = await db.read(lambda rx: mailboxes.by_name(rx, inbox, name))
    return 0 if box is None else box.messages


async def rows(db: Database, number: SubmissionId) -> list[int]:
    return [one.id for one in (await show(db, number)).recipients]


async def test_one_recipient_that_is_released_lets_all_go(db: Database) -> None:
    """What a draft decides about goes as a whole, or what went out would not be what was seen."""
    inbox = await make_inbox(db)
    number = await draft(db, inbox)
    first, _ = await rows(db, number)
    assert await db.write(lambda tx: queue_admin.retry(tx, [first], NOW + 5)) == 0, "retry is no consent"
    assert await db.write(lambda tx: queue_admin.release(tx, [first], NOW + 5)) == 2
    assert await states(db, number) == [("queued", None, NOW + 5)] * 2
    assert [await count(db, inbox.id, name) for name in ("Drafts", "Sent")] == [0, 1]
    assert (await show(db, number)).submission.draft is None
    assert [event.state for event in (await show(db, number)).attempts] == ["held", "held", "released", "released"]
    assert await db.write(lambda tx: drafts.release(tx, number, NOW + 6)) == 0
    with pytest.raises(NotFound):
        await db.write(lambda tx: drafts.release(tx, SubmissionId(999_999), NOW))


async def test_cancelled_one_by_one_the_draft_stays_till_the_last(db: Database) -> None:
    inbox = await make_inbox(db)
    number = await draft(db, inbox)
    first, second = await rows(db, number)
    await db.write(lambda tx: queue_admin.cancel(tx, [first], NOW))
    assert (await show(db, number)).submission.draft is not None
    await db.write(lambda tx: queue_admin.cancel(tx, [second], NOW))
    assert (await show(db, number)).submission.draft is None
    assert await count(db, inbox.id, "Drafts") == 1, "an ordinary draft"


async def test_what_a_backup_calls_scheduled_waits_for_somebody(db: Database) -> None:
    """It may have been sent since: it is held as all that was open, and released as a draft is."""
    inbox = await make_inbox(db)
    number = await draft(db, inbox, reason="scheduled", at=NOW + 60)
    approval = await draft(db, inbox)
    assert await states(db, number) == [("held", "scheduled", NOW + 60)] * 2
    await db.write(lambda tx: queue_admin.hold_everything(tx, NOW))
    assert await states(db, number) == [("held", "restore", None)] * 2
    assert await states(db, approval) == [("held", "approval", None)] * 2
    assert await db.read(lambda rx: drafts.due(rx, NOW + 100, 10)) == []
    assert await db.write(lambda tx: drafts.release(tx, number, NOW + 100)) == 2
    assert [await count(db, inbox.id, name) for name in ("Drafts", "Sent")] == [1, 1]


async def test_what_is_due_and_who_may_still_send(db: Database) -> None:
    inbox = await make_inbox(db)

    def make(tx: Tx) -> keys.KeyRow:
        return keys.insert_key(
            tx, key_id="k", hash="", name="", scope=ScopeKind.INBOX, permissions=expand(["send"]), now=NOW,
            inbox_id=inbox.id, expires_at=NOW + 1_000,
        )

    key = await db.write(make)
    late = await draft(db, inbox, reason="scheduled", at=NOW + 2_000, key=key.id)
    soon = await draft(db, inbox, reason="scheduled", at=NOW + 60, key=key.id)
    nobodys = await draft(db, inbox, reason="scheduled", at=NOW + 61)
    await draft(db, inbox, at=NOW + 1)  # for consent: no time lets it go
    assert await db.read(drafts.next_due) == NOW + 60
    assert await db.read(lambda rx: drafts.due(rx, NOW + 59, 10)) == []
    assert [number for number, _ in await db.read(lambda rx: drafts.due(rx, NOW + 61, 10))] == [soon, nobodys]
    assert await db.write(lambda tx: drafts.send_due(tx, soon, NOW + 61)) is True
    assert await db.write(lambda tx: drafts.send_due(tx, soon, NOW + 61)) is True, "another process was faster"
    assert await db.write(lambda tx: drafts.send_due(tx, nobodys, NOW + 61)) is False
    assert await db.write(lambda tx: drafts.send_due(tx, late, NOW + 2_000)) is False, "its key has expired"
    assert {state for state, _, _ in await states(db, soon)} == {"queued"}
    for number in (nobodys, late):
        assert {state for state, _, _ in await states(db, number)} == {"cancelled"}
    box = await db.read(lambda rx: mailboxes.by_name(rx, inbox.id, "Drafts"))
    assert box is not None
    assert await db.read(drafts.next_due) is None
    assert holds.FAILED in (await db.read(lambda rx: mailboxes.keywords(rx, box.id))).values()


async def test_an_inbox_that_is_deleted_cancels_what_waits(db: Database) -> None:
    inbox = await make_inbox(db)
    number = await draft(db, inbox, reason="scheduled", at=NOW + 60)
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW), inboxes=(inbox.id,))
    assert {state for state, _, _ in await states(db, number)} == {"cancelled"}
    assert await db.read(lambda rx: drafts.due(rx, NOW + 60, 10)) == []


async def test_outbox_is_made_once_and_never_beyond_a_limit(db: Database) -> None:
    inbox = await make_inbox(db)
    await db.write(lambda tx: set_limits(tx, inbox.id, Limits(mailboxes=5)))
    await db.write(lambda tx: drafts.make_outbox(tx, inbox.id, NOW))
    assert await db.read(lambda rx: mailboxes.by_name(rx, inbox.id, drafts.OUTBOX)) is None
    await db.write(lambda tx: set_limits(tx, inbox.id, Limits()))
    for _ in range(2):
        await db.write(lambda tx: drafts.make_outbox(tx, inbox.id, NOW))
    assert drafts.OUTBOX in await db.read(lambda rx: mailboxes.subscriptions(rx, inbox.id))


async def test_counters_roll_from_period_to_period(db: Database) -> None:
    start = NOW - NOW % 3_600

    async def add(more: int, now: int) -> Sent:
        return await db.write(lambda tx: rates.add(tx, "k1", 3_600, more, now))

    assert await add(2, start + 10) == Sent(start, 2, 0)
    assert await add(3, start + 20) == Sent(start, 5, 0)
    assert await db.read(lambda rx: rates.sent(rx, "k1", 3_600, start + 3_600)) == Sent(start + 3_600, 0, 5)
    assert await add(1, start + 3_600) == Sent(start + 3_600, 1, 5)
    assert await add(1, start + 3 * 3_600) == Sent(start + 3 * 3_600, 1, 0)
    back = start - 3_600
    assert await db.read(lambda rx: rates.sent(rx, "k1", 3_600, back)) == Sent(back, 0, 0), "a clock set back"
    assert await db.read(lambda rx: rates.sent(rx, "k2", 3_600, start)) == Sent(start, 0, 0)
    assert await db.read(lambda rx: rates.outdated(rx, start + 5 * 3_600 - 1, 10)) == []
    [old] = await db.read(lambda rx: rates.outdated(rx, start + 5 * 3_600, 10))
    assert await db.write(lambda tx: rates.forget(tx, [old], start + 5 * 3_600)) == 1


async def test_counters_of_many_at_once_are_exact(db: Database) -> None:
    async def add() -> int:
        return (await db.write(lambda tx: rates.add(tx, "i1", 86_400, 1, NOW))).count

    assert sorted(await asyncio.gather(*(add() for _ in range(40)))) == list(range(1, 41))


async def test_a_digest_has_one_owner(db: Database) -> None:
    inbox = await make_inbox(db)
    wanted = [bytes([number]) * 32 for number in range(5)]

    async def take(trace: str, digests: list[bytes], now: int = NOW) -> set[bytes]:
        attempt = Attempt(inbox.id, b"m", trace, now - 3_600, now)
        return await db.write(lambda tx: once.take(tx, attempt, digests))

    found = await asyncio.gather(*(take(f"t{number}", wanted[number % 2 :]) for number in range(10)))
    assert sorted(digest for taken in found for digest in taken) == wanted
    assert await take("later", wanted, NOW + 3_599) == set()
    assert await take("later", wanted, NOW + 3_600) == set(wanted)
    assert await take("later still", wanted, NOW + 3_601) == set()


async def test_a_mailbox_for_drafts_without_its_use_gets_it_back(db: Database) -> None:
    inbox = await make_inbox(db)

    def unit(tx: Tx) -> tuple[InboxId, bool]:
        mailboxes.set_role(tx, inbox.id, "Drafts", None)
        place = drafts.place(tx, inbox.id, NOW)
        found = mailboxes.by_role(tx, inbox.id, DRAFTS)
        return inbox.id, found is not None and found.id == place

    assert (await db.write(unit))[1]
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "Drafts", now=NOW))
    await db.write(lambda tx: drafts.place(tx, inbox.id, NOW))
    assert await count(db, inbox.id, "Drafts") == 0


async def test_a_draft_whose_copy_has_no_place_does_not_stop_the_others(db: Database) -> None:
    """No Sent and no room for one: it goes without. A Sent that takes no keyword more: it fails, and says so."""
    inbox = await make_inbox(db)
    key = await db.write(
        lambda tx: keys.insert_key(
            tx, key_id="k", hash="", name="", scope=ScopeKind.INBOX, permissions=expand(["send"]), now=NOW,
            inbox_id=inbox.id,
        )
    )
    bad = await draft(db, inbox, reason="scheduled", at=NOW + 1, key=key.id)

    def crowd(tx: Tx) -> None:
        boxes = [mailboxes.by_name(tx, inbox.id, name) for name in ("Sent", "Drafts")]
        assert boxes[0] is not None
        assert boxes[1] is not None
        for number in range(58):
            messages.flag_mask(tx, boxes[0].id, (f"k{number}",))
        messages.store_flags(tx, inbox.id, boxes[1].id, [1], "add", 0, ("Own",))

    await db.write(crowd, inboxes=(inbox.id,))
    good = await draft(db, inbox, reason="scheduled", at=NOW + 2, key=key.id)
    assert await Scheduler(db, lambda: NOW + 3.0).send_due() == 2
    assert {state for state, _, _ in await states(db, bad)} == {"cancelled"}
    assert {state for state, _, _ in await states(db, good)} == {"queued"}
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "Sent", now=NOW))
    await db.write(lambda tx: set_limits(tx, inbox.id, Limits(mailboxes=4)))
    last = await draft(db, inbox, reason="scheduled", at=NOW + 3, key=key.id)
    assert await Scheduler(db, lambda: NOW + 3.0).send_due() == 1
    assert {state for state, _, _ in await states(db, last)} == {"queued"}
