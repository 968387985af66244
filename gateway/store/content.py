"""Contents: the immutable octets of messages, and what was parsed from them once.

A content is a header of its own and a body, which lies in 64 KiB pieces under a body id. Two contents may share one
body: variants of a message with and without Bcc differ in their header only. Bodies of slow or large messages
are staged piece by piece in ordinary small units; no row refers to them until one final unit writes the content
together with all that refers to it. So a half-received message does not exist for anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import NotFound
from gateway.model.ids import BodyId, ContentId

from .db import Database, Rx, Tx
from .statements import Stmt

CHUNK: Final = 64 * 1024
"""Octets of each piece of a body but the last: a read of any range touches only the pieces it needs."""
CHUNK_BITS: Final = 16
"""content_chunk.id = body id << CHUNK_BITS | number of the piece: at most 65,536 pieces, 4 GiB."""
ID_BLOCK: Final = 4096
"""Content ids drawn at once: a unit a block instead of one a message. A restart skips the rest of a block."""


@dataclass(frozen=True, slots=True)
class ContentMeta:
    """What parsing and rendering made of a message. Octets are opaque to the store."""

    envelope: bytes
    body: bytes
    bodystructure: bytes
    parts: bytes
    message_id: bytes | None
    in_reply_to: tuple[bytes, ...]
    references: tuple[bytes, ...]
    sent_date: int | None
    has_nul: bool
    parser_version: int


@dataclass(frozen=True, slots=True)
class StagedContent:
    """A whole message that nothing refers to yet.

    `tail`: pieces of the body not in the store yet, from number `tail_index` on, each CHUNK octets but the last.
    `size` counts header and body. `sha256` is of the body followed by the header: in this order a variant with
    another header needs no second look at the body.
    """

    content_id: ContentId
    body_id: BodyId
    header: bytes
    size: int
    sha256: bytes
    tail: tuple[bytes, ...]
    tail_index: int
    meta: ContentMeta

    @property
    def quick(self) -> bool:
        """Completing it is little work for a unit (`Database.write`): at most one piece, and an ordinary header."""
        return len(self.tail) <= 1 and len(self.header) <= CHUNK


@dataclass(frozen=True, slots=True)
class ContentRow:
    """A stored content without its octets; `body` is the rendered BODY (without extension data)."""

    content_id: ContentId
    body_id: BodyId
    size: int
    header_size: int
    sha256: bytes
    has_nul: bool
    parser_version: int
    parts: bytes
    body: bytes
    message_id: bytes | None
    in_reply_to: tuple[bytes, ...]
    references: tuple[bytes, ...]
    sent_date: int | None

    @property
    def body_size(self) -> int:
        return self.size - self.header_size


_META_COLUMNS: Final = (
    "id, body_id, size, header_size, sha256, has_nul, parser_version, parts, body, message_id, in_reply_to,"
    " refs, sent_date"
)
_META_VALUES: Final = (
    "(:id, :body_id, :size, :header_size, :sha256, :has_nul, :parser_version, :parts, :body, :message_id,"
    " :in_reply_to, :refs, :sent_date, :now)"
)
_INSERT_META = Stmt(sqlite=f"INSERT INTO content_meta ({_META_COLUMNS}, created_at) VALUES {_META_VALUES}")
_INSERT_FETCH = Stmt(
    sqlite="INSERT INTO content_fetch (id, envelope, bodystructure) VALUES (:id, :envelope, :bodystructure)"
)
_INSERT_HEADER = Stmt(sqlite="INSERT INTO content_header (id, octets) VALUES (:id, :octets)")
_INSERT_CHUNK = Stmt(sqlite="INSERT INTO content_chunk (id, octets) VALUES (:id, :octets) ON CONFLICT (id) DO NOTHING")
_GROUP: Final = 8
# Each statement gives up the interpreter's lock and has to get it back from a busy loop: eight rows in one.
_INSERT_CHUNKS = Stmt(
    sqlite="INSERT INTO content_chunk (id, octets)"
    " VALUES (:first, :a), (:first + 1, :b), (:first + 2, :c), (:first + 3, :d), (:first + 4, :e), (:first + 5, :f),"
    " (:first + 6, :g), (:first + 7, :h) ON CONFLICT (id) DO NOTHING"
)
_INSERT_ALL = Stmt(
    postgresql=f"WITH m AS (INSERT INTO content_meta ({_META_COLUMNS}, created_at) VALUES {_META_VALUES}),"
    " f AS (INSERT INTO content_fetch (id, envelope, bodystructure) VALUES (:id, :envelope, :bodystructure)),"
    " h AS (INSERT INTO content_header (id, octets) VALUES (:id, :octets)),"
    " s AS (DELETE FROM staging WHERE body_id = :body_id)"
    " INSERT INTO content_chunk (id, octets) SELECT :first + piece.number - 1, piece.octets"
    " FROM unnest(CAST(:tail AS bytea[])) WITH ORDINALITY AS piece (octets, number) ON CONFLICT (id) DO NOTHING"
)
_STAGE = Stmt("INSERT INTO staging (body_id, started_at) VALUES (:body_id, :now)")
_STAGE_CHUNKS = Stmt(
    postgresql="INSERT INTO content_chunk (id, octets) SELECT :first + piece.number - 1, piece.octets"
    " FROM unnest(CAST(:tail AS bytea[])) WITH ORDINALITY AS piece (octets, number)"
)
_UNSTAGE = Stmt("DELETE FROM staging WHERE body_id = :body_id")
_EXISTS = Stmt("SELECT 1 FROM content_meta WHERE id = :id")
_DELETE_CHUNKS = Stmt("DELETE FROM content_chunk WHERE id BETWEEN :first AND :last")
_HEADER = Stmt("SELECT octets FROM content_header WHERE id = :id")
_BODY_ID = Stmt("SELECT body_id, size - header_size FROM content_meta WHERE id = :id")
_CHUNK = Stmt("SELECT octets FROM content_chunk WHERE id = :id")
_CHUNKS = Stmt("SELECT octets FROM content_chunk WHERE id BETWEEN :first AND :last ORDER BY id")
_ROW = Stmt(f"SELECT {_META_COLUMNS} FROM content_meta WHERE id = :id")
_RELEASE = Stmt("INSERT INTO garbage (content_id, at) VALUES (:id, :now) ON CONFLICT (content_id) DO NOTHING")
_RESERVE = Stmt(
    "INSERT INTO sequence (name, next) VALUES (:name, 1 + :size)"
    " ON CONFLICT (name) DO UPDATE SET next = sequence.next + :size RETURNING next"
)


class IdBlocks:
    """Content ids, reserved in blocks before the units that use them. A body's id is that of its first content."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._next = 0
        self._end = 0
        self._lock = asyncio.Lock()

    async def take(self, count: int = 1) -> ContentId:
        """The first of `count` ids in a row that nobody else has. Unavailable when the store cannot write."""
        while self._next + count > self._end:
            async with self._lock:
                if self._next + count > self._end:
                    end: int = await self._db.write(lambda tx: tx.scalar(_RESERVE, name="content", size=ID_BLOCK))
                    self._next, self._end = end - ID_BLOCK, end
        taken = self._next
        self._next += count
        return ContentId(taken)


