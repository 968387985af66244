"""What changed here since both sides last agreed: by state, so that no STORE, EXPUNGE or APPEND knows of connectors.

Each change of an inbox is in its MODSEQ order (`store.changes`). A linked mailbox is compared with what its places and
their bases say, from the folder's `pushed_modseq` on; what an import did itself shows up once and differs in nothing.
A move is a place that is gone in one mailbox, and a message of the same EMAILID without a place in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.flags import SYSTEM_MASK, names_of
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.model.sequence import Ranges
from gateway.store import content, messages
from gateway.store.changes import changes_since
from gateway.store.db import Rx, Tx
from gateway.store.messages import Columns
from gateway.store.statements import Stmt

from . import folders, lease, places, upstream
from .rows import BATCH, PLACE, Claim, ConnectorId, Flags, FolderId, Gone, Place, RemoteFolder, bounded, keywords_in

MOST: Final = 5_000
"""Changed messages that one look returns; when there are more, look at the mailbox page by page (`page`)."""

_COLUMNS: Final = PLACE.removeprefix("SELECT ").removesuffix(" FROM remote_place p")
_STANDS: Final = f"SELECT {_COLUMNS}, f.connector_id, r.system, r.keywords, r.gone FROM"
_BASE: Final = (
    " JOIN remote_folder f ON f.id = p.folder_id LEFT JOIN remote_message r ON r.folder_id = p.folder_id"
    " AND r.uidvalidity = p.uidvalidity AND r.uid = p.uid"
)
# OFFSET 0: looked up by key, whatever the planner thinks of their number (as in `uidsets`).
_BASE_BY_KEY: Final = (
    " JOIN remote_folder f ON f.id = p.folder_id LEFT JOIN LATERAL (SELECT system, keywords, gone FROM remote_message"
    " WHERE folder_id = p.folder_id AND uidvalidity = p.uidvalidity AND uid = p.uid OFFSET 0) AS r ON true"
)
_AT = Stmt(
    sqlite=f"{_STANDS} remote_place p{_BASE} WHERE p.mailbox_id = :mailbox AND p.local_uid IN :LIST(uids)",
    postgresql=f"{_STANDS} unnest(CAST(:uids AS bigint[])) AS o (uid) CROSS JOIN LATERAL (SELECT * FROM remote_place"
    f" WHERE mailbox_id = :mailbox AND local_uid = o.uid OFFSET 0) AS p{_BASE_BY_KEY}",
)
_WITHIN = Stmt(
    sqlite=f"{_STANDS} json_each(:ranges) AS s CROSS JOIN remote_place p{_BASE} WHERE p.mailbox_id = :mailbox"
    " AND p.local_uid BETWEEN s.value ->> 0 AND s.value ->> 1 AND f.connector_id = :connector ORDER BY p.local_uid"
    " LIMIT :most",
    postgresql=f"{_STANDS} unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS s (low, high)"
    " CROSS JOIN LATERAL (SELECT * FROM remote_place WHERE mailbox_id = :mailbox"
    " AND local_uid BETWEEN s.low AND s.high OFFSET 0) AS p"
    f"{_BASE_BY_KEY} WHERE f.connector_id = :connector ORDER BY p.local_uid LIMIT :most",
)
_LOST = Stmt(
    f"{_STANDS} remote_place p{_BASE} WHERE p.mailbox_id = :mailbox AND p.local_uid > :after AND p.local_uid <= :last"
    " AND f.connector_id = :connector AND NOT EXISTS (SELECT 1 FROM message m WHERE m.mailbox_id = p.mailbox_id"
    " AND m.uid = p.local_uid) ORDER BY p.local_uid"
)
_PAGE_END = Stmt(
    "SELECT local_uid FROM remote_place WHERE mailbox_id = :mailbox AND local_uid > :after ORDER BY local_uid"
    " LIMIT 1 OFFSET :most"
)
_END: Final = 2**32
_PUSHED = Stmt(
    "UPDATE remote_folder SET pushed_modseq = :modseq, updated_at = :now WHERE id = :folder AND pushed_modseq < :modseq"
)
_MODSEQ = Stmt("SELECT modseq FROM inbox WHERE id = :inbox")


@dataclass(frozen=True, slots=True)
class LocalMessage:
    """A message of a linked mailbox. `place` None: nothing upstream is known for it, it is new here.

    `base`: what both sides last agreed on. `gone`: its message upstream is not there any more.
    """

    uid: int
    modseq: int
    flags: Flags
    email_id: str
    content_id: int
    internal_date: int
    size: int
    place: Place | None
    base: Flags | None
    gone: Gone | None


@dataclass(frozen=True, slots=True)
class LostPlace:
    """A place whose local message was removed. `gone`: it is not there upstream either."""

    place: Place
    base: Flags | None
    gone: Gone | None


@dataclass(frozen=True, slots=True)
class LocalChanges:
    """Since `pushed_modseq` of a folder. Hand `highest_modseq` to `agree` once all of it was seen to.

    `exists` False: the mailbox was deleted here. `complete` False: there is more than one look returns, or records are
    too old: use `page` and `lost`.
    """

    highest_modseq: int
    changed: list[LocalMessage]
    removed: list[LostPlace]
    exists: bool = True
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Agreed:
    """Both sides now have these flags of a message upstream; None as MODSEQ: as before."""

    uid: int
    flags: Flags
    modseq: int | None = None


def modseq_now(rx: Rx, inbox_id: InboxId) -> int:
    """The inbox's MODSEQ: what a plan that begins now has seen (`upto` of the units in `upstream` and `moves`)."""
    return int(rx.scalar(_MODSEQ, inbox=inbox_id) or 0)


