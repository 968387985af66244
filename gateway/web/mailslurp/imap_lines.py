"""Messages of the mailbox INBOX by numbers, UIDs, flags and dates, as IMAP counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.access.caller import Caller
from gateway.access.sight import glimpse_of, readable_inbox
from gateway.model import sequence
from gateway.model.errors import InvalidRequest
from gateway.model.flags import SEEN
from gateway.model.ids import MailboxId
from gateway.model.sequence import Ranges, SequenceSet
from gateway.store import messages
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.rows import Columns
from gateway.wire.tokens import Cursor, Malformed

INBOX: Final = "INBOX"
MANY: Final = 50_000
"""Messages of a mailbox from which on it is looked at by IMAP alone."""
_PIECE: Final = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One message: its number and UID, flags as a mask, EMAILID and INTERNALDATE."""

    seq: int
    uid: int
    flags: int
    email_id: str
    date: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """All of it must hold. `flags`, `without`: masks; `since`, `before`: INTERNALDATE; `most`: the first ones alone."""

    uids: SequenceSet | None = None
    numbers: SequenceSet | None = None
    flags: int = 0
    without: int = 0
    since: int | None = None
    before: int | None = None
    email_id: str | None = None
    most: int | None = None


def set_of(text: str | None, name: str) -> SequenceSet | None:
    """RFC 3501 9, sequence-set; blanks are nothing. InvalidRequest calls it `name`."""
    if text is None:
        return None
    cursor = Cursor(text.replace(" ", "").encode())
    try:
        found = cursor.sequence_set()
        cursor.end()
    except Malformed:
        raise InvalidRequest(f"{name} is no set such as 1:5,8,10:*") from None
    return found


def positions(uids: Sequence[int], wanted: Wanted) -> Ranges:
    """Which of these UIDs, that rise, are meant, the first at 1. Pure; as long as both together, not their product."""
    found: Ranges = ((1, len(uids)),) if uids else ()
    if wanted.uids is not None:
        ranges = wanted.uids.resolve(uids[-1] if uids else 0)
        found = tuple((start + 1, stop) for start, stop in sequence.select(ranges, uids))
    if wanted.numbers is not None:
        found = sequence.intersect(found, wanted.numbers.resolve(len(uids)))
    return found


def first_unseen(rx: Rx, mailbox: MailboxId, page: int = messages.LOAD_PAGE) -> int:
    """The number of the first message without \\Seen, 0 where there is none."""
    before = after = 0
    while rows := messages.load(rx, mailbox, after, page):
        for number, (_, mask, _) in enumerate(rows, before + 1):
            if not mask & SEEN:
                return number
        before, after = before + len(rows), rows[-1][0]
    return 0


def lines(rx: Rx, who: Caller, inbox: Inbox, wanted: Wanted) -> list[Line]:
    """A job of a reader process. InvalidRequest: the mailbox has more than MANY messages."""
    number = MailboxId(glimpse_of(rx, who, readable_inbox(rx, who, inbox.uuid), INBOX).mailbox(INBOX).id)
    rows: list[tuple[int, int, int]] = []
    while page := messages.load(rx, number, rows[-1][0] if rows else 0):
        rows += page
        if len(rows) > MANY:
            raise InvalidRequest(f"The mailbox has more than {MANY} messages: use IMAP itself")
    meant = {
        rows[at - 1][0]: (at, rows[at - 1][1])
        for at in sequence.numbers_of(positions([uid for uid, _, _ in rows], wanted))
        if rows[at - 1][1] & wanted.flags == wanted.flags and not rows[at - 1][1] & wanted.without
    }
    uids, found = list(meant), list[Line]()
    for start in range(0, len(uids), _PIECE):
        some = uids[start : start + _PIECE]
        for uid, date, email_id in messages.fetch_rows(rx, number, some, Columns.EMAIL_ID | Columns.INTERNAL_DATE):
            if _within(wanted, date) and wanted.email_id in (None, email_id):
                found.append(Line(meant[uid][0], uid, meant[uid][1], email_id, date))
        if wanted.most is not None and len(found) >= wanted.most:
            return found[: wanted.most]
    return found


def _within(wanted: Wanted, date: int) -> bool:
    return (wanted.since is None or date >= wanted.since) and (wanted.before is None or date < wanted.before)
