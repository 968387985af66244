"""Messages by arrival, from either end: rows of one mailbox or of several, by date and content, from a place on.

The order is (INTERNALDATE, content id): both never change, and copies of a message bear the same, so a place in it
stays one while messages come, go and are moved. Each mailbox has it as an index; several are merged.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from gateway.model.ids import ContentId, MailboxId

from .db import Rx
from .statements import Stmt

FEW: Final = 8
"""Mailboxes that are read at once; of more, those are looked for first that have the newest messages."""
AT_FIRST: Final = 16
"""Rows of each of several mailboxes that are read before it is known which of them has the most."""
NEWEST: Final = (2**62, 0)
OLDEST: Final = (-(2**62), 0)
"""Beyond each place at either end."""

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


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where to look: from the point `first` on, towards newer ones if `rising`, and not beyond the time `last`."""

    first: Point
    last: int
    rising: bool = False


_COLUMNS: Final = "m.internal_date, m.content_id, m.mailbox_id, m.uid, m.email_id, m.thread_id"
_FLAGS: Final = "(SELECT f.flags FROM message_flags f WHERE f.mailbox_id = m.mailbox_id AND f.uid = m.uid)"


def _where(mailbox: str, rising: bool) -> str:
    sign, end, order = (">=", "<=", "") if rising else ("<=", ">=", " DESC")
    return (
        f"m.mailbox_id = {mailbox} AND (m.internal_date, m.content_id) {sign} (:date, :content)"
        f" AND m.internal_date {end} :last ORDER BY m.internal_date{order}, m.content_id{order} LIMIT"
    )


def _head(mailbox: str, rising: bool) -> str:
    return f"(SELECT m.internal_date FROM message m WHERE {_where(mailbox, rising)} 1)"


_ROWS: Final = {
    (rising, flags): Stmt(
        f"SELECT {_COLUMNS}, {_FLAGS if flags else '0'} FROM message m WHERE {_where(':mailbox', rising)} :most"
    )
    for rising in (False, True)
    for flags in (False, True)
}
_HEADS: Final = {
    rising: Stmt(
        sqlite=f"SELECT b.value, {_head('b.value', rising)} FROM json_each(:mailboxes) AS b",
        postgresql=f"SELECT b.id, {_head('b.id', rising)} FROM unnest(CAST(:mailboxes AS bigint[])) AS b (id)",
    )
    for rising in (False, True)
}


def walk(
    rx: Rx, mailboxes: Sequence[MailboxId], stretch: Stretch, most: int, *, flags: bool = False
) -> list[Row]:
    """The first `most` rows of a stretch, in its order.

    Rows of one point stand next to each other, in no order, and may be cut off: ask from that point again for more.
    """
    if len(mailboxes) > FEW:
        mailboxes = _ahead(rx, mailboxes, stretch, most)
    if len(mailboxes) == 1:
        return _rows(rx, mailboxes[0], stretch, most, flags)
    runs = [_run(rx, mailbox, stretch, most, flags) for mailbox in mailboxes]
    return list(islice(heapq.merge(*runs, key=_point, reverse=not stretch.rising), most))


def _run(rx: Rx, mailbox: MailboxId, stretch: Stretch, most: int, flags: bool) -> Iterator[Row]:
    """The rows of one mailbox, read as they are asked for: of many mailboxes most give few of the first rows."""
    page = min(AT_FIRST, most)
    told: frozenset[int] = frozenset()
    while True:
        rows = _rows(rx, mailbox, stretch, page, flags)
        fresh = [row for row in rows if row.uid not in told]
        yield from fresh
        if len(rows) < page:
            return
        # From that point again, which may have more rows: without those that were told.
        last = rows[-1].point
        here = frozenset(row.uid for row in rows if row.point == last)
        told = told | here if last == stretch.first else here
        stretch = Stretch(last, stretch.last, stretch.rising)
        page = max(min(page * 4, most), len(told) + 1 if fresh else page * 4)


def _rows(rx: Rx, mailbox: MailboxId, stretch: Stretch, most: int, flags: bool) -> list[Row]:
    date, content = stretch.first
    found = rx.all(
        _ROWS[stretch.rising, flags], mailbox=mailbox, date=date, content=content, last=stretch.last, most=most
    )
    return [Row._make(row) for row in found]


def _ahead(rx: Rx, mailboxes: Sequence[MailboxId], stretch: Stretch, most: int) -> list[MailboxId]:
    """Those that can have one of the first `most` rows: no more than that, where their first ones differ in time."""
    date, content = stretch.first
    rows = rx.all(_HEADS[stretch.rising], mailboxes=list(mailboxes), date=date, content=content, last=stretch.last)
    heads = [(first, mailbox) for mailbox, first in rows if first is not None]
    if len(heads) > most:
        if stretch.rising:
            bound = heapq.nsmallest(most, heads)[-1][0]
            heads = [head for head in heads if head[0] <= bound]
        else:
            bound = heapq.nlargest(most, heads)[-1][0]
            heads = [head for head in heads if head[0] >= bound]
    return [mailbox for _, mailbox in heads]


def _point(row: Row) -> Point:
    return row.point