def local_changes(rx: Rx, inbox_id: InboxId, folder: RemoteFolder, *, most: int = MOST) -> LocalChanges:
    """What changed in the mailbox of `folder` since it was last agreed upon, from one snapshot.

    Messages that stand for something of another connector are left out.
    """
    mailbox = folder.mailbox_id
    if mailbox is None:
        return LocalChanges(0, [], [], exists=False)
    found = changes_since(rx, inbox_id, mailbox, folder.pushed_modseq, most=most)
    if found is None:  # too many, or the mailbox's short record of flags has lost the first of them: flags are narrow
        found = changes_since(rx, inbox_id, mailbox, folder.pushed_modseq)
        if len(found.flags) > most:
            return LocalChanges(found.highest_modseq, [], [], complete=False)
    if not found.exists:
        return LocalChanges(0, [], [], exists=False)
    removed = _within(rx, folder.connector_id, mailbox, found.expunged, most)
    if not found.complete or len(removed) > most:
        return LocalChanges(found.highest_modseq, [], [], complete=False)
    changed = _described(rx, folder.connector_id, mailbox, found.flags, found.keywords)
    return LocalChanges(found.highest_modseq, changed, removed)


def page(
    rx: Rx, connector_id: ConnectorId, mailbox_id: MailboxId, after: int = 0, limit: int = BATCH
) -> tuple[list[LocalMessage], int | None]:
    """Messages of a mailbox by UID, changed or not, and the UID to go on with as `after`; None: that was the last page.

    Those that stand for something of another connector are left out.
    """
    rows = messages.load(rx, mailbox_id, after, limit)
    found = _described(rx, connector_id, mailbox_id, rows, messages.keywords_of(rx, mailbox_id))
    return found, rows[-1][0] if len(rows) == limit else None


def lost(
    rx: Rx, connector_id: ConnectorId, mailbox_id: MailboxId, after: int = 0, limit: int = BATCH
) -> tuple[list[LostPlace], int | None]:
    """Of the next `limit` places of a mailbox those whose message is gone, and the UID to go on with as `after`.

    None: that was the last page.
    """
    last: int | None = rx.scalar(_PAGE_END, mailbox=mailbox_id, after=after, most=limit - 1)
    until = _END if last is None else last
    return _lost(rx.all(_LOST, mailbox=mailbox_id, connector=connector_id, after=after, last=until)), last


def agree(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, agreed: Sequence[Agreed] = (), *,
    pushed_modseq: int | None = None, now: int,
) -> None:  # fmt: skip
    """What went up is agreed upon: the new bases, and up to where all local changes were seen to, in one unit.

    `pushed_modseq` only rises. LeaseLost, NotFound, InvalidRequest (more than BATCH).
    """
    lease.fence(tx, claim, now)
    bounded(len(agreed), BATCH, "messages")
    folders.get(tx, claim.connector_id, folder_id)
    upstream.keep_bases(tx, folder_id, uidvalidity, {each.uid: (each.flags, each.modseq) for each in agreed})
    if pushed_modseq is not None:
        tx.run(_PUSHED, folder=folder_id, modseq=pushed_modseq, now=now)


def flags_of(mask: int, keywords: Mapping[int, str]) -> Flags:
    """A mask of a mailbox as names, comparable with what another side has."""
    return mask & SYSTEM_MASK, tuple(sorted(names_of(mask & ~SYSTEM_MASK, keywords)))


def message_id(rx: Rx, content_id: int) -> bytes | None:
    """By which an upload is found again upstream."""
    return content.content_row(rx, ContentId(content_id)).message_id


def _described(
    rx: Rx, connector_id: ConnectorId, mailbox: MailboxId, rows: Sequence[tuple[int, int, int]],
    keywords: Mapping[int, str],
) -> list[LocalMessage]:  # fmt: skip
    wanted = Columns.INTERNAL_DATE | Columns.SIZE | Columns.CONTENT_ID | Columns.EMAIL_ID
    found: list[LocalMessage] = []
    for at in range(0, len(rows), places.ROWS):
        some = rows[at : at + places.ROWS]
        uids = [row[0] for row in some]
        standing = {row[4]: row for row in rx.all(_AT, mailbox=mailbox, uids=uids)}
        facts = {row[0]: row[1:] for row in messages.fetch_rows(rx, mailbox, uids, wanted)}
        for uid, mask, modseq in some:
            row = standing.get(uid)
            if uid not in facts or (row is not None and row[7] != connector_id):
                continue
            date, size, content_id, email_id = facts[uid]
            place, base, gone = (None, None, None) if row is None else _base(row)
            found.append(
                LocalMessage(
                    uid, modseq, flags_of(mask, keywords), email_id, content_id, date, size, place, base, gone
                )
            )
    return found


def _within(
    rx: Rx, connector_id: ConnectorId, mailbox: MailboxId, ranges: Ranges, most: int
) -> list[LostPlace]:
    if not ranges:
        return []
    of: dict[str, Any] = {"mailbox": mailbox, "connector": connector_id, "most": most + 1}
    if rx.dialect == "sqlite":
        return _lost(rx.all(_WITHIN, ranges=ranges, **of))
    return _lost(rx.all(_WITHIN, lows=[low for low, _ in ranges], highs=[high for _, high in ranges], **of))


def _lost(rows: Sequence[tuple[Any, ...]]) -> list[LostPlace]:
    return [LostPlace(*_base(row)) for row in rows]


def _base(row: tuple[Any, ...]) -> tuple[Place, Flags | None, Gone | None]:
    system, names, gone = row[8:11]
    base = None if system is None else (system, keywords_in(names))
    return Place(*row[:7]), base, None if gone is None else Gone(gone)
