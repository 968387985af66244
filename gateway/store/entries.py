"""Annotations of mailboxes and of the server (RFC 5464), each a row under its name in small letters.

The server's are those of one inbox: what a client writes there nobody else sees. A removed entry keeps its row with no
value, so that sessions which were told of nothing yet can be; the oldest of those rows go when there are many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import AnnotationTooBig, TooManyAnnotations
from gateway.model.ids import InboxId, MailboxId, ModSeq

from . import changes, counters
from .changes import ChangeKind
from .db import Rx, Tx
from .statements import Stmt

SERVER: Final = MailboxId(0)
"""Stands for the server as a whole."""
SPECIAL_USE: Final = "/private/specialuse"
"""RFC 6154 4: never stored here with a value, for the mailbox's role is it."""
MAX_VALUE: Final = 65_536  # octets of a value; RFC 5464 4.1: 1,024 at least
MAX_ENTRIES: Final = 100  # with values, of one mailbox or the server; RFC 5464 4.1: 10 at least
MAX_REMOVED: Final = 100  # rows without a value that one mailbox keeps
MAX_OCTETS: Final = 16 * 1024 * 1024  # of all values of an inbox: LIST may ask for them at once

_OF_MAILBOX = Stmt(
    "SELECT entry, value FROM annotation WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND value IS NOT NULL"
    " ORDER BY entry"
)
_OF_MAILBOXES = Stmt(
    "SELECT mailbox_id, entry, value FROM annotation WHERE inbox_id = :inbox AND entry IN :TEXTS(entries)"
    " AND value IS NOT NULL"
)
_CHANGED = Stmt(
    "SELECT a.modseq, a.mailbox_id, b.name, b.role, a.entry FROM annotation a"
    " LEFT JOIN mailbox b ON b.id = a.mailbox_id AND b.inbox_id = a.inbox_id"
    " WHERE a.inbox_id = :inbox AND a.modseq > :since ORDER BY a.modseq, a.mailbox_id, a.entry LIMIT :most"
)
_NAMES = Stmt(
    "SELECT entry FROM annotation WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND value IS NOT NULL"
)
_OCTETS = Stmt(
    "SELECT CAST(coalesce(sum(length(value)), 0) AS bigint) FROM annotation WHERE inbox_id = :inbox"
)
_SET = Stmt(
    "INSERT INTO annotation (inbox_id, mailbox_id, entry, value, modseq)"
    " VALUES (:inbox, :mailbox, :entry, :value, :modseq)"
    " ON CONFLICT (inbox_id, mailbox_id, entry) DO UPDATE SET value = excluded.value, modseq = excluded.modseq"
)
_FORGET = Stmt(
    "DELETE FROM annotation WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND value IS NULL AND entry NOT IN"
    " (SELECT r.entry FROM annotation r WHERE r.inbox_id = :inbox AND r.mailbox_id = :mailbox AND r.value IS NULL"
    " ORDER BY r.modseq DESC, r.entry LIMIT :most)"
)
_COPY = Stmt(
    "INSERT INTO annotation (inbox_id, mailbox_id, entry, value, modseq)"
    " SELECT inbox_id, CAST(:to AS bigint), entry, value, CAST(:modseq AS bigint) FROM annotation"
    " WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND value IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Changed:
    """An entry that got or lost its value. `mailbox` "" means the server; `role`: the mailbox's special use."""

    modseq: ModSeq
    mailbox: str
    entry: str
    role: str | None = None


def of_mailbox(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId) -> dict[str, bytes]:
    """All entries of a mailbox, or of the server, with their values, by name."""
    return {entry: bytes(value) for entry, value in rx.all(_OF_MAILBOX, inbox=inbox_id, mailbox=mailbox_id)}


def of_mailboxes(rx: Rx, inbox_id: InboxId, entries: Sequence[str]) -> dict[int, dict[str, bytes]]:
    """mailbox id -> those of `entries` that it has."""
    found: dict[int, dict[str, bytes]] = {}
    for mailbox_id, entry, value in rx.all(_OF_MAILBOXES, inbox=inbox_id, entries=list(entries)):
        found.setdefault(mailbox_id, {})[entry] = bytes(value)
    return found


def changed_since(rx: Rx, inbox_id: InboxId, since: int, *, most: int) -> list[Changed]:
    """What was set or removed after MODSEQ `since`, oldest first, at most `most`; not of mailboxes that are gone."""
    rows = rx.all(_CHANGED, inbox=inbox_id, since=since, most=most)
    return [
        Changed(modseq, name or "", entry, role)
        for modseq, mailbox_id, name, role, entry in rows
        if name is not None or mailbox_id == SERVER
    ]


def change(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, values: Mapping[str, bytes | None]) -> ModSeq | None:
    """Set entries, or remove those whose value is None, all or none of them. None: there was nothing to change.

    Raises AnnotationTooBig, TooManyAnnotations. Entry names are in small letters.
    """
    if any(value is not None and len(value) > MAX_VALUE for value in values.values()):
        raise AnnotationTooBig(f"The value of an annotation may have {MAX_VALUE} octets at most")
    counters.lock(tx, inbox_id)
    present = {entry for (entry,) in tx.all(_NAMES, inbox=inbox_id, mailbox=mailbox_id)}
    written = {entry for entry, value in values.items() if value is not None}
    removed = present & (values.keys() - written)
    if len(present | written) - len(removed) > MAX_ENTRIES:
        raise TooManyAnnotations(f"A mailbox may have {MAX_ENTRIES} annotations at most")
    if not written and not removed:
        return None
    modseq = counters.draw(tx, inbox_id)
    if mailbox_id:
        counters.apply_mailbox(tx, mailbox_id, modseq)  # RFC 7162 3.2: annotations count for QRESYNC
    for entry in sorted(written | removed):
        note(tx, inbox_id, mailbox_id, entry, values[entry], modseq)
    if written and tx.scalar(_OCTETS, inbox=inbox_id) > MAX_OCTETS:
        raise TooManyAnnotations("The annotations of this inbox would take too much room")
    tx.do(_FORGET, inbox=inbox_id, mailbox=mailbox_id, most=MAX_REMOVED)
    return modseq


def note(
    tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, entry: str, value: bytes | None, modseq: ModSeq
) -> None:
    """Write one entry under the unit's MODSEQ and let sessions know that there is something new."""
    tx.do(_SET, inbox=inbox_id, mailbox=mailbox_id, entry=entry, value=value, modseq=modseq)
    changes.record(tx, inbox_id, modseq, ChangeKind.ANNOTATED, mailbox_id=mailbox_id or None)
    tx.wake(inbox_id, mailbox_id or None)


def copy(tx: Tx, inbox_id: InboxId, source: MailboxId, target: MailboxId, modseq: ModSeq) -> None:
    """RENAME of INBOX: the new mailbox has them too (RFC 5464 4.1)."""
    tx.do(_COPY, inbox=inbox_id, mailbox=source, to=target, modseq=modseq)
