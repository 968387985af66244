"""The delivery queue as people see it and change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import InboxId, SubmissionId
from gateway.store import queue_admin, queue_list
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import inbox_by_id
from gateway.store.queue import OPEN, QueueState
from gateway.store.queue_list import Destination, Listed, QueueFilter
from gateway.store.submissions import HERE_LATER

from .accounts import inbox_named, pod_named
from .queue_words import next_of, recipient_json, story, text_of, why
from .registry import Context, Stream, operation
from .values import moment

PAGE: Final = 500  # recipients a transaction
MOST: Final = 10_000_000  # recipients of one command
DESTINATIONS: Final = 50
BY: Final = "the administrator"


@operation("queue.list")
async def queue_list_(
    context: Context,
    stream: Stream,
    *,
    inbox: str | None = None,
    state: str | None = None,
    to: str | None = None,
    sender: str | None = None,
    reason: str | None = None,
    limit: int | None = None,
    pod: str | None = None,
    after: int = 0,
) -> Json:
    """A row a recipient. Without `state`: all that is not done; with one, also what is done and not yet forgotten.

    `after`: only those whose `number` is above it, for the page that follows.
    """

    def query(rx: Rx) -> list[int]:
        wanted = _filter(rx, None, inbox, state, to, sender, reason)
        wanted = replace(wanted, pod_id=None if pod is None else pod_named(rx, pod).id, after=after)
        return queue_list.matching(rx, wanted, limit or MOST)

    numbers = await context.db.read(query)
    rows: list[Json] = []
    names: dict[InboxId, str | None] = {}
    for start in range(0, len(numbers), PAGE):
        page = await context.db.read(_page(numbers[start : start + PAGE], names))
        rows += [_row(context, each, names) for each in page]
    return rows


def _page(numbers: Sequence[int], names: dict[InboxId, str | None]) -> Callable[[Rx], list[Listed]]:
    """The query of one page, which also fills in the names of its inboxes."""

    def query(rx: Rx) -> list[Listed]:
        found = queue_list.listed(rx, numbers)
        for each in found:
            if each.inbox_id not in names:
                inbox = inbox_by_id(rx, each.inbox_id)
                names[each.inbox_id] = inbox.address if inbox is not None else None
        return found

    return query


def _row(context: Context, each: Listed, names: Mapping[InboxId, str | None]) -> dict[str, Json]:
    return {
        "id": each.submission_uuid,
        "number": each.recipient_id,
        "inbox": names.get(each.inbox_id),
        "sender": each.mail_from or "<>",
        "recipient": each.address,
        "state": each.state.value,
        "attempts": each.attempts,
        "next_attempt_at": moment(next_of(each)),
        "hold_reason": each.hold_reason,
        "code": each.code,
        "enhanced": each.enhanced,
        "text": text_of(each.text),
        "why": why(each, context.live_queue, context.now()),
        "created_at": moment(each.created_at),
    }


def _filter(
    rx: Rx,
    submission: str | None,
    inbox: str | None,
    state: str | None,
    to: str | None,
    sender: str | None,
    reason: str | None,
) -> QueueFilter:
    """NotFound, InvalidRequest."""
    if state is not None and state not in {each.value for each in QueueState}:
        raise InvalidRequest(f"A state is one of {', '.join(QueueState)}")
    return QueueFilter(
        submission_id=None if submission is None else _named(rx, submission),
        inbox_id=None if inbox is None else inbox_named(rx, inbox).id,
        states=OPEN if state is None else (QueueState(state),),
        reason=reason,
        to=to,
        sender=sender,
    )


def _named(rx: Rx, name: str) -> SubmissionId:
    """By its own id, or the one that its sender was told."""
    found = queue_admin.submission_by_uuid(rx, name)
    number = found.id if found is not None else queue_list.by_trace(rx, name)
    if number is None:
        raise NotFound(f"The queue has no message {name}")
    return number


@operation("queue.show")
async def queue_show(context: Context, stream: Stream, *, submission: str) -> Json:
    """One submission with its recipients and all that happened, in the order of time."""

    def query(rx: Rx) -> Json:
        entry = queue_admin.show(rx, _named(rx, submission))
        found = entry.submission
        inbox = inbox_by_id(rx, found.inbox_id)
        return {
            "id": found.uuid,
            "inbox": inbox.address if inbox is not None else None,
            "sender": found.mail_from or "<>",
            "message_id": text_of(found.message_id),
            "envelope_id": found.envelope_id,
            "size": found.size,
            "created_at": moment(found.created_at),
            "release_at": moment(found.release_at),
            "finished_at": moment(found.finished_at),
            "recipients": [recipient_json(each) for each in entry.recipients],
            "history": story(entry),
        }

    return await context.db.read(query)


@operation("queue.stats")
async def queue_stats(context: Context, stream: Stream, *, limit: int | None = None) -> Json:
    """Totals, the domains with most open recipients, and how each next hop of the running server stands."""
    now = int(context.now())
    most = DESTINATIONS if limit is None else limit
    totals, domains = await context.db.read(
        lambda rx: (queue_admin.stats(rx, now), queue_list.destinations(rx, now, most))
    )
    return {
        "recipients": sum(totals.states.values()),
        "states": {state.value: totals.states.get(state, 0) for state in OPEN},
        "due": totals.due,
        "oldest_at": moment(totals.oldest),
        "destinations": [_destination(each) for each in domains],
        "next_hops": context.live_queue.next_hops() if context.live_queue is not None else None,
    }


def _destination(each: Destination) -> dict[str, Json]:
    return {
        "domain": "(here)" if each.domain == HERE_LATER else each.domain,
        "recipients": each.recipients,
        "active": each.active,
        "due": each.due,
        "deferred": each.deferred,
        "held": each.held,
        "oldest_at": moment(each.oldest),
        "next_attempt_at": moment(each.next),
        "code": each.code,
        "enhanced": each.enhanced,
        "text": text_of(each.text),
    }


Change = Callable[[Tx, Sequence[int], int, str], int]


async def _change(
    context: Context,
    change: Change,
    submission: str | None,
    inbox: str | None,
    state: str | None,
    to: str | None,
    sender: str | None,
    reason: str | None,
    by: str | None,
    *,
    spare: Sequence[str] = (),
) -> int:
    """Changes what fits, so many recipients a unit; how many.

    What is held for a reason of `spare` only when its message or that reason was named.
    """

    def query(rx: Rx) -> list[int]:
        wanted = _filter(rx, submission, inbox, state, to, sender, reason)
        numbers = queue_list.matching(rx, wanted, MOST)
        if submission is not None or reason is not None:
            return numbers
        held = (QueueFilter(inbox_id=wanted.inbox_id, states=(QueueState.HELD,), reason=each) for each in spare)
        spared = {number for waiting in held for number in queue_list.matching(rx, waiting, MOST)}
        return [number for number in numbers if number not in spared]

    numbers = await context.db.read(query)
    count = 0
    for start in range(0, len(numbers), PAGE):
        page, now = numbers[start : start + PAGE], int(context.now())
        count += await context.db.write(lambda tx: change(tx, page, now, by or BY))  # noqa: B023
    return count


@operation("queue.retry")
async def queue_retry(
    context: Context, stream: Stream, *, submission: str | None = None, inbox: str | None = None,
    state: str | None = None, to: str | None = None, sender: str | None = None, reason: str | None = None,
    by: str | None = None,
) -> Json:  # fmt: skip
    """Make what was deferred, or is held for another reason than consent, due now; how many recipients."""
    return await _change(context, queue_admin.retry, submission, inbox, state, to, sender, reason, by)


@operation("queue.hold")
async def queue_hold(
    context: Context, stream: Stream, *, submission: str | None = None, inbox: str | None = None,
    state: str | None = None, to: str | None = None, sender: str | None = None, reason: str | None = None,
    by: str | None = None,
) -> Json:  # fmt: skip
    """Keep what waits until it is released; how many recipients."""
    return await _change(context, queue_admin.hold, submission, inbox, state, to, sender, reason, by)


@operation("queue.release")
async def queue_release(
    context: Context, stream: Stream, *, submission: str | None = None, inbox: str | None = None,
    state: str | None = None, to: str | None = None, sender: str | None = None, reason: str | None = None,
    by: str | None = None,
) -> Json:  # fmt: skip
    """Let go what is held; how many recipients. What waits for consent or its time only when it is named."""
    named = submission is not None
    held = state if named else (state or QueueState.HELD.value)
    return await _change(
        context, queue_admin.release, submission, inbox, held, to, sender, reason, by, spare=("approval", "scheduled")
    )


@operation("queue.cancel")
async def queue_cancel(
    context: Context, stream: Stream, *, submission: str | None = None, inbox: str | None = None,
    state: str | None = None, to: str | None = None, sender: str | None = None, reason: str | None = None,
    by: str | None = None,
) -> Json:  # fmt: skip
    """Give up what is not being sent this moment, without a bounce; how many recipients."""
    return await _change(context, queue_admin.cancel, submission, inbox, state, to, sender, reason, by)
