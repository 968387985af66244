"""Which local message stands for which upstream: reads and writes of single rows, for units that are fenced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import InboxId, MailboxId
from gateway.store import messages
from gateway.store.db import Rx, Tx
from gateway.store.messages import Columns
from gateway.store.statements import Stmt

from .among import among, binds
from .rows import MESSAGE, PLACE, FolderId, Place, RemoteMessage, label_out, message

ROWS: Final = 500  # of `messages.fetch_rows` at once

_INSERT = Stmt(
    "INSERT INTO remote_place (folder_id, uidvalidity, uid, mailbox_id, local_uid, email_id, label) VALUES"
    " (:folder, :uidvalidity, :uid, :mailbox, :local_uid, :email_id, :label)"
)
_OF = among(
    f"{PLACE} WHERE p.folder_id = :folder AND p.uidvalidity = :uidvalidity AND {{uids}} ORDER BY p.uid, p.mailbox_id",
    "p.uid",
)
_AT = among(f"{PLACE} WHERE p.mailbox_id = :mailbox AND {{uids}} ORDER BY p.local_uid", "p.local_uid")
_DELETE = Stmt(
    "DELETE FROM remote_place WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid = :uid"
    " AND mailbox_id = :mailbox"
)
_DELETE_OF = among("DELETE FROM remote_place WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND {uids}")
_MESSAGES = among(
    f"{MESSAGE} WHERE r.folder_id = :folder AND r.uidvalidity = :uidvalidity AND {{uids}} ORDER BY r.uid", "r.uid"
)
_PAGE = Stmt(
    f"{MESSAGE} WHERE r.folder_id = :folder AND r.uidvalidity = :uidvalidity AND r.uid > :after ORDER BY r.uid"
    " LIMIT :most"
)
_DELETE_MESSAGES = among(
    "DELETE FROM remote_message WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND {uids}"
)
_EMAILS_OF = Stmt("SELECT DISTINCT email_id FROM remote_place WHERE folder_id = :folder AND email_id IN :TEXTS(emails)")
_WHERE: Final = "SELECT m.email_id, m.mailbox_id, m.uid, CASE WHEN p.uid IS NULL THEN 0 ELSE 1 END FROM"
# OFFSET 0: looked up by key, whatever the planner thinks of their number (as in `uidsets`).
_EMAILS = Stmt(
    sqlite=f"{_WHERE} message m LEFT JOIN remote_place p ON p.mailbox_id = m.mailbox_id AND p.local_uid = m.uid"
    " WHERE m.inbox_id = :inbox AND m.email_id IN :TEXTS(emails) ORDER BY m.email_id, m.mailbox_id, m.uid",
    postgresql=f"{_WHERE} unnest(CAST(:emails AS text[])) AS o (email) CROSS JOIN LATERAL (SELECT email_id, mailbox_id,"
    " uid FROM message WHERE inbox_id = :inbox AND email_id = o.email OFFSET 0) AS m LEFT JOIN LATERAL"
    " (SELECT uid FROM remote_place WHERE mailbox_id = m.mailbox_id AND local_uid = m.uid OFFSET 0) AS p ON true"
    " ORDER BY m.email_id, m.mailbox_id, m.uid",
)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A local message by its EMAILID. `placed`: it stands for something upstream, of any connector."""

    email_id: str
    mailbox_id: MailboxId
    uid: int
    placed: bool


def insert_place(tx: Tx, place: Place) -> None:
    tx.do(
        _INSERT, folder=place.folder_id, uidvalidity=place.uidvalidity, uid=place.uid, mailbox=place.mailbox_id,
        local_uid=place.local_uid, email_id=place.email_id, label=label_out(place.label),
    )  # fmt: skip


def places_of(rx: Rx, folder_id: FolderId, uidvalidity: int, uids: Sequence[int]) -> dict[int, list[Place]]:
    """UID upstream -> what stands for it here; those that have nothing are left out."""
    found: dict[int, list[Place]] = {}
    for row in rx.all(_OF, folder=folder_id, uidvalidity=uidvalidity, **binds(uids)):
        found.setdefault(row[2], []).append(Place(*row))
    return found


