"""Which events lie behind a place of the log: from each kind of row a bounded page, cut where all of them are whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from gateway.store import event_rows
from gateway.store.changes import ChangeKind
from gateway.store.db import Rx
from gateway.store.event_rows import LogInbox, LogMailbox, Message, Record, Submitted

from .events_place import Place, whole

WIDE: Final = 30_000
"""Records that one unit may leave: a tree of mailboxes is renamed at once."""


class Rank(IntEnum):
    """Kinds of events of one MODSEQ, in the order in which they make sense."""

    MAILBOX = 1
    ARRIVED = 2
    FLAGS = 3
    DELETED = 4
    MAILBOX_GONE = 5
    SENT = 6
    HERE = 7
    ATTEMPTED = 8


@dataclass(slots=True)
class Found:
    """`items`: by place, the row that each is about: a Message or a Record."""

    items: list[tuple[Place, Any]]
    end: Place
    more: bool
    mailboxes: dict[int, LogMailbox] = field(default_factory=dict)
    records: Sequence[Record] = ()
    submissions: dict[int, Submitted] = field(default_factory=dict)


def collect(rx: Rx, inbox: LogInbox, after: Place, most: int) -> Found | None:
    """None when the log does not reach back to `after`."""
    if event_rows.forgotten_since(rx, inbox.id, after.modseq):
        return None
    changed = event_rows.changed_mailboxes(rx, inbox.id, after.first)
    if any(mailbox.pruned_modseq >= after.first for mailbox in changed):
        return None
    records, upto = _records(rx, inbox, after, most)
    bounds: list[Place] = [whole(upto)]
    items: list[tuple[Place, Any]] = []

    def take(found: list[tuple[Place, Any]], *, limited: bool = True) -> None:
        if limited and len(found) >= most:
            bounds.append(found[-1][0])
        items.extend(found)

    for mailbox in changed:
        take(_arrived(rx, mailbox, after, upto, most))
        take(_flagged(rx, mailbox, after, upto, most))
    for record in records:
        if record.modseq <= upto:
            take(_recorded(record, after, most))
    sent = [record for record in records if record.kind == ChangeKind.SUBMITTED and record.modseq <= upto]
    numbers = [number for record in sent for number in event_rows.numbers(record.uids)]
    submissions = event_rows.submitted(rx, inbox.id, numbers)
    for record in sent:
        take(_delivered_here(record, submissions), limited=False)
    bound = min(bounds)
    items = sorted((item for item in items if after < item[0] <= bound), key=lambda item: item[0])
    cut = len(items) > most
    items = items[:most]
    end = items[-1][0] if cut else bound
    mailboxes: dict[int, LogMailbox] = {mailbox.id: mailbox for mailbox in changed}
    missing = {record.mailbox_id for record in records if record.mailbox_id} - mailboxes.keys()
    mailboxes |= event_rows.named_mailboxes(rx, inbox.id, sorted(missing))
    return Found(items, end, end < whole(inbox.modseq), mailboxes, records, submissions)


def _records(rx: Rx, inbox: LogInbox, after: Place, most: int) -> tuple[list[Record], int]:
    """Records from the next MODSEQ on, and the MODSEQ up to which they are whole."""
    for limit in (most, WIDE):
        records = event_rows.records(rx, inbox.id, after.first, limit + 1)
        if len(records) <= limit:
            return records, inbox.modseq
        if records[-1].modseq > after.first:
            return records, records[-1].modseq - 1
    return records, records[-1].modseq  # no unit leaves so many


def _since(after: Place, rank: Rank, mailbox_id: int) -> tuple[int, int]:
    """(MODSEQ, UID behind which it begins) for rows of one kind in one mailbox."""
    if after[1:3] == (rank, mailbox_id):
        return after.modseq, after.number
    if after[1:3] > (rank, mailbox_id):
        return after.modseq + 1, 0
    return after.modseq, 0


def _arrived(rx: Rx, mailbox: LogMailbox, after: Place, upto: int, most: int) -> list[tuple[Place, Any]]:
    modseq, uid = _since(after, Rank.ARRIVED, mailbox.id)
    rows: list[Message] = event_rows.arrivals(rx, mailbox.id, max(modseq, 1), uid, upto, most)
    return [(Place(row.arrived, Rank.ARRIVED, mailbox.id, row.uid), row) for row in rows]


def _flagged(rx: Rx, mailbox: LogMailbox, after: Place, upto: int, most: int) -> list[tuple[Place, Any]]:
    modseq, uid = _since(after, Rank.FLAGS, mailbox.id)
    rows = event_rows.flagged(rx, mailbox, max(modseq, 1), uid, upto, most)
    return [(Place(row.modseq, Rank.FLAGS, mailbox.id, row.uid), row) for row in rows]


def _delivered_here(record: Record, submissions: dict[int, Submitted]) -> list[tuple[Place, Any]]:
    return [
        (Place(record.modseq, Rank.HERE, submission, number), record)
        for submission in event_rows.numbers(record.uids)
        if submission in submissions
        for number, _ in submissions[submission].here
    ]


def _recorded(record: Record, after: Place, most: int) -> list[tuple[Place, Any]]:
    modseq, mailbox_id = record.modseq, record.mailbox_id
    match record.kind:
        case ChangeKind.EXPUNGED:
            first, uid = _since(after, Rank.DELETED, mailbox_id)
            if modseq < first:
                return []
            uids = event_rows.numbers(record.uids, uid if modseq == first else 0, most)
            return [(Place(modseq, Rank.DELETED, mailbox_id, each), record) for each in uids]
        case ChangeKind.CREATED:
            return [(Place(modseq, Rank.MAILBOX, mailbox_id, 1), record)]
        case ChangeKind.RENAMED:
            return [(Place(modseq, Rank.MAILBOX, mailbox_id, 2), record)] if record.detail else []
        case ChangeKind.DELETED:
            return [(Place(modseq, Rank.MAILBOX_GONE, mailbox_id, 1), record)] if record.detail else []
        case ChangeKind.SUBMITTED:
            return [(Place(modseq, Rank.SENT, 0, each), record) for each in event_rows.numbers(record.uids)]
        case ChangeKind.ATTEMPTED:
            return [(Place(modseq, Rank.ATTEMPTED, 0, each), record) for each in event_rows.numbers(record.uids)]
    return []
