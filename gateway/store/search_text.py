"""Text for SEARCH, stored beside each content: what `mime.fold` made of its header fields and of its text parts.

Octets are opaque here. They are what a needle in the same form is looked for in: substrings are then substrings of
octets, which the database finds itself. `SEPARATOR` stands between fields and between parts and is no octet of UTF-8,
so no needle reaches over it.

The unit that makes a message notes its content in `text_due`; a background task makes the text and takes the note away
in the unit that stores it. A content with a row in `content_fields` has all of its text; one without is read from its
octets by whoever searches. Large texts are staged like the bodies of messages, under a body id of their own, so that
neither the writer nor the janitor is held by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import BodyId, ContentId, MailboxId

from .content import CHUNK, chunk_id
from .db import Rx, Tx
from .statements import Stmt

SEPARATOR: Final = b"\xff"
INLINE: Final = 4 * CHUNK
"""Octets of text up to which it is one row: what one unit may write (`ingest.writer.STAGE_OCTETS`)."""
SCAN_PIECES: Final = 16
"""Pieces of a large text that are in memory at once: 1 MiB."""


@dataclass(frozen=True, slots=True)
class SearchText:
    """A content's folded header fields and text parts."""

    content_id: ContentId
    fields: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class Weight:
    """A message's content and how much SEARCH has to look through; None while the text is still to be made."""

    uid: int
    content_id: ContentId
    size: int
    """Octets of the message."""
    fields_size: int | None
    text_size: int | None


_DUE = Stmt(
    "SELECT d.id, EXISTS (SELECT 1 FROM content_fields f WHERE f.id = d.id) FROM text_due d WHERE d.id > :after"
    " ORDER BY d.id LIMIT :most"
)
_NOTE_DUE = Stmt("INSERT INTO text_due (id) VALUES (:id) ON CONFLICT DO NOTHING")
_COUNT_DUE = Stmt("SELECT count(*) FROM text_due")
_FORGET_DUE = Stmt("DELETE FROM text_due WHERE id IN :LIST(rows)")
# One statement for any number of rows: each gives up the interpreter's lock and has to get it back from a busy loop.
_PUT_FIELDS = Stmt(
    sqlite="INSERT INTO content_fields (id, text_size, octets)"
    " SELECT r.value ->> 0, r.value ->> 2, substr(:octets, r.value ->> 3, r.value ->> 1) FROM json_each(:rows) AS r"
    " WHERE EXISTS (SELECT 1 FROM content_meta c WHERE c.id = r.value ->> 0) ON CONFLICT DO NOTHING",
    postgresql="INSERT INTO content_fields (id, text_size, octets) SELECT r.id, r.size, r.octets"
    " FROM unnest(CAST(:ids AS bigint[]), CAST(:sizes AS bigint[]), CAST(:fields AS bytea[])) AS r (id, size, octets)"
    " WHERE EXISTS (SELECT 1 FROM content_meta c WHERE c.id = r.id) ON CONFLICT DO NOTHING",
)
_PUT_TEXTS = Stmt(
    sqlite="INSERT INTO content_text (id, octets)"
    " SELECT r.value ->> 0, substr(:octets, r.value ->> 3 + r.value ->> 1, r.value ->> 2) FROM json_each(:rows) AS r"
    " WHERE r.value ->> 2 > 0 AND EXISTS (SELECT 1 FROM content_fields f WHERE f.id = r.value ->> 0)"
    " ON CONFLICT DO NOTHING",
    postgresql="INSERT INTO content_text (id, octets) SELECT r.id, r.octets"
    " FROM unnest(CAST(:ids AS bigint[]), CAST(:texts AS bytea[])) AS r (id, octets)"
    " WHERE length(r.octets) > 0 AND EXISTS (SELECT 1 FROM content_fields f WHERE f.id = r.id) ON CONFLICT DO NOTHING",
)
_PUT_LARGE_FIELDS = Stmt(
    "INSERT INTO content_fields (id, text_size, octets) SELECT :id, :size, :fields"
    " WHERE EXISTS (SELECT 1 FROM content_meta WHERE id = :id) ON CONFLICT DO NOTHING"
)
_PUT_LARGE_TEXT = Stmt("INSERT INTO content_text (id, body_id) VALUES (:id, :body)")
_LEAD = Stmt(
    postgresql="INSERT INTO meta (key, value) VALUES ('text_leader', :owner || ' ' ||"
    " CAST(extract(epoch FROM now()) AS bigint) + :seconds) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    " WHERE split_part(meta.value, ' ', 1) = :owner"
    " OR CAST(split_part(meta.value, ' ', 2) AS bigint) < extract(epoch FROM now())"
)
_KEEP_BODY = Stmt("DELETE FROM staging WHERE body_id = :body")
_MISSING = Stmt(
    "INSERT INTO text_due (id) SELECT DISTINCT m.content_id FROM message m"
    " WHERE NOT EXISTS (SELECT 1 FROM content_fields f WHERE f.id = m.content_id) ON CONFLICT DO NOTHING"
)