def places_at(rx: Rx, mailbox_id: MailboxId, local_uids: Sequence[int]) -> dict[int, Place]:
    """Local UID of a mailbox -> what it stands for."""
    return {row[4]: Place(*row) for row in rx.all(_AT, mailbox=mailbox_id, **binds(local_uids))}


def emails_of(rx: Rx, folder_id: FolderId, email_ids: Sequence[str]) -> set[str]:
    """Those of these EMAILIDs that stand, or stood, for something in a folder; all its places are looked through."""
    return {row[0] for row in rx.all(_EMAILS_OF, folder=folder_id, emails=list(email_ids))}


def messages_of(rx: Rx, folder_id: FolderId, uidvalidity: int, uids: Sequence[int]) -> dict[int, RemoteMessage]:
    """UID upstream -> what was agreed upon, of those that are known."""
    rows = rx.all(_MESSAGES, folder=folder_id, uidvalidity=uidvalidity, **binds(uids))
    return {row[0]: message(row) for row in rows}


def message_page(
    rx: Rx, folder_id: FolderId, uidvalidity: int, after: int = 0, limit: int = 1_000
) -> list[RemoteMessage]:
    """All that is known of a folder by UID, gone ones too; go on with `after` = the last one's UID."""
    rows = rx.all(_PAGE, folder=folder_id, uidvalidity=uidvalidity, after=after, most=limit)
    return [message(row) for row in rows]


def drop_place(tx: Tx, place: Place) -> None:
    tx.do(
        _DELETE, folder=place.folder_id, uidvalidity=place.uidvalidity, uid=place.uid, mailbox=place.mailbox_id
    )


def drop_messages(tx: Tx, folder_id: FolderId, uidvalidity: int, uids: Sequence[int]) -> None:
    """Rows of messages upstream and of their places; the caller counts."""
    tx.run(_DELETE_OF, folder=folder_id, uidvalidity=uidvalidity, **binds(uids))
    tx.run(_DELETE_MESSAGES, folder=folder_id, uidvalidity=uidvalidity, **binds(uids))


def modseqs(rx: Rx, here: Mapping[int, Sequence[Place]]) -> dict[tuple[MailboxId, int], int]:
    """(mailbox, local UID) -> MODSEQ, of the messages of these places that are there."""
    by_mailbox: dict[MailboxId, list[int]] = {}
    for standing in here.values():
        for place in standing:
            by_mailbox.setdefault(place.mailbox_id, []).append(place.local_uid)
    found: dict[tuple[MailboxId, int], int] = {}
    for mailbox, uids in by_mailbox.items():
        uids.sort()
        for at in range(0, len(uids), ROWS):
            rows = messages.fetch_rows(rx, mailbox, uids[at : at + ROWS], Columns.MODSEQ)
            found.update({(mailbox, uid): modseq for uid, modseq in rows})
    return found


def changed_since(
    here: Mapping[int, Sequence[Place]], now: Mapping[tuple[MailboxId, int], int], upto: int
) -> set[int]:
    """UIDs upstream for which a local message stands that changed after `upto`. `now`: of `modseqs`."""
    return {
        uid for uid, standing in here.items()
        if any(now.get((place.mailbox_id, place.local_uid), 0) > upto for place in standing)
    }  # fmt: skip


def whereabouts(rx: Rx, inbox_id: InboxId, email_ids: Sequence[str]) -> list[Whereabouts]:
    """Where in the inbox messages of these EMAILIDs are: a place that is gone and one of these without a place is a
    move."""
    rows = rx.all(_EMAILS, inbox=inbox_id, emails=sorted(set(email_ids)))
    return [Whereabouts(row[0], MailboxId(row[1]), row[2], bool(row[3])) for row in rows]
