"""What the change log of an inbox says, row by row: reads for `access/events`, each bounded and by a key.

A *place* in the log is (MODSEQ, rank, mailbox, number); what comes behind a place is asked for a page at a time, and
each kind of row is asked for by itself. Arrivals need no index by MODSEQ: in a mailbox it rises with the UID, so that
the first new one is found from the end, or by halving.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from gateway.model.ids import InboxId, MailboxId
from gateway.model.sequence import normalise

from . import flag_record
from .db import Rx
from .flag_record import ranges_in
from .statements import Stmt
from .submissions import HERE_LATER

SHORT_ENVELOPE: Final = 16_384
_NEAR: Final = 16  # messages from the end of a mailbox that are looked at before it is halved
_REST: Final = (1 << 62) - 1

_INBOX = Stmt(
    "SELECT i.id, i.uuid, a.address, i.epoch, i.modseq FROM inbox i"
    " JOIN address a ON a.inbox_id = i.id AND a.kind = 'primary' WHERE i.id = :inbox AND i.deleted_at IS NULL"
)
_CHANGED = Stmt(
    "SELECT id, name, role, object_id, uidvalidity, highest_modseq, pruned_modseq, flag_record, flag_floor"
    " FROM mailbox WHERE inbox_id = :inbox AND highest_modseq >= :modseq ORDER BY id"
)
_NAMED = Stmt(
    "SELECT id, name, role, object_id, uidvalidity, highest_modseq, pruned_modseq, flag_record, flag_floor"
    " FROM mailbox WHERE inbox_id = :inbox AND id IN :LIST(mailboxes)"
)
_RECORDS = Stmt(
    "SELECT modseq, mailbox_id, kind, uids, detail FROM change WHERE inbox_id = :inbox AND modseq >= :modseq"
    " ORDER BY modseq, mailbox_id, kind LIMIT :most"
)
_FORGOTTEN = Stmt(
    "SELECT max(modseq) FROM change WHERE inbox_id = :inbox AND modseq > :modseq AND kind = 'forgotten'"
)
_WHAT: Final = "m.uid, m.arrived, m.came, m.email_id, m.thread_id, m.size, m.content_id, m.save_date"
_TABLES: Final = ("message", "expunged")
_ENDS = {
    table: Stmt(f"SELECT uid, arrived FROM {table} WHERE mailbox_id = :mailbox ORDER BY uid DESC LIMIT :most")
    for table in _TABLES
}
_AT = {
    table: Stmt(
        f"SELECT uid, arrived FROM {table} WHERE mailbox_id = :mailbox AND uid >= :uid ORDER BY uid LIMIT 1"
    )
    for table in _TABLES
}
_FROM = {
    table: Stmt(
        f"SELECT {_WHAT} FROM {table} AS m WHERE m.mailbox_id = :mailbox AND m.uid >= :uid AND m.arrived <= :upto"
        " ORDER BY m.uid LIMIT :most"
    )
    for table in _TABLES
}
_FIRST_UID = {
    table: Stmt(f"SELECT uid FROM {table} WHERE mailbox_id = :mailbox ORDER BY uid LIMIT 1") for table in _TABLES
}
_FLAGGED = Stmt(
    f"SELECT {_WHAT}, f.flags, f.modseq FROM message_flags AS f JOIN message AS m ON m.mailbox_id = f.mailbox_id"
    " AND m.uid = f.uid WHERE f.mailbox_id = :mailbox AND f.uid BETWEEN :low AND :high AND f.modseq = :modseq"
    " AND m.arrived <> f.modseq ORDER BY f.uid LIMIT :most"
)
_FLAGGED_BEFORE = Stmt(
    f"SELECT {_WHAT}, f.flags, f.modseq FROM message_flags AS f JOIN message AS m ON m.mailbox_id = f.mailbox_id"
    " AND m.uid = f.uid WHERE f.mailbox_id = :mailbox AND f.modseq <= :floor AND m.arrived <> f.modseq"
    " AND (f.modseq > :modseq OR (f.modseq = :modseq AND f.uid > :uid)) ORDER BY f.modseq, f.uid LIMIT :most"
)
_GONE = Stmt(
    f"SELECT {_WHAT} FROM expunged AS m WHERE m.mailbox_id = :mailbox AND m.uid IN :LIST(uids)"
    " AND m.email_id IS NOT NULL ORDER BY m.uid"
)
_ENVELOPES = Stmt(
    f"SELECT id, CASE WHEN length(envelope) <= {SHORT_ENVELOPE} THEN envelope END FROM content_fetch"
    " WHERE id IN :LIST(contents)"
)
_SUBMISSIONS = Stmt(
    "SELECT id, uuid, mail_from, message_id, size, created_at FROM submission WHERE id IN :LIST(rows)"
    " AND inbox_id = :inbox"
)
_RECIPIENTS = Stmt(
    "SELECT submission_id, id, address, state = 'sent' AND attempts = 0 AND domain <> :waited FROM queue_recipient"
    " WHERE submission_id IN :LIST(rows) ORDER BY submission_id, id"
)
_ATTEMPTS = Stmt(
    "SELECT a.id, a.at, a.state, a.code, a.enhanced, a.text, a.remote, r.address, s.uuid, s.message_id, s.mail_from,"
    " a.state = 'sent' AND r.domain = :waited"
    " FROM queue_attempt a JOIN queue_recipient r ON r.id = a.recipient_id JOIN submission s ON s.id = r.submission_id"
    " WHERE a.id IN :LIST(rows) AND +r.inbox_id = :inbox"  # `+`: by the attempts, not through all recipients
)


@dataclass(frozen=True, slots=True)
class LogInbox:
    id: InboxId
    uuid: str
    address: str
    epoch: str
    modseq: int


@dataclass(frozen=True, slots=True)
class LogMailbox:
    id: MailboxId
    name: str
    role: str | None
    object_id: str
    uidvalidity: int
    highest_modseq: int
    pruned_modseq: int
    flag_record: str
    flag_floor: int


@dataclass(frozen=True, slots=True)
class Record:
    """A row of `change`."""

    modseq: int
    mailbox_id: MailboxId
    kind: str
    uids: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """`came`: see `event_log.Came`. `content_id` may be collected where the message is gone."""

    uid: int
    arrived: int
    came: int
    email_id: str
    thread_id: str
    size: int
    content_id: int
    save_date: int
    flags: int = 0
    modseq: int = 0


@dataclass(frozen=True, slots=True)
class Submitted:
    """`here`: (number, address) of recipients whose mail was delivered by the unit that accepted it."""

    id: int
    uuid: str
    mail_from: str
    message_id: bytes | None
    size: int
    created_at: int
    recipients: Sequence[str]
    here: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Attempted:
    id: int
    at: int
    state: str
    code: int | None
    enhanced: str | None
    text: bytes | None
    remote: str | None
    address: str
    uuid: str
    message_id: bytes | None
    mail_from: str
    here: bool
    """It waited, and was delivered here."""


def inbox(rx: Rx, inbox_id: InboxId) -> LogInbox | None:
    """None when it is deleted."""
    row = rx.one(_INBOX, inbox=inbox_id)
    return None if row is None else LogInbox(*row)


def changed_mailboxes(rx: Rx, inbox_id: InboxId, modseq: int) -> list[LogMailbox]:
    """Those where messages changed with this MODSEQ or a later one, by number."""
    return [LogMailbox(*row) for row in rx.all(_CHANGED, inbox=inbox_id, modseq=modseq)]


def named_mailboxes(rx: Rx, inbox_id: InboxId, ids: Sequence[int]) -> dict[int, LogMailbox]:
    """Those that are there."""
    return {row[0]: LogMailbox(*row) for row in rx.all(_NAMED, inbox=inbox_id, mailboxes=list(ids))} if ids else {}


def records(rx: Rx, inbox_id: InboxId, modseq: int, most: int) -> list[Record]:
    """From this MODSEQ on, rising."""
    return [Record(*row) for row in rx.all(_RECORDS, inbox=inbox_id, modseq=modseq, most=most)]


def forgotten_since(rx: Rx, inbox_id: InboxId, modseq: int) -> bool:
    """Whether records of sent mail above `modseq` were dropped."""
    return rx.scalar(_FORGOTTEN, inbox=inbox_id, modseq=modseq) is not None


def arrivals(rx: Rx, mailbox: MailboxId, modseq: int, after_uid: int, upto: int, most: int) -> list[Message]:
    """Messages above `after_uid` that arrived from `modseq` on, up to `upto`, also those that went since: by UID."""
    found: list[Message] = []
    for table in _TABLES:
        first = _first_arrived(rx, table, mailbox, modseq)
        if first is not None:
            rows = rx.all(_FROM[table], mailbox=mailbox, uid=max(first, after_uid + 1), upto=upto, most=most)
            found += [Message(*row) for row in rows if row[3] is not None]
    found.sort(key=lambda each: each.uid)
    return found[:most]


def _first_arrived(rx: Rx, table: str, mailbox: MailboxId, modseq: int) -> int | None:
    """The lowest UID from which on all arrived with `modseq` or later."""
    last = rx.all(_ENDS[table], mailbox=mailbox, most=_NEAR)
    new = list(takewhile(lambda row: row[1] >= modseq, last))
    if not new:
        return None
    if len(new) < _NEAR:
        return int(new[-1][0])
    low, high = rx.scalar(_FIRST_UID[table], mailbox=mailbox), new[-1][0]
    while low < high:  # the first new one is in [low, high]
        middle = (low + high) // 2
        uid, arrived = rx.all(_AT[table], mailbox=mailbox, uid=middle)[0]
        if arrived >= modseq:
            high = middle
        else:
            low = uid + 1
    return int(low)


def flagged(rx: Rx, mailbox: LogMailbox, modseq: int, after_uid: int, upto: int, most: int) -> list[Message]:
    """Messages whose flags changed last with `modseq` (then above `after_uid`) or later, by MODSEQ and UID.

    The mailbox's record says where to look; for what is older than that all its messages are looked through.
    """
    found: list[Message] = []
    if modseq <= mailbox.flag_floor:
        floor = min(mailbox.flag_floor, upto)
        rows = rx.all(_FLAGGED_BEFORE, mailbox=mailbox.id, modseq=modseq, uid=after_uid, floor=floor, most=most)
        found += [Message(*row) for row in rows]
    for at, ranges in flag_record.entries(mailbox.flag_record):
        if not max(modseq, mailbox.flag_floor + 1) <= at <= upto:
            continue
        for low, high in ranges:
            if len(found) >= most:
                return found[:most]
            if at == modseq:
                low = max(low, after_uid + 1)
            if low <= high:
                rows = rx.all(_FLAGGED, mailbox=mailbox.id, low=low, high=high, modseq=at, most=most - len(found))
                found += [Message(*row) for row in rows]
    return found


def gone(rx: Rx, mailbox: MailboxId, uids: Sequence[int]) -> dict[int, Message]:
    """What is still known of expunged messages, by UID."""
    return {row[0]: Message(*row) for row in rx.all(_GONE, mailbox=mailbox, uids=list(uids))} if uids else {}


def numbers(uids: str, after: int = 0, most: int = _REST) -> Iterator[int]:
    """The numbers of a record above `after`, rising; `most` of them."""
    left = most
    for low, high in normalise(ranges_in(uids)):
        for number in range(max(low, after + 1), high + 1):
            if not left:
                return
            left -= 1
            yield number


def envelopes(rx: Rx, contents: Sequence[int]) -> dict[int, bytes]:
    """Renderings of an ordinary length, by content."""
    rows = rx.all(_ENVELOPES, contents=list(contents)) if contents else []
    return {row[0]: bytes(row[1]) for row in rows if row[1] is not None}


def submitted(rx: Rx, inbox_id: InboxId, ids: Sequence[int]) -> dict[int, Submitted]:
    """Those that the history still knows."""
    people: dict[int, list[str]] = {}
    here: dict[int, list[tuple[int, str]]] = {}
    for submission, number, address, at_once in rx.all(_RECIPIENTS, rows=list(ids), waited=HERE_LATER) if ids else ():
        people.setdefault(submission, []).append(address)
        if at_once:
            here.setdefault(submission, []).append((number, address))
    rows = rx.all(_SUBMISSIONS, rows=list(ids), inbox=inbox_id) if ids else []
    return {
        number: Submitted(
            number, uuid, sender, message, size, created, people.get(number, ()), here.get(number, ())
        )
        for number, uuid, sender, message, size, created in rows
    }


def attempted(rx: Rx, inbox_id: InboxId, ids: Sequence[int]) -> dict[int, Attempted]:
    """Those that the history still knows."""
    rows = rx.all(_ATTEMPTS, rows=list(ids), inbox=inbox_id, waited=HERE_LATER) if ids else []
    return {row[0]: Attempted(*(*row[:-1], bool(row[-1]))) for row in rows}
