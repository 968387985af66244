"""Octets of a message or of one of its parts as streams: a piece at a time out of the store, whatever their size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.mime import Decoder, PartNode, decode_parts, decoder_for, find_section, is_identity
from gateway.model.body import PartKind
from gateway.model.errors import NotFound
from gateway.model.ids import ContentId
from gateway.store import content, digest_rows
from gateway.store.db import Database, Rx

from .caller import Caller
from .digest import path_of
from .listing import Placed, find_in
from .messages import NO_MESSAGE
from .rendered import NotRendered, leaves_of

_OCTETS: Final = "application/octet-stream"
PIECE: Final = 256 * 1024
"""Octets of one read."""


@dataclass(frozen=True, slots=True)
class Stream:
    """`size` octets of a content, to be read by `pieces`. `type`: the media type; `tag`: what they are, for ever."""

    content_id: ContentId
    size: int
    type: str
    tag: str
    file_name: str | None
    header: bytes
    """What comes first, in memory."""
    start: int
    stop: int
    """Of the body, as stored."""
    encoding: bytes
    """To be undone."""

    async def pieces(self, db: Database, first: int = 0, last: int | None = None) -> AsyncIterator[bytes]:
        """Octets [first, last). NotFound where the content was collected meanwhile."""
        last = self.size if last is None else last
        decoded = self._plain(db, first, last) if is_identity(self.encoding) else self._decoded(db)
        at = first if is_identity(self.encoding) else 0
        async for piece in decoded:
            some = piece[max(first - at, 0) : last - at]
            at += len(piece)
            if some:
                yield some
            if at >= last:
                return

    async def _plain(self, db: Database, first: int, last: int) -> AsyncIterator[bytes]:
        if first < len(self.header):
            yield self.header[first:]
        held = len(self.header)
        at, stop = self.start + max(first - held, 0), self.start + last - held
        while at < stop:
            end = min(at + PIECE, stop)
            piece = await db.read(partial(content.read_body, content_id=self.content_id, start=at, stop=end))
            if not piece:
                raise NotFound(NO_MESSAGE)
            at += len(piece)
            yield piece

    async def _decoded(self, db: Database) -> AsyncIterator[bytes]:
        decoder = decoder_for(self.encoding)
        assert decoder is not None
        at = self.start
        while at < self.stop:
            # Decoded where it is read, in a thread: a piece takes longer than a turn of the loop should.
            stop = min(at + PIECE, self.stop)
            yield await db.read(partial(_decoded_piece, self.content_id, decoder, at, stop))
            at = stop
        yield decoder.finish()


def _decoded_piece(content_id: ContentId, decoder: Decoder, start: int, stop: int, rx: Rx) -> bytes:
    return decoder.feed(content.read_body(rx, content_id, start, stop))


async def raw(db: Database, who: Caller, inbox: str, email_id: str) -> Stream:
    """The message as it is stored. NotFound."""

    def query(rx: Rx) -> Stream:
        found = _found(rx, who, inbox, email_id)
        row = content.content_row(rx, found.content_id)
        return Stream(
            found.content_id, row.size, "message/rfc822", email_id, None,
            content.read_header(rx, found.content_id), 0, row.body_size, b"",
        )  # fmt: skip

    return await db.read(query)


async def part(db: Database, who: Caller, inbox: str, email_id: str, number: str) -> Stream:
    """A part without its transfer encoding, an attached message as it is. NotFound."""
    return await db.offload(_part, who, inbox, email_id, number)


def _part(rx: Rx, who: Caller, inbox: str, email_id: str, number: str) -> Stream:
    found = _found(rx, who, inbox, email_id)
    rows = digest_rows.rows(rx, [found.content_id])
    try:
        root = decode_parts(rows[0].parts)
        leaves = leaves_of(rows[0].bodystructure)
    except (IndexError, NotRendered, ValueError):
        raise NotFound("No such part") from None
    node = find_section(root, path_of(number))
    if node is None or node.kind is PartKind.MULTIPART:
        raise NotFound("No such part")
    leaf = next((leaf for leaf in leaves if leaf.number == number), None)
    size = _size(rx, found.content_id, node)
    return Stream(
        found.content_id, size, _type(node), f"{email_id}.{number}", leaf.file_name if leaf else None, b"",
        node.header_end, node.body_end, b"" if _as_is(node) else node.encoding,
    )  # fmt: skip


def _found(rx: Rx, who: Caller, inbox: str, email_id: str) -> Placed:
    found = find_in(rx, who, inbox, [email_id]).get(email_id)
    if found is None:
        raise NotFound(NO_MESSAGE)
    return found


def _as_is(node: PartNode) -> bool:
    """Nothing to undo, or nobody knows how. A message may not be encoded (RFC 2045 6.4)."""
    return node.kind is PartKind.MESSAGE or is_identity(node.encoding) or decoder_for(node.encoding) is None


def _size(rx: Rx, content_id: ContentId, node: PartNode) -> int:
    """Octets after decoding, which only decoding tells."""
    if _as_is(node):
        return node.size
    decoder = decoder_for(node.encoding)
    assert decoder is not None
    size = 0
    for at in range(node.header_end, node.body_end, PIECE):
        size += len(decoder.feed(content.read_body(rx, content_id, at, min(at + PIECE, node.body_end))))
    return size + len(decoder.finish())


def _type(node: PartNode) -> str:
    text = f"{node.type.decode('ascii', 'replace')}/{node.subtype.decode('ascii', 'replace')}"
    return text if all(sign.isalnum() or sign in "!#$&-^_.+/" for sign in text) and text.isascii() else _OCTETS

