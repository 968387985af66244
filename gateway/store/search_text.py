"""Text for SEARCH, stored beside each content: what `mime.fold` made of its header fields and of its text parts.

Octets are opaque here. They are what a needle in the same form is looked for in: substrings are then substrings of
octets, which the database finds itself. `SEPARATOR` stands between fields and between parts and is no octet of UTF-8,
so no needle reaches over it.

The unit that makes a message notes its content in `text_due`; a background task makes the text and takes the note away
in the unit that stores it. A content with a row in `content_text` has all of its text; one without is read from its
octets by whoever searches. Large texts are staged like the bodies of messages, under a body id of their own, so that
neither the writer, a search nor the janitor is held by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.model.ids import BodyId, ContentId, MailboxId

from .content import CHUNK, chunk_id
from .db import Rx, Tx
from .statements import Stmt

SEPARATOR: Final = b"\xff"
INLINE: Final = CHUNK
"""Octets of text up to which it is one row: some hundred of them are looked through at once."""
SCAN_PIECES: Final = 16
"""Pieces of a large text that are in memory at once: 1 MiB."""


@dataclass(frozen=True, slots=True)
class SearchText:
    """A content's folded header fields and text parts."""

    content_id: ContentId
    fields: bytes
    text: bytes


class State(IntEnum):
    """What is known of a message that was asked about."""

    LATE = 0
    """Its text is still to be made."""
    LARGE = 1
    """Its text lies in pieces (`in_large_text`); the needle is not in its fields, if they were asked about."""
    FOUND = 2
    """It holds the needle."""


_STATES: Final = tuple(State)
Looked = tuple[int, ContentId, State, bytes]
"""(UID, content, state, all fields if these alone were asked about)"""


_DUE = Stmt(
    "SELECT d.id, EXISTS (SELECT 1 FROM content_text t WHERE t.id = d.id) FROM text_due d WHERE d.id > :after"
    " ORDER BY d.id LIMIT :most"
)
_NOTE_DUE = Stmt("INSERT INTO text_due (id) VALUES (:id) ON CONFLICT DO NOTHING")
_COUNT_DUE = Stmt("SELECT count(*) FROM text_due")
_FORGET_DUE = Stmt("DELETE FROM text_due WHERE id IN :LIST(rows)")
# One statement for any number of rows: each gives up the interpreter's lock and has to get it back from a busy loop.
_PUT_FIELDS = Stmt(
    sqlite="INSERT INTO content_fields (id, octets)"
    " SELECT r.value ->> 0, substr(:octets, r.value ->> 3, r.value ->> 1) FROM json_each(:rows) AS r"
    " WHERE EXISTS (SELECT 1 FROM content_meta c WHERE c.id = r.value ->> 0) ON CONFLICT DO NOTHING",
    postgresql="INSERT INTO content_fields (id, octets) SELECT r.id, r.octets"
    " FROM unnest(CAST(:ids AS bigint[]), CAST(:fields AS bytea[])) AS r (id, octets)"
    " WHERE EXISTS (SELECT 1 FROM content_meta c WHERE c.id = r.id) ON CONFLICT DO NOTHING",
)
_PUT_TEXTS = Stmt(
    sqlite="INSERT INTO content_text (id, size, octets)"
    " SELECT r.value ->> 0, r.value ->> 2, substr(:octets, (r.value ->> 3) + (r.value ->> 1), r.value ->> 2)"
    " FROM json_each(:rows) AS r WHERE EXISTS (SELECT 1 FROM content_fields f WHERE f.id = r.value ->> 0)"
    " ON CONFLICT DO NOTHING",
    postgresql="INSERT INTO content_text (id, size, octets) SELECT r.id, length(r.octets), r.octets"
    " FROM unnest(CAST(:ids AS bigint[]), CAST(:texts AS bytea[])) AS r (id, octets)"
    " WHERE EXISTS (SELECT 1 FROM content_fields f WHERE f.id = r.id) ON CONFLICT DO NOTHING",
)
_PUT_LARGE_FIELDS = Stmt(
    "INSERT INTO content_fields (id, octets) SELECT :id, :fields"
    " WHERE EXISTS (SELECT 1 FROM content_meta WHERE id = :id) ON CONFLICT DO NOTHING"
)
_PUT_LARGE_TEXT = Stmt("INSERT INTO content_text (id, size, body_id) VALUES (:id, :size, :body)")
_LEAD = Stmt(
    postgresql="INSERT INTO meta (key, value) VALUES ('text_leader', :owner || ' ' ||"
    " CAST(extract(epoch FROM now()) AS bigint) + :seconds) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    " WHERE split_part(meta.value, ' ', 1) = :owner"
    " OR CAST(split_part(meta.value, ' ', 2) AS bigint) < extract(epoch FROM now())"
)
_KEEP_BODY = Stmt("DELETE FROM staging WHERE body_id = :body")
_MISSING = Stmt(
    "INSERT INTO text_due (id) SELECT DISTINCT m.content_id FROM message m"
    " WHERE NOT EXISTS (SELECT 1 FROM content_text t WHERE t.id = m.content_id) ON CONFLICT DO NOTHING"
)


