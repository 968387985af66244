"""Reads of message rows: what MailboxState holds, and the columns that FETCH and SEARCH need, a page a statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntFlag
from functools import cache
from typing import Any, Final

from gateway.model.ids import MailboxId

from .db import Rx
from .statements import Stmt
from .uidsets import FLAGS, MODSEQ

LOAD_PAGE: Final = 10_000
"""Rows of one `load`: a few milliseconds of a reader."""


SMALL_MESSAGE: Final = 32_768
"""Up to this size a message's body comes with its row; a page of them must fit in memory many times over."""


class Columns(IntFlag):
    """What `fetch_rows` shall return beside the UID; each row's values stand in this order."""

    INTERNAL_DATE = 1 << 0
    SIZE = 1 << 1
    ENVELOPE = 1 << 2
    BODYSTRUCTURE = 1 << 3
    BODY = 1 << 4
    """Rendered BODY (without extension data)."""
    HEADER = 1 << 5
    """Octets of the message's own header with its blank line."""
    CONTENT_ID = 1 << 6
    EMAIL_ID = 1 << 7
    THREAD_ID = 1 << 8
    FLAGS = 1 << 9
    MODSEQ = 1 << 10
    SAVE_DATE = 1 << 11
    HEADER_SIZE = 1 << 12
    HAS_NUL = 1 << 13
    PARTS = 1 << 14
    """The encoded part table."""
    SENT_DATE = 1 << 15
    MESSAGE_ID = 1 << 16
    SMALL_BODY = 1 << 17
    """All octets of the body of a message of at most SMALL_MESSAGE octets; None for a larger or bodiless one."""


LARGE_VALUE: Final = 16_384
"""Octets of one value that a page of rows may hold: hostile mail has an ENVELOPE, a header of megabytes."""

_WIDE: Final = Columns.ENVELOPE | Columns.BODYSTRUCTURE | Columns.BODY | Columns.HEADER | Columns.PARTS
_SOURCES: Final = {
    Columns.INTERNAL_DATE: "m.internal_date",
    Columns.SIZE: "m.size",
    Columns.ENVELOPE: "f.envelope",
    Columns.BODYSTRUCTURE: "f.bodystructure",
    Columns.BODY: "c.body",
    Columns.HEADER: "h.octets",
    Columns.CONTENT_ID: "m.content_id",
    Columns.EMAIL_ID: "m.email_id",
    Columns.THREAD_ID: "m.thread_id",
    Columns.FLAGS: FLAGS,
    Columns.MODSEQ: MODSEQ,
    Columns.SAVE_DATE: "m.save_date",
    Columns.HEADER_SIZE: "c.header_size",
    Columns.HAS_NUL: "c.has_nul",
    Columns.PARTS: "c.parts",
    Columns.SENT_DATE: "c.sent_date",
    Columns.MESSAGE_ID: "c.message_id",
    Columns.SMALL_BODY: "k.octets",
}
_JOINS: Final = {
    "f": " JOIN content_fetch AS f ON f.id = m.content_id",
    "c": " JOIN content_meta AS c ON c.id = m.content_id",
    "h": " JOIN content_header AS h ON h.id = m.content_id",
    # a body this small is one chunk
    "k": f" LEFT JOIN content_chunk AS k ON k.id = CASE WHEN m.size <= {SMALL_MESSAGE} THEN c.body_id << 16 END",
}
_PAGE: Final = (
    "SELECT uid, flags, modseq FROM message_flags WHERE mailbox_id = :mailbox AND uid > :after ORDER BY uid LIMIT :most"
)
_LOAD = Stmt(
    sqlite=f"SELECT json_group_array(uid), json_group_array(flags), json_group_array(modseq) FROM ({_PAGE})",
    postgresql=_PAGE,
)


def load_arrays(
    rx: Rx, mailbox_id: MailboxId, after_uid: int = 0, limit: int = LOAD_PAGE
) -> tuple[list[int], list[int], list[int]]:
    """UIDs, flag masks and MODSEQs of up to `limit` messages above `after_uid`, as three lists in UID order."""
    rows = rx.all(_LOAD, mailbox=mailbox_id, after=after_uid, most=limit)
    if rx.dialect == "sqlite":
        uids, flags, modseqs = rows[0]
        return json.loads(uids), json.loads(flags), json.loads(modseqs)
    if not rows:
        return [], [], []
    return tuple(map(list, zip(*rows, strict=True)))  # type: ignore[return-value]


def load(rx: Rx, mailbox_id: MailboxId, after_uid: int = 0, limit: int = LOAD_PAGE) -> list[tuple[int, int, int]]:
    """(uid, flags, modseq) of up to `limit` messages above `after_uid`, in UID order."""
    return list(zip(*load_arrays(rx, mailbox_id, after_uid, limit), strict=True))


def fetch_rows(
    rx: Rx, mailbox_id: MailboxId, uids: Sequence[int], columns: Columns, *, whole: bool = True
) -> list[tuple[Any, ...]]:
    """(uid, *columns) of those of `uids` that exist, in UID order. `uids` rise; a page is 200 to 500 of them.

    Without `whole`, None stands for a value above LARGE_VALUE octets: read that row again alone, or a page of them
    fills the memory.
    """
    if not uids:
        return []
    low, high = uids[0], uids[-1]
    if high - low < 2 * len(uids):  # dense: one range scan, and what was not asked is dropped
        rows = rx.all(_statement(columns, True, whole), mailbox=mailbox_id, low=low, high=high)
        if len(rows) <= len(uids) == high - low + 1:
            return rows
        asked = set(uids)
        return [row for row in rows if row[0] in asked]
    return rx.all(_statement(columns, False, whole), mailbox=mailbox_id, uids=uids)


def expunged_rows(
    rx: Rx, mailbox_id: MailboxId, uids: Sequence[int], columns: Columns, *, whole: bool = True
) -> list[tuple[Any, ...]]:
    """`fetch_rows` of messages that were expunged within the hour, for a session not told yet (RFC 2180 4.1).

    FLAGS and MODSEQ are not among their columns.
    """
    return rx.all(_statement(columns, False, whole, "expunged"), mailbox=mailbox_id, uids=uids) if uids else []


@cache
def _statement(columns: Columns, dense: bool, whole: bool, table: str = "message") -> Stmt:
    sources = {column: _SOURCES[column] for column in Columns if column & columns}
    tables = {source[0] for source in sources.values()} & _JOINS.keys()
    chosen = [
        f"CASE WHEN length({source}) <= {LARGE_VALUE} THEN {source} END" if column & _WIDE and not whole else source
        for column, source in sources.items()
    ]
    if "k" in tables:
        tables.add("c")
    joins = "".join(join for table, join in _JOINS.items() if table in tables)
    members = "m.uid BETWEEN :low AND :high" if dense else "m.uid IN :LIST(uids)"
    kept = " AND m.size IS NOT NULL" if table == "expunged" else ""
    return Stmt(
        f"SELECT {', '.join(['m.uid', *chosen])} FROM {table} AS m{joins}"
        f" WHERE m.mailbox_id = :mailbox AND {members}{kept} ORDER BY m.uid"
    )
