"""The change record: what message rows alone cannot tell, and what a session asks after a wake-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, overload

from gateway.model.ids import InboxId, MailboxId, ModSeq, Uid
from gateway.model.sequence import Ranges, normalise, render

from . import flag_record, flag_rows
from .db import Rx, Tx
from .flag_record import ranges_in
from .keywords import keywords_of
from .statements import Stmt


class ChangeKind(StrEnum):
    EXPUNGED = "expunged"
    """`uids` are gone from the mailbox."""
    CREATED = "created"
    DELETED = "deleted"
    RENAMED = "renamed"
    """With CREATED, of one unit: INBOX was renamed, and this is where its messages went."""
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    ANNOTATED = "annotated"
    """Entries of the mailbox, or of the server, were set or removed: `entries.changed_since` knows which."""
    SUBMITTED = "submitted"
    """Mail was accepted for sending; `uids` are ids of submissions (`event_log`)."""
    ATTEMPTED = "attempted"
    """Something became of mail that was sent; `uids` are ids of attempts (`event_log`)."""
    FORGOTTEN = "forgotten"
    """Records of those two kinds up to here are gone."""


OF_MAIL: Final = frozenset(
    {ChangeKind.EXPUNGED, ChangeKind.SUBMITTED, ChangeKind.ATTEMPTED, ChangeKind.FORGOTTEN}
)
"""Those that change nothing that LIST shows."""


_RECORD = Stmt(
    "INSERT INTO change (inbox_id, modseq, mailbox_id, kind, uids, detail)"
    " VALUES (:inbox, :modseq, :mailbox, :kind, :uids, :detail)"
    " ON CONFLICT (inbox_id, modseq, mailbox_id, kind) DO UPDATE SET uids = CASE"
    " WHEN change.uids = '' THEN excluded.uids WHEN excluded.uids = '' THEN change.uids"
    " ELSE change.uids || ',' || excluded.uids END"
)
_TREE_CHANGED = Stmt("UPDATE inbox SET tree_modseq = :modseq WHERE id = :inbox AND tree_modseq <> :modseq")


def record(
    tx: Tx,
    inbox_id: InboxId,
    modseq: ModSeq,
    kind: ChangeKind,
    *,
    mailbox_id: MailboxId | None = None,
    uids: Ranges = (),
    detail: str | None = None,
) -> None:
    """Write down a change under the unit's MODSEQ. `mailbox_id` None: of the inbox as a whole.

    All kinds but OF_MAIL change what LIST shows, or may: the inbox notes by which MODSEQ that was last.
    """
    row = {"modseq": modseq, "mailbox": mailbox_id or 0, "kind": kind.value, "uids": render(uids), "detail": detail}
    tx.do(_RECORD, inbox=inbox_id, **row)
    if kind not in OF_MAIL:
        tx.do(_TREE_CHANGED, inbox=inbox_id, modseq=modseq)


@dataclass(frozen=True, slots=True)
class MailboxChanges:
    """What became of a mailbox since a MODSEQ. `flags`: (uid, mask, modseq) of messages new or changed, in UID order.

    `exists` False: the mailbox was deleted, and the rest is empty. `complete` False: expunges that old are no longer
    on record, so `expunged` may lack some; compare the UIDs instead.
    """

    highest_modseq: ModSeq
    uidnext: Uid
    flags: list[tuple[int, int, int]]
    expunged: Ranges
    exists: bool
    keywords: dict[int, str]
    complete: bool = True


_MAILBOX = Stmt(
    "SELECT highest_modseq, uidnext, pruned_modseq, flag_record, flag_floor FROM mailbox"
    " WHERE id = :mailbox AND inbox_id = :inbox"
)
_EXPUNGES = Stmt(
    "SELECT uids FROM change WHERE mailbox_id = :mailbox AND inbox_id = :inbox AND modseq > :modseq"
    f" AND kind = '{ChangeKind.EXPUNGED.value}'"
)
_ALL = 1 << 53  # records: more than there can be
_UID_TEXT = 32  # characters that name a range of UIDs, at most
_FEW_EXPUNGES = Stmt(
    "SELECT uids FROM change WHERE mailbox_id = :mailbox AND inbox_id = :inbox AND modseq > :modseq"
    f" AND kind = '{ChangeKind.EXPUNGED.value}' ORDER BY modseq LIMIT :most"
)
_EXPUNGES_UP_TO = Stmt(
    "SELECT uids FROM change WHERE mailbox_id = :mailbox AND inbox_id = :inbox AND modseq > :modseq AND modseq <= :upto"
    f" AND kind = '{ChangeKind.EXPUNGED.value}' ORDER BY modseq LIMIT :most"
)
_PRUNED = Stmt("SELECT pruned_modseq FROM mailbox WHERE id = :mailbox AND inbox_id = :inbox")
_FROM_INBOX = Stmt(  # `+`: by the index of the mailbox, not through all changes of the inbox
    "SELECT mailbox_id FROM change WHERE mailbox_id IN :LIST(mailboxes) AND +inbox_id = :inbox"
    f" AND kind IN ('{ChangeKind.CREATED.value}', '{ChangeKind.RENAMED.value}')"
    " GROUP BY mailbox_id, modseq HAVING count(*) = 2"
)


@overload
def changes_since(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, modseq: int) -> MailboxChanges: ...
@overload
def changes_since(
    rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, modseq: int, *, most: int
) -> MailboxChanges | None: ...
def changes_since(
    rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, modseq: int, *, most: int | None = None
) -> MailboxChanges | None:
    """Changes of a mailbox above `modseq`, from one snapshot; None when more rows than `most` would tell of them."""
    mailbox = rx.one(_MAILBOX, mailbox=mailbox_id, inbox=inbox_id)
    if mailbox is None:
        return MailboxChanges(ModSeq(0), Uid(0), [], (), False, {})
    highest, uidnext, pruned, record, floor = mailbox
    if highest <= modseq:
        return MailboxChanges(highest, uidnext, [], (), True, keywords_of(rx, mailbox_id))
    since: dict[str, Any] = {"mailbox": mailbox_id, "inbox": inbox_id, "modseq": modseq}
    changed = flag_record.changed_since(record, floor, modseq)
    if most is None:
        rows, texts = flag_rows.newer(rx, mailbox_id, modseq, changed), rx.all(_EXPUNGES, **since)
    else:
        few = None if changed is None else flag_rows.few_newer(rx, mailbox_id, modseq, changed, most)
        if few is None:
            return None
        rows, texts = few, rx.all(_FEW_EXPUNGES, **since, most=most + 1)
        if len(texts) > most or sum(len(text) for (text,) in texts) > most * _UID_TEXT:
            return None
    expunged = normalise(pair for (text,) in texts for pair in ranges_in(text))
    return MailboxChanges(
        highest, uidnext, rows, expunged, True, keywords_of(rx, mailbox_id), complete=modseq >= pruned
    )


def expunged_between(
    rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, modseq: int, upto: int, *, most: int = _ALL
) -> Ranges | None:
    """UIDs expunged above `modseq` and up to `upto`; None when expunges that old are no longer on record.

    None too when more than `most` records, or as much text, tell of them.
    """
    pruned = rx.scalar(_PRUNED, mailbox=mailbox_id, inbox=inbox_id)
    if pruned is None or modseq < pruned:
        return None
    since = {"mailbox": mailbox_id, "inbox": inbox_id, "modseq": modseq}
    rows = rx.all(_EXPUNGES_UP_TO, **since, upto=upto, most=min(most + 1, _ALL))
    if len(rows) > most or sum(len(text) for (text,) in rows) > most * _UID_TEXT:
        return None
    return normalise(pair for (text,) in rows for pair in ranges_in(text))


def made_of_inbox(rx: Rx, inbox_id: InboxId, mailboxes: Sequence[MailboxId]) -> list[MailboxId]:
    """Those of `mailboxes` that a RENAME of INBOX has made: created and renamed by the same unit."""
    return [MailboxId(row[0]) for row in rx.all(_FROM_INBOX, inbox=inbox_id, mailboxes=list(mailboxes))]
