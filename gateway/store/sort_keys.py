"""Keys for SORT and THREAD beside contents, made when a mailbox is first sorted: most never are.

A content without a row is read from its header, by whoever sorts, who may then leave the row. Message-IDs are kept as
hashes: two ids that share one would only put mail in one thread.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import Any, Final

from gateway.model.ids import ContentId, MailboxId
from gateway.model.sorting import SortKeys

from .db import Rx, Tx
from .statements import Stmt
from .threads import id_hash

NO_ID: Final = 0
"""Stands in `links` for a message without a Message-ID."""


class Key(Enum):
    """What `key_rows` may be asked for."""

    ARRIVAL = "m.internal_date"
    SIZE = "m.size"
    DATE = "coalesce(s.sent_date, m.internal_date)"  # parsing.md: without a valid Date INTERNALDATE
    SUBJECT = "s.subject"
    FROM = "s.from_box"
    TO = "s.to_box"
    CC = "s.cc_box"
    DISPLAYFROM = "s.from_name"
    DISPLAYTO = "s.to_name"
    REPLY = "s.reply"
    LINKS = "s.links"


IN_MESSAGE: Final = frozenset({Key.ARRIVAL, Key.SIZE})
"""Keys that every message has in its own row."""

_MISSING: Final = (
    "SELECT m.content_id, h.octets FROM message AS m LEFT JOIN content_sort AS s ON s.id = m.content_id"
    " JOIN content_header AS h ON h.id = m.content_id WHERE m.mailbox_id = :mailbox AND {} AND s.id IS NULL"
    " ORDER BY m.uid LIMIT :most"
)
_MISSING_RANGE = Stmt(_MISSING.format("m.uid BETWEEN :low AND :high"))
_MISSING_LIST = Stmt(_MISSING.format("m.uid IN :LIST(uids)"))
_HEADERS = Stmt(
    "SELECT m.uid, h.octets FROM message AS m JOIN content_header AS h ON h.id = m.content_id"
    " WHERE m.mailbox_id = :mailbox AND m.uid IN :LIST(uids)"
)
_COLUMNS: Final = "id, sent_date, reply, subject, from_box, to_box, cc_box, from_name, to_name, links"
_PUT = Stmt(
    f"INSERT INTO content_sort ({_COLUMNS})"
    " SELECT :id, CAST(:sent_date AS bigint), :reply, CAST(:subject AS bytea), CAST(:from_box AS bytea),"
    " CAST(:to_box AS bytea), CAST(:cc_box AS bytea), CAST(:from_name AS bytea), CAST(:to_name AS bytea),"
    " CAST(:links AS bytea) WHERE EXISTS (SELECT 1 FROM content_meta WHERE id = :id) ON CONFLICT DO NOTHING",
    sqlite=f"INSERT INTO content_sort ({_COLUMNS})"
    " SELECT :id, :sent_date, :reply, :subject, :from_box, :to_box, :cc_box, :from_name, :to_name, :links"
    " WHERE EXISTS (SELECT 1 FROM content_meta WHERE id = :id) ON CONFLICT DO NOTHING",
)


def links(keys: SortKeys) -> bytes:
    """The Message-ID's hash, or NO_ID, then those of the ancestors from the oldest on: eight octets each."""
    own = NO_ID if keys.message_id is None else id_hash(keys.message_id)
    return array("q", [own, *map(id_hash, keys.ancestors)]).tobytes()


def value(keys: SortKeys, key: Key, without: Any) -> Any:
    """What `key_rows` should have answered for a message that had no keys; `without` is what it did answer."""
    if key in IN_MESSAGE or (key is Key.DATE and keys.sent_date is None):
        return without
    if key is Key.DATE:
        return keys.sent_date
    if key is Key.LINKS:
        return links(keys)
    return getattr(keys, _ATTRIBUTE[key])


_ATTRIBUTE: Final = {
    Key.SUBJECT: "subject",
    Key.FROM: "from_",
    Key.TO: "to",
    Key.CC: "cc",
    Key.DISPLAYFROM: "display_from",
    Key.DISPLAYTO: "display_to",
    Key.REPLY: "reply",
}


def missing(rx: Rx, mailbox_id: MailboxId, uids: Sequence[int], limit: int) -> list[tuple[ContentId, bytes]]:
    """(content, header) of the first `limit` of the rising `uids` whose keys are not there."""
    if _dense(uids):
        return rx.all(_MISSING_RANGE, mailbox=mailbox_id, low=uids[0], high=uids[-1], most=limit)
    return rx.all(_MISSING_LIST, mailbox=mailbox_id, uids=uids, most=limit)


def headers(rx: Rx, mailbox_id: MailboxId, uids: Sequence[int]) -> list[tuple[int, bytes]]:
    """(UID, header) of those of `uids` that exist."""
    return rx.all(_HEADERS, mailbox=mailbox_id, uids=uids)


def put(tx: Tx, rows: Sequence[tuple[ContentId, SortKeys]]) -> None:
    """Leave the keys of contents for those who sort later. Of one that is collected by now nothing is left."""
    for content_id, keys in rows:
        tx.do(
            _PUT,
            id=content_id,
            sent_date=keys.sent_date,
            reply=int(keys.reply),
            subject=keys.subject,
            from_box=keys.from_,
            to_box=keys.to,
            cc_box=keys.cc,
            from_name=keys.display_from,
            to_name=keys.display_to,
            links=links(keys),
        )


def key_rows(rx: Rx, mailbox_id: MailboxId, uids: Sequence[int], keys: Sequence[Key]) -> list[tuple[Any, ...]]:
    """(uid, whether the keys are there, *keys) of those of the rising `uids` that exist, in UID order."""
    statement = _key_rows(tuple(keys), _dense(uids))
    if not _dense(uids):
        return rx.all(statement, mailbox=mailbox_id, uids=uids)
    rows = rx.all(statement, mailbox=mailbox_id, low=uids[0], high=uids[-1])
    if len(uids) == uids[-1] - uids[0] + 1:
        return rows
    asked = set(uids)
    return [row for row in rows if row[0] in asked]


def _dense(uids: Sequence[int]) -> bool:
    return uids[-1] - uids[0] < 2 * len(uids)


@cache
def _key_rows(keys: tuple[Key, ...], dense: bool) -> Stmt:
    stored = not IN_MESSAGE.issuperset(keys)
    columns = ", ".join(["m.uid", "s.id IS NOT NULL" if stored else "1", *(key.value for key in keys)])
    join = " LEFT JOIN content_sort AS s ON s.id = m.content_id" if stored else ""
    members = "m.uid BETWEEN :low AND :high" if dense else "m.uid IN :LIST(uids)"
    return Stmt(
        f"SELECT {columns} FROM message AS m{join} WHERE m.mailbox_id = :mailbox AND {members} ORDER BY m.uid"
    )
