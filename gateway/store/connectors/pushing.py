"""What the up side of a two-way sync keeps: up to where local changes were seen to, new folders, and what stays behind.

What goes up is found by state (`local`), written down before it starts (`ops`) and agreed upon here and in `adopt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model.flags import DELETED
from gateway.model.ids import InboxId, MailboxId
from gateway.store.changes import ChangeKind
from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt
from gateway.store.texts import made_storable

from . import folders, lease, places
from .folders import Discovered
from .rows import BATCH, Claim, ConnectorId, FolderId, Place, RemoteFolder, bounded, labels_out

_SEEN_TO = Stmt(
    "UPDATE remote_folder SET pushed_modseq = :modseq, updated_at = :now WHERE id IN :LIST(folders)"
    " AND connector_id = :connector AND pushed_modseq < :modseq"
)
_RENAMED = Stmt(
    "SELECT DISTINCT mailbox_id FROM change WHERE inbox_id = :inbox AND modseq > :modseq"
    f" AND kind = '{ChangeKind.RENAMED.value}'"
)
_DELETED = Stmt(
    "SELECT DISTINCT mailbox_id FROM change WHERE inbox_id = :inbox AND modseq > :modseq"
    f" AND kind = '{ChangeKind.DELETED.value}'"
)
_ADD = Stmt(
    "INSERT INTO remote_folder (connector_id, raw, name, delimiter, role, remote_id, selectable, created_at,"
    " updated_at) VALUES (:connector, :raw, :name, :delimiter, NULL, NULL, 1, :now, :now)"
    " ON CONFLICT (connector_id, raw) DO UPDATE SET selectable = 1, missing = 0, gone = 0, updated_at = :now"
)
_MADE_FOR = Stmt("UPDATE remote_folder SET mailbox_id = :mailbox, updated_at = :now WHERE id = :folder")
_BY_RAW = Stmt("SELECT id FROM remote_folder WHERE connector_id = :connector AND raw = :raw")
_BEHIND = Stmt(
    f"UPDATE remote_message SET system = (system | {DELETED}) WHERE folder_id = :folder AND uidvalidity = :uidvalidity"
    " AND uid IN :LIST(uids)"
)
_LABELS = Stmt(
    "UPDATE remote_message SET labels = :labels WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid = :uid"
)
_UNPLACE = Stmt(
    "DELETE FROM remote_place WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid IN :LIST(uids)"
)
_END_FOLDER: Final = (
    Stmt("DELETE FROM remote_place WHERE folder_id = :folder"),
    Stmt("DELETE FROM remote_message WHERE folder_id = :folder"),
    Stmt("DELETE FROM remote_poison WHERE folder_id = :folder"),
    Stmt(
        "UPDATE remote_folder SET mailbox_id = NULL, uidvalidity = NULL, uidnext = NULL, highest_modseq = NULL,"
        " backfill_low = NULL, backfill_floor = NULL, last_full_scan_at = NULL, live = 0, phase = 'new', gone = :gone,"
        " pushed_modseq = 0, updated_at = :now WHERE id = :folder"
    ),
)
_LINKED_ELSEWHERE = Stmt(
    "SELECT DISTINCT f.mailbox_id FROM remote_folder f JOIN connector c ON c.id = f.connector_id"
    " WHERE c.inbox_id = :inbox AND c.removed_at IS NULL AND f.connector_id <> :connector AND f.mailbox_id IS NOT NULL"
)


def seen_to(tx: Tx, claim: Claim, folder_ids: Sequence[FolderId], modseq: int, *, now: int) -> None:
    """All local changes of these folders up to `modseq` are agreed upon; never back. LeaseLost."""
    lease.fence(tx, claim, now)
    for at in range(0, len(folder_ids), BATCH):
        tx.run(
            _SEEN_TO, folders=list(folder_ids[at : at + BATCH]), connector=claim.connector_id, modseq=modseq, now=now
        )


def renamed_since(rx: Rx, inbox_id: InboxId, modseq: int) -> set[MailboxId]:
    """Mailboxes that were renamed, or went along with one that was."""
    return {MailboxId(row[0]) for row in rx.all(_RENAMED, inbox=inbox_id, modseq=modseq)}


def deleted_since(rx: Rx, inbox_id: InboxId, modseq: int) -> set[MailboxId]:
    """Mailboxes that were deleted."""
    return {MailboxId(row[0]) for row in rx.all(_DELETED, inbox=inbox_id, modseq=modseq)}


def linked_elsewhere(rx: Rx, inbox_id: InboxId, connector_id: ConnectorId) -> set[MailboxId]:
    """Mailboxes of the inbox that stand for a folder of another account."""
    return {MailboxId(row[0]) for row in rx.all(_LINKED_ELSEWHERE, inbox=inbox_id, connector=connector_id)}


def added(tx: Tx, claim: Claim, made: Discovered, mailbox_id: MailboxId, *, now: int) -> FolderId:
    """A folder was made upstream for a mailbox, all of which goes up. LeaseLost; NotFound (the mailbox)."""
    lease.fence(tx, claim, now)
    tx.run(
        _ADD, connector=claim.connector_id, raw=made.raw, name=made_storable(made.name), delimiter=made.delimiter,
        now=now,
    )  # fmt: skip
    number = FolderId(tx.scalar(_BY_RAW, connector=claim.connector_id, raw=made.raw))
    folders.link(tx, claim, number, mailbox_id, everything=True, now=now)
    return number


def made_for(tx: Tx, claim: Claim, folder_id: FolderId, mailbox_id: MailboxId, *, now: int) -> None:
    """A folder was made for a mailbox that was deleted meanwhile: it is seen as any whose mailbox was. LeaseLost."""
    lease.fence(tx, claim, now)
    tx.run(_MADE_FOR, folder=folder_id, mailbox=mailbox_id, now=now)


def renamed(
    tx: Tx, claim: Claim, rows: Sequence[RemoteFolder], old: bytes, new: bytes, old_name: str, new_name: str, *,
    delimiter: bytes, now: int,
) -> None:  # fmt: skip
    """A folder, and with it all below, has another name upstream: `rows` are those of the connector. LeaseLost."""
    for row in sorted(rows, key=lambda one: len(one.raw)):
        if row.raw == old or (delimiter and row.raw.startswith(old + delimiter)):
            raw, name = new + row.raw[len(old) :], new_name + row.name[len(old_name) :]
            folders.renamed(tx, claim, row.id, raw, name, now=now)


def ended(tx: Tx, claim: Claim, folder_id: FolderId, *, gone: bool, now: int) -> None:
    """Nothing is known of the folder any more, and no mailbox stands for it. `gone`: it was deleted upstream.

    Else it is as if it were new: discovery makes a mailbox for it, and all of it is fetched. LeaseLost, NotFound.
    """
    lease.fence(tx, claim, now)
    folders.get(tx, claim.connector_id, folder_id)
    for statement in _END_FOLDER:
        tx.run(statement, folder=folder_id, gone=int(gone), now=now)


def relabelled(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, uid: int, labels: Sequence[str],
    lost: Sequence[Place], *, now: int,
) -> None:  # fmt: skip
    """A message upstream has these labels now, and nothing here stands for those of `lost` any more. LeaseLost."""
    lease.fence(tx, claim, now)
    for place in lost:
        places.drop_place(tx, place)
    tx.run(_LABELS, folder=folder_id, uidvalidity=uidvalidity, uid=uid, labels=labels_out(labels))


def left_behind(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, uids: Sequence[int], *, now: int
) -> None:
    """Copied elsewhere by a server that cannot expunge single messages: the old ones stay, marked as deleted.

    They stay known, so that no pull takes them for news, and nothing here stands for them. LeaseLost.
    """
    lease.fence(tx, claim, now)
    bounded(len(uids), BATCH, "messages")
    known = list(places.messages_of(tx, folder_id, uidvalidity, uids))
    if known:
        tx.run(_UNPLACE, folder=folder_id, uidvalidity=uidvalidity, uids=known)
        tx.run(_BEHIND, folder=folder_id, uidvalidity=uidvalidity, uids=known)
