"""The delivery queue as people see it and change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import InboxId, SubmissionId
from gateway.store import content, queue_admin
from gateway.store.db import Rx, Tx
from gateway.store.queue import QueueState
from gateway.store.queue_admin import Attempt, QueueEntry, Recipient

from .accounts import inbox_named, inbox_names
from .registry import Context, Stream, operation
from .values import moment

PAGE: Final = 100  # submissions a read transaction


@operation("queue.list")
async def queue_list(
    context: Context, stream: Stream, *, inbox: str | None = None, state: str | None = None
) -> Json:
    """A row a recipient. Without `state`: all that is not done; with one, also what is done and not yet forgotten."""
    if state is not None and state not in {each.value for each in QueueState}:
        raise InvalidRequest(f"A state is one of {', '.join(QueueState)}")
    done = state in {QueueState.SENT, QueueState.BOUNCED, QueueState.CANCELLED}
    rows: list[dict[str, Json]] = []
    after = 0
    while True:
        page, names = await context.db.read(_page(inbox, after, open_only=not done))
        rows += [
            row
            for entry in page
            for recipient in entry.recipients
            if (row := _row(entry, recipient, names))["state"] == state or (state is None and _open(recipient))
        ]
        if len(page) < PAGE:
            return rows
        after = page[-1].submission.id


def _page(
    inbox: str | None, after: int, open_only: bool
) -> Callable[[Rx], tuple[list[QueueEntry], dict[InboxId, str]]]:
    """The query of one page, with the names of all inboxes."""

    def query(rx: Rx) -> tuple[list[QueueEntry], dict[InboxId, str]]:
        inbox_id = inbox_named(rx, inbox).id if inbox is not None else None
        page = queue_admin.submissions(rx, inbox_id=inbox_id, open_only=open_only, after=after, limit=PAGE)
        return page, inbox_names(rx)

    return query


def _open(recipient: Recipient) -> bool:
    return recipient.state not in {QueueState.SENT, QueueState.BOUNCED, QueueState.CANCELLED}


def _row(entry: QueueEntry, recipient: Recipient, names: dict[InboxId, str]) -> dict[str, Json]:
    submission = entry.submission
    return {
        "id": submission.uuid,
        "inbox": names.get(submission.inbox_id),
        "sender": submission.mail_from or "<>",
        "created_at": moment(submission.created_at),
    } | _recipient(recipient)


def _recipient(recipient: Recipient) -> dict[str, Json]:
    return {
        "recipient": recipient.address,
        "state": recipient.state.value,
        "attempts": recipient.attempts,
        "next_attempt_at": moment(recipient.next_attempt) if _open(recipient) else None,
        "code": recipient.code,
        "enhanced": recipient.enhanced,
        "text": _text(recipient.text),
    }


def _text(reply: bytes | None) -> str | None:
    return None if reply is None else reply.decode("utf-8", "replace")


@operation("queue.show")
async def queue_show(context: Context, stream: Stream, *, submission: str) -> Json:
    """One submission with its recipients and each attempt."""

    def query(rx: Rx) -> Json:
        entry = queue_admin.show(rx, _named(rx, submission))
        found = entry.submission
        size = content.content_row(rx, found.content_id).size if content.exists(rx, found.content_id) else None
        return {
            "id": found.uuid,
            "inbox": inbox_names(rx).get(found.inbox_id),
            "sender": found.mail_from or "<>",
            "size": size,
            "created_at": moment(found.created_at),
            "finished_at": moment(found.finished_at),
            "recipients": [
                _recipient(recipient)
                | {"tries": [_attempt(tried) for tried in entry.attempts if tried.recipient_id == recipient.id]}
                for recipient in entry.recipients
            ],
        }

    return await context.db.read(query)


def _attempt(attempt: Attempt) -> dict[str, Json]:
    return {
        "at": moment(attempt.at),
        "state": attempt.state.value,
        "code": attempt.code,
        "enhanced": attempt.enhanced,
        "text": _text(attempt.text),
        "remote": attempt.remote,
    }


def _named(rx: Rx, uuid: str) -> SubmissionId:
    found = queue_admin.submission_by_uuid(rx, uuid)
    if found is None:
        raise NotFound(f"The queue has no message {uuid}")
    return found.id


@operation("queue.retry")
async def queue_retry(context: Context, stream: Stream, *, submission: str | None = None) -> Json:
    """Make what waits, or is held, due now; how many recipients. Without `submission`: everything."""
    now = int(context.now())
    if submission is not None:
        return await context.db.write(lambda tx: queue_admin.retry(tx, _named(tx, submission), now))
    return sum([await context.db.write(_one(queue_admin.retry, each, now)) for each in await _all_open(context)])


@operation("queue.cancel")
async def queue_cancel(context: Context, stream: Stream, *, submission: str | None = None) -> Json:
    """Give up what is not being sent this moment, without a bounce; how many recipients."""
    now = int(context.now())
    if submission is not None:
        return await context.db.write(lambda tx: queue_admin.cancel(tx, _named(tx, submission), now))
    return sum([await context.db.write(_one(queue_admin.cancel, each, now)) for each in await _all_open(context)])


def _one(change: Callable[[Tx, SubmissionId, int], int], submission: SubmissionId, now: int) -> Callable[[Tx], int]:
    return lambda tx: change(tx, submission, now)


async def _all_open(context: Context) -> list[SubmissionId]:
    found: list[SubmissionId] = []
    while True:
        after = found[-1] if found else 0
        page, _ = await context.db.read(_page(None, after, open_only=True))
        found += [entry.submission.id for entry in page]
        if len(page) < PAGE:
            return found