def chunk_id(body_id: BodyId, index: int) -> int:
    """The row id of piece `index` of a body."""
    return body_id << CHUNK_BITS | index


def stage_chunks(
    tx: Tx, body_id: BodyId, first_index: int, chunks: Sequence[bytes | memoryview], *, now: int
) -> None:
    """Store pieces of a body that is still arriving, each CHUNK octets but the body's last."""
    if first_index == 0:
        tx.do(_STAGE, body_id=body_id, now=now)
    first = chunk_id(body_id, first_index)
    if tx.dialect == "postgresql":
        tx.do(_STAGE_CHUNKS, first=first, tail=chunks)
        return
    _insert_chunks(tx, first, chunks)


def _insert_chunks(tx: Tx, first: int, chunks: Sequence[bytes | memoryview]) -> None:
    """SQLite's way. A row that is there stays: variants share the pieces."""
    whole = len(chunks) - len(chunks) % _GROUP
    for at in range(0, whole, _GROUP):
        a, b, c, d, e, f, g, h = chunks[at : at + _GROUP]
        tx.do(_INSERT_CHUNKS, first=first + at, a=a, b=b, c=c, d=d, e=e, f=f, g=g, h=h)
    for at in range(whole, len(chunks)):
        tx.do(_INSERT_CHUNK, id=first + at, octets=chunks[at])


def discard(tx: Tx, body_id: BodyId, pieces: int) -> None:
    """Forget a staged body of at most `pieces` pieces: its sender gave up."""
    tx.do(_DELETE_CHUNKS, first=chunk_id(body_id, 0), last=chunk_id(body_id, max(pieces - 1, 0)))
    tx.do(_UNSTAGE, body_id=body_id)


