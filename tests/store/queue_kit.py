"""What tests of the queue share: a submission, a claim, an outcome, and how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.model.ids import SubmissionId
from gateway.store import content, queue, queue_admin, queue_outcome, submissions
from gateway.store.db import Database, Tx
from gateway.store.inboxes import Inbox
from gateway.store.queue import QueueItem, QueueState
from gateway.store.queue_admin import QueueEntry
from gateway.store.queue_outcome import Result
from tests.support.queue import claim_due

from .helpers import NOW, staged, submission


async def send(
    db: Database, inbox: Inbox, *recipients: str, now: int = NOW, held: str | None = None, **facts: Any
) -> SubmissionId:
    made = staged(b"a: b\r\n\r\nbody")
    new = submission(
        inbox.id, inbox.address, made, recipients, envelope_id="env", smtputf8=True, hold_reason=held, **facts
    )

    def unit(tx: Tx) -> SubmissionId:
        content.complete(tx, made, now)
        return submissions.enqueue(tx, new, now)

    return await db.write(unit)


async def claim(db: Database, now: int = NOW, limit: int = 100, owner: str = "me") -> list[QueueItem]:
    return await db.write(lambda tx: claim_due(tx, now, limit, 60, owner))


def ended(item: QueueItem, state: str, *, at: int | None = None, remote: str | None = None) -> Result:
    return Result(
        item.recipient_id, item.submission_id, QueueState(state), 250, "2.0.0", b"ok \xff", at, remote,
        "outcome" if state == "held" else None,
    )  # fmt: skip


async def settle(
    db: Database, results: Sequence[Result], *, owner: str | None = None, now: int = NOW + 1
) -> set[int]:
    """Numbers of the recipients whose outcome was written."""
    return await db.write(lambda tx: queue_outcome.settle(tx, results, now, owner=owner))


async def end(db: Database, item: QueueItem, state: str, *, at: int | None = None, **options: Any) -> bool:
    """Whether the outcome of one was written."""
    return bool(await settle(db, [ended(item, state, at=at)], **options))


async def show(db: Database, submission_id: SubmissionId) -> QueueEntry:
    return await db.read(lambda rx: queue_admin.show(rx, submission_id))


async def numbers(db: Database, submission_id: SubmissionId) -> list[int]:
    return await db.read(lambda rx: queue.recipients_of(rx, submission_id))


async def states(db: Database, submission_id: SubmissionId) -> list[str]:
    return [str(each.state) for each in (await show(db, submission_id)).recipients]