def _look(columns: str, joins: str, found: str) -> tuple[Stmt, Stmt]:
    """Two statements over the messages of a mailbox: a range of UIDs, and a list."""
    text = (
        f"SELECT m.uid, m.content_id, {columns} FROM message m {joins} WHERE m.mailbox_id = :mailbox AND {{}} AND"
        f" ({found}) ORDER BY m.uid"
    )
    postgresql = re.sub(r"instr\((\w\.octets), :needle\)", r"position(:needle IN \1)", text)
    dense, sparse = "m.uid BETWEEN :low AND :high", "m.uid IN :LIST(uids)"
    return (
        Stmt(sqlite=text.format(dense), postgresql=postgresql.format(dense)),
        Stmt(sqlite=text.format(sparse), postgresql=postgresql.format(sparse)),
    )


_IN_FIELDS = _look(
    "CASE WHEN f.id IS NULL THEN 0 ELSE 2 END, f.octets",
    "LEFT JOIN content_fields f ON f.id = m.content_id",
    "f.id IS NULL OR instr(f.octets, :needle) > 0",
)
_IN_TEXT = _look(
    "CASE WHEN t.id IS NULL THEN 0 WHEN t.octets IS NULL THEN 1 ELSE 2 END, NULL",
    "LEFT JOIN content_text t ON t.id = m.content_id",
    "t.octets IS NULL OR instr(t.octets, :needle) > 0",
)
_IN_ALL = _look(
    "CASE WHEN t.id IS NULL THEN 0 WHEN t.octets IS NULL AND instr(f.octets, :needle) = 0 THEN 1 ELSE 2 END, NULL",
    "LEFT JOIN content_text t ON t.id = m.content_id LEFT JOIN content_fields f ON f.id = m.content_id",
    "t.octets IS NULL OR instr(f.octets, :needle) > 0 OR instr(t.octets, :needle) > 0",
)
_BODY = Stmt("SELECT body_id FROM content_text WHERE id = :id")
_PIECES = Stmt("SELECT octets FROM content_chunk WHERE id BETWEEN :first AND :last ORDER BY id")


def note_due(tx: Tx, content_id: ContentId) -> None:
    """A message has come: its content waits for its text, in the message's own unit, so that none is forgotten."""
    tx.do(_NOTE_DUE, id=content_id)


def due(rx: Rx, after: int, limit: int) -> list[tuple[ContentId, bool]]:
    """Contents above `after` whose text is to be made, by id, and whether it is there already."""
    return [(ContentId(row[0]), bool(row[1])) for row in rx.all(_DUE, after=after, most=limit)]


def count_due(rx: Rx) -> int:
    """How many contents wait for their text."""
    count: int = rx.scalar(_COUNT_DUE)
    return count


def settle(tx: Tx, content_ids: Sequence[ContentId]) -> None:
    """These wait no more: their text is there, or they are gone."""
    tx.run(_FORGET_DUE, rows=content_ids)


