"""Mail that an account is to send, when the account is switched on again or removed: which mail, and what it says."""

from __future__ import annotations

from gateway.model.ids import InboxId, SubmissionId
from gateway.store import content, queue_account, queue_claim, queue_outcome, submissions
from gateway.store.connectors import accounts, removal
from gateway.store.connectors.accounts import NewConnector
from gateway.store.db import Database, Tx
from gateway.store.queue import QueueState
from gateway.store.queue_outcome import Result

from .helpers import NOW, make_inbox, staged, submission
from .queue_kit import claim, end, show

ACCOUNT = "anna@elsewhere.test"
LATER = NOW + 5_000


async def send(db: Database, inbox: InboxId, sender: str, **facts: object) -> SubmissionId:
    made = staged(b"a: b\r\n\r\nbody")

    def unit(tx: Tx) -> SubmissionId:
        content.complete(tx, made, NOW)
        return submissions.enqueue(tx, submission(inbox, sender, made, ["you@third.test"], **facts), NOW)

    return await db.write(unit)


async def defer(db: Database) -> None:
    """All that is due is tried, and again much later."""
    results = [
        Result(item.recipient_id, item.submission_id, QueueState.DEFERRED, 450, "4.7.0", b"old", LATER)
        for item in await claim(db)
    ]
    await db.write(lambda tx: queue_outcome.settle(tx, results, NOW))


async def test_a_removed_account_s_mail_is_due_and_says_why(db: Database) -> None:
    inbox, other = await make_inbox(db), await make_inbox(db, "bert@here.test")
    mine = [await send(db, inbox.id, sender) for sender in (ACCOUNT, "Anna+lists@ELSEWHERE.test")]
    not_mine = [await send(db, inbox.id, inbox.address), await send(db, other.id, ACCOUNT)]
    await defer(db)
    held = await send(db, inbox.id, ACCOUNT, hold_reason="operator")
    put_off = await send(db, inbox.id, ACCOUNT, release_at=LATER)
    done = await send(db, inbox.id, ACCOUNT)
    [item] = await claim(db)
    assert await end(db, item, "sent")
    row = await db.write(
        lambda tx: accounts.create(tx, NewConnector(inbox.pod_id, "work", ACCOUNT, inbox.id), now=NOW)
    )

    count = await db.write(lambda tx: removal.remove(tx, row.id, now=NOW + 9, sends=True, fallback=True))
    assert count == 4
    due = {one.submission_id: one for one in await db.read(lambda rx: queue_claim.due_page(rx, "deferred", NOW + 9, 9))}
    assert due.keys() == set(mine)
    assert {(one.account_gone, bool(one.gone_fallback)) for one in due.values()} == {("work", True)}
    for number in mine:
        [recipient] = (entry := await show(db, number)).recipients
        assert (recipient.code, recipient.text) == (None, b"Account work, which was to send it, was removed")
        assert [attempt.state for attempt in entry.attempts] == ["deferred", "account gone"]
    for number in not_mine:
        [recipient] = (entry := await show(db, number)).recipients
        assert (recipient.next_attempt, recipient.text, len(entry.attempts)) == (LATER, b"old", 1)
    for number, state, at in ((held, "held", None), (put_off, "queued", LATER), (done, "sent", None)):
        [recipient] = (await show(db, number)).recipients
        assert (recipient.state, recipient.next_attempt) == (state, at)
    items = await claim(db, now=LATER)
    assert {(item.account_gone, item.gone_fallback) for item in items if item.submission_id == put_off} == {
        ("work", True)
    }
    assert {item.account_gone for item in items if item.submission_id in not_mine} == {None}


async def test_an_account_that_only_receives_leaves_the_queue_alone(db: Database) -> None:
    inbox = await make_inbox(db)
    number = await send(db, inbox.id, ACCOUNT)
    row = await db.write(
        lambda tx: accounts.create(tx, NewConnector(inbox.pod_id, "work", ACCOUNT, inbox.id), now=NOW)
    )
    assert await db.write(lambda tx: removal.remove(tx, row.id, now=NOW)) == 0
    assert not (await show(db, number)).attempts


async def test_what_waited_for_an_account_is_due_when_it_is_switched_on(db: Database) -> None:
    inbox = await make_inbox(db)
    mine, other = await send(db, inbox.id, ACCOUNT), await send(db, inbox.id, inbox.address)
    await defer(db)
    row = await db.write(
        lambda tx: accounts.create(tx, NewConnector(inbox.pod_id, "work", ACCOUNT, inbox.id, enabled=False), now=NOW)
    )
    await db.write(lambda tx: accounts.set_enabled(tx, row.id, False, now=NOW + 1))
    assert {(await show(db, number)).recipients[0].next_attempt for number in (mine, other)} == {LATER}
    await db.write(lambda tx: accounts.set_enabled(tx, row.id, True, now=NOW + 2))
    assert [(await show(db, number)).recipients[0].next_attempt for number in (mine, other)] == [NOW + 2, LATER]
    await db.write(lambda tx: queue_account.account_back(tx, inbox.id, ACCOUNT, NOW + 1))
    assert (await show(db, mine)).recipients[0].next_attempt == NOW + 1