_WEIGH: Final = (
    "SELECT m.uid, m.content_id, m.size, length(f.octets), f.text_size FROM message m"
    " LEFT JOIN content_fields f ON f.id = m.content_id WHERE m.mailbox_id = :mailbox AND {} ORDER BY m.uid"
)
_WEIGH_RANGE = Stmt(_WEIGH.format("m.uid BETWEEN :low AND :high"))
_WEIGH_LIST = Stmt(_WEIGH.format("m.uid IN :LIST(uids)"))
_IN_TEXT = Stmt(
    sqlite="SELECT t.id FROM content_text t WHERE t.id IN :LIST(ids) AND instr(t.octets, :needle) > 0",
    postgresql="SELECT t.id FROM content_text t WHERE t.id IN :LIST(ids) AND position(:needle IN t.octets) > 0",
)
_IN_FIELDS = Stmt(
    sqlite="SELECT f.id FROM content_fields f WHERE f.id IN :LIST(ids) AND instr(f.octets, :needle) > 0",
    postgresql="SELECT f.id FROM content_fields f WHERE f.id IN :LIST(ids) AND position(:needle IN f.octets) > 0",
)
_FIELDS_WITH = Stmt(
    sqlite="SELECT f.id, f.octets FROM content_fields f WHERE f.id IN :LIST(ids) AND instr(f.octets, :needle) > 0",
    postgresql="SELECT f.id, f.octets FROM content_fields f WHERE f.id IN :LIST(ids)"
    " AND position(:needle IN f.octets) > 0",
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
        sizes = [len(each.text) for each in texts]
        tx.do(_PUT_FIELDS, ids=ids, sizes=sizes, fields=[each.fields for each in texts])
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
    if tx.run(_PUT_LARGE_FIELDS, id=content_id, size=size, fields=fields):
        tx.run(_PUT_LARGE_TEXT, id=content_id, body=body_id)
        tx.run(_KEEP_BODY, body=body_id)


def lead(tx: Tx, owner: str, seconds: int) -> bool:
    """Whether `owner` makes the texts for the next `seconds`: of several nodes over one PostgreSQL, one does."""
    return tx.dialect == "sqlite" or tx.run(_LEAD, owner=owner, seconds=seconds) > 0


def note_missing(tx: Tx) -> int:
    """Note all contents of messages that have no text; only a repair asks."""
    return tx.run(_MISSING)


def weigh(rx: Rx, mailbox_id: MailboxId, uids: Sequence[int]) -> list[Weight]:
    """Those of `uids`, which rise, that exist."""
    if not uids:
        return []
    low, high = uids[0], uids[-1]
    if high - low < 2 * len(uids):
        asked = set(uids)
        rows = rx.all(_WEIGH_RANGE, mailbox=mailbox_id, low=low, high=high)
        return [Weight(*row) for row in rows if row[0] in asked]
    return [Weight(*row) for row in rx.all(_WEIGH_LIST, mailbox=mailbox_id, uids=uids)]


def in_text(rx: Rx, content_ids: Sequence[ContentId], needle: bytes) -> set[ContentId]:
    """Those whose text of at most INLINE octets holds `needle`."""
    return {row[0] for row in rx.all(_IN_TEXT, ids=content_ids, needle=needle)}


def in_large_text(rx: Rx, content_id: ContentId, needle: bytes) -> bool:
    """The same of one whose text lies in pieces; a needle may lie across any of them."""
    before = b""
    for octets in _pieces(rx, BodyId(rx.scalar(_BODY, id=content_id))):
        held = before + octets
        if needle in held:
            return True
        before = held[len(held) - len(needle) + 1 :] if len(needle) <= len(held) else held
    return False


def in_fields(rx: Rx, content_ids: Sequence[ContentId], needle: bytes) -> set[ContentId]:
    """Those with `needle` in any header field."""
    return {row[0] for row in rx.all(_IN_FIELDS, ids=content_ids, needle=needle)}


def fields_with(rx: Rx, content_ids: Sequence[ContentId], needle: bytes) -> list[tuple[ContentId, bytes]]:
    """(content, all its fields) of those with `needle` in any of them."""
    return [(row[0], bytes(row[1])) for row in rx.all(_FIELDS_WITH, ids=content_ids, needle=needle)]


def _pieces(rx: Rx, body_id: BodyId) -> Iterator[bytes]:
    at = 0
    while True:
        rows = rx.all(_PIECES, first=chunk_id(body_id, at), last=chunk_id(body_id, at + SCAN_PIECES - 1))
        if rows:
            yield b"".join([row[0] for row in rows])
        if len(rows) < SCAN_PIECES:
            return
        at += SCAN_PIECES
