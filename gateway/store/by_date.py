"""Messages newest first: rows of one mailbox or of several, by arrival and content, from a place on.

The order is (INTERNALDATE, content id): both never change, and copies of a message bear the same, so a place in it
stays one while messages come, go and are moved. Each mailbox has it as an index; several are merged.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.model.ids import ContentId, MailboxId

from .db import Rx
from .statements import Stmt

FEW: Final = 8
"""Mailboxes that are read at once; of more, those are looked for first that have the newest messages."""
END: Final = (2**62, 0)
"""Behind each place: nothing is newer."""

Point = tuple[int, int]
"""(INTERNALDATE, content id)"""


class Row(NamedTuple):
    """A message in a mailbox. `flags` is 0 where nobody asked for it."""

    internal_date: int
    content_id: ContentId
    mailbox_id: MailboxId
    uid: int
    email_id: str
    thread_id: str
    flags: int

    @property
    def point(self) -> Point:
        return self.internal_date, self.content_id


_WHERE: Final = (
    "m.mailbox_id = :mailbox AND (m.internal_date, m.content_id) <= (:date, :content) AND m.internal_date >= :since"
    " ORDER BY m.internal_date DESC, m.content_id DESC LIMIT :most"
)
_COLUMNS: Final = "m.internal_date, m.content_id, m.mailbox_id, m.uid, m.email_id, m.thread_id"
_ROWS = Stmt(f"SELECT {_COLUMNS}, 0 FROM message m WHERE {_WHERE}")
_FLAGGED = Stmt(
    f"SELECT {_COLUMNS}, (SELECT f.flags FROM message_flags f WHERE f.mailbox_id = m.mailbox_id AND f.uid = m.uid)"
    f" FROM message m WHERE {_WHERE}"
)
_HEAD: Final = (
    "(SELECT m.internal_date FROM message m WHERE m.mailbox_id = {box}"
    " AND (m.internal_date, m.content_id) <= (:date, :content) AND m.internal_date >= :since"
    " ORDER BY m.internal_date DESC, m.content_id DESC LIMIT 1)"
)
_HEADS = Stmt(
    sqlite=f"SELECT b.value, {_HEAD.format(box='b.value')} FROM json_each(:mailboxes) AS b",
    postgresql=f"SELECT b.id, {_HEAD.format(box='b.id')} FROM unnest(CAST(:mailboxes AS bigint[])) AS b (id)",
)


def older(
    rx: Rx, mailboxes: Sequence[MailboxId], point: Point, since: int, most: int, *, flags: bool = False
) -> list[Row]:
    """Up to `most` rows at `point` or before it, newest first, none of them from before `since`.

    Rows of one point stand next to each other, in no order, and may be cut off: ask from that point again for more.
    """
    if len(mailboxes) > FEW:
        mailboxes = _newest(rx, mailboxes, point, since, most)
    runs = [_rows(rx, mailbox, point, since, most, flags) for mailbox in mailboxes]
    if len(runs) == 1:
        return runs[0]
    merged = heapq.merge(*runs, key=lambda row: (-row[0], -row[1]))
    return [row for row, _ in zip(merged, range(most), strict=False)]


def _rows(rx: Rx, mailbox: MailboxId, point: Point, since: int, most: int, flags: bool) -> list[Row]:
    statement = _FLAGGED if flags else _ROWS
    found = rx.all(statement, mailbox=mailbox, date=point[0], content=point[1], since=since, most=most)
    return [Row._make(row) for row in found]


def _newest(rx: Rx, mailboxes: Sequence[MailboxId], point: Point, since: int, most: int) -> list[MailboxId]:
    """Those that can have one of the first `most` rows: no more than that, where their newest differ in time."""
    heads = [
        (date, mailbox)
        for mailbox, date in rx.all(_HEADS, mailboxes=list(mailboxes), date=point[0], content=point[1], since=since)
        if date is not None
    ]
    if len(heads) > most:
        bound = heapq.nlargest(most, heads)[-1][0]
        heads = [head for head in heads if head[0] >= bound]
    return [mailbox for _, mailbox in heads]