def put(tx: Tx, texts: Sequence[SearchText]) -> None:
    """Store texts of at most INLINE octets and settle them. What is there already, or was collected, stays so."""
    settle(tx, [each.content_id for each in texts])
    if tx.dialect == "postgresql":
        ids = [each.content_id for each in texts]
        tx.do(_PUT_FIELDS, ids=ids, fields=[each.fields for each in texts])
        tx.do(_PUT_TEXTS, ids=ids, texts=[each.text for each in texts])
        return
    rows: list[tuple[int, int, int, int]] = []
    at = 1  # as `substr` counts
    for each in texts:
        rows.append((each.content_id, len(each.fields), len(each.text), at))
        at += len(each.fields) + len(each.text)
    octets = b"".join([octets for each in texts for octets in (each.fields, each.text)])
    tx.do(_PUT_FIELDS, rows=rows, octets=octets)
    tx.do(_PUT_TEXTS, rows=rows, octets=octets)


def put_large(tx: Tx, content_id: ContentId, fields: bytes, size: int, body_id: BodyId) -> None:
    """The same of one whose text of `size` octets is staged as `body_id`, which the janitor collects if unneeded."""
    settle(tx, [content_id])
    if tx.run(_PUT_LARGE_FIELDS, id=content_id, fields=fields):
        tx.run(_PUT_LARGE_TEXT, id=content_id, size=size, body=body_id)
        tx.run(_KEEP_BODY, body=body_id)


def lead(tx: Tx, owner: str, seconds: int) -> bool:
    """Whether `owner` makes the texts for the next `seconds`: of several nodes over one PostgreSQL, one does."""
    return tx.dialect == "sqlite" or tx.run(_LEAD, owner=owner, seconds=seconds) > 0


def note_missing(tx: Tx) -> int:
    """Note all contents of messages that have no text; only a repair asks."""
    return tx.run(_MISSING)


def look_in_fields(rx: Rx, mailbox_id: MailboxId, uids: Sequence[int], needle: bytes) -> list[Looked]:
    """Messages among the rising `uids` with `needle` in any header field, and those that are LATE."""
    return _looked(rx, _IN_FIELDS, mailbox_id, uids, needle)


def look_in_text(rx: Rx, mailbox_id: MailboxId, uids: Sequence[int], needle: bytes) -> list[Looked]:
    """The same for text parts; and those that are LARGE."""
    return _looked(rx, _IN_TEXT, mailbox_id, uids, needle)


def look_in_all(rx: Rx, mailbox_id: MailboxId, uids: Sequence[int], needle: bytes) -> list[Looked]:
    """The same for fields and text."""
    return _looked(rx, _IN_ALL, mailbox_id, uids, needle)


def _looked(
    rx: Rx, statements: tuple[Stmt, Stmt], mailbox_id: MailboxId, uids: Sequence[int], needle: bytes
) -> list[Looked]:
    low, high = uids[0], uids[-1]
    dense, sparse = statements
    if high - low < 2 * len(uids):
        rows = rx.all(dense, mailbox=mailbox_id, low=low, high=high, needle=needle)
        asked = range(low, high + 1) if high - low + 1 == len(uids) else set(uids)
        rows = [row for row in rows if row[0] in asked]
    else:
        rows = rx.all(sparse, mailbox=mailbox_id, uids=uids, needle=needle)
    return [(row[0], row[1], _STATES[row[2]], row[3]) for row in rows]


def in_large_text(rx: Rx, content_id: ContentId, needle: bytes) -> bool:
    """Whether a text that lies in pieces holds `needle`, which may lie across any of them."""
    before = b""
    for octets in _pieces(rx, BodyId(rx.scalar(_BODY, id=content_id))):
        held = before + octets
        if needle in held:
            return True
        before = held[len(held) - len(needle) + 1 :] if len(needle) <= len(held) else held
    return False


def large_text(rx: Rx, content_id: ContentId) -> bytes:
    """The whole of a text that lies in pieces: ask only where its size is known."""
    return b"".join(_pieces(rx, BodyId(rx.scalar(_BODY, id=content_id))))


def _pieces(rx: Rx, body_id: BodyId) -> Iterator[bytes]:
    at = 0
    while True:
        rows = rx.all(_PIECES, first=chunk_id(body_id, at), last=chunk_id(body_id, at + SCAN_PIECES - 1))
        if rows:
            yield b"".join([row[0] for row in rows])
        if len(rows) < SCAN_PIECES:
            return
        at += SCAN_PIECES