def complete(tx: Tx, staged: StagedContent, now: int) -> None:
    """Write the content and the rest of its body, in the unit that writes what refers to it.

    Doing it again in the same unit changes nothing, and variants share the pieces the first of them wrote.
    """
    if staged.content_id in tx.completed:
        return
    tx.completed.add(staged.content_id)
    meta = staged.meta
    values = {
        "id": staged.content_id,
        "body_id": staged.body_id,
        "size": staged.size,
        "header_size": len(staged.header),
        "sha256": staged.sha256,
        "has_nul": int(meta.has_nul),
        "parser_version": meta.parser_version,
        "parts": meta.parts,
        "body": meta.body,
        "message_id": meta.message_id,
        "in_reply_to": _join(meta.in_reply_to),
        "refs": _join(meta.references),
        "sent_date": meta.sent_date,
        "now": now,
    }
    first = chunk_id(staged.body_id, staged.tail_index)
    if tx.dialect == "postgresql":
        tx.do(
            _INSERT_ALL,
            envelope=meta.envelope,
            bodystructure=meta.bodystructure,
            octets=staged.header,
            first=first,
            tail=staged.tail,
            **values,
        )
        return
    tx.do(_INSERT_META, **values)
    tx.do(_INSERT_FETCH, id=staged.content_id, envelope=meta.envelope, bodystructure=meta.bodystructure)
    tx.do(_INSERT_HEADER, id=staged.content_id, octets=staged.header)
    _insert_chunks(tx, first, staged.tail)
    if staged.tail_index:
        tx.do(_UNSTAGE, body_id=staged.body_id)


def release(tx: Tx, content_id: ContentId, now: int) -> None:
    """Say that a reference other than a message's was dropped; the janitor collects the content if it was the last."""
    tx.do(_RELEASE, id=content_id, now=now)


def read_header(rx: Rx, content_id: ContentId) -> bytes:
    """The header with its blank line. NotFound when the content is collected."""
    octets = rx.scalar(_HEADER, id=content_id)
    if octets is None:
        raise NotFound("Content does not exist")
    return bytes(octets)


def read_body(rx: Rx, content_id: ContentId, start: int, stop: int) -> bytes:
    """Octets [start, stop) of the body, cut at its end. Ask for pages of about 256 KiB. NotFound as `read_header`."""
    found = rx.one(_BODY_ID, id=content_id)
    if found is None:
        raise NotFound("Content does not exist")
    body_id, size = found
    stop = min(stop, size)
    if start >= stop:
        return b""
    first, last = start // CHUNK, (stop - 1) // CHUNK
    rows = rx.all(_CHUNKS, first=chunk_id(body_id, first), last=chunk_id(body_id, last))
    octets = rows[0][0] if len(rows) == 1 else b"".join([row[0] for row in rows])
    base = first * CHUNK
    if start == base and stop - base == len(octets):
        return bytes(octets)
    return bytes(octets[start - base : stop - base])


def read_staged(rx: Rx, staged: StagedContent, start: int, stop: int) -> bytes:
    """Octets [start, stop) of the body of a message that nothing refers to yet."""
    pieces: list[bytes] = []
    for index in range(start // CHUNK, -(-stop // CHUNK)):
        if index >= staged.tail_index:
            octets = staged.tail[index - staged.tail_index]
        else:
            octets = bytes(rx.scalar(_CHUNK, id=chunk_id(staged.body_id, index)))
        pieces.append(octets[max(start - index * CHUNK, 0) : stop - index * CHUNK])
    return b"".join(pieces)


def content_row(rx: Rx, content_id: ContentId) -> ContentRow:
    """NotFound as `read_header`."""
    row = rx.one(_ROW, id=content_id)
    if row is None:
        raise NotFound("Content does not exist")
    return ContentRow(
        content_id=row[0],
        body_id=row[1],
        size=row[2],
        header_size=row[3],
        sha256=row[4],
        has_nul=bool(row[5]),
        parser_version=row[6],
        parts=row[7],
        body=row[8],
        message_id=row[9],
        in_reply_to=split_ids(row[10]),
        references=split_ids(row[11]),
        sent_date=row[12],
    )


def exists(rx: Rx, content_id: ContentId) -> bool:
    """Whether the content is complete and not collected."""
    return rx.one(_EXISTS, id=content_id) is not None


def _join(ids: tuple[bytes, ...]) -> bytes | None:
    return b"\n".join(ids) if ids else None


def split_ids(joined: bytes | None) -> tuple[bytes, ...]:
    """The msg-ids of a stored In-Reply-To or References column."""
    return tuple(joined.split(b"\n")) if joined else ()
