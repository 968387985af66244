"""One message in a reader's hands: its row, and the octets of its body as its sections need them.

A section's value is whole octets, or their beginning and a piece of the body that the session streams by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.mime import PartNode, decode_parts, decoder_for, find_section, preview_of
from gateway.model.body import PartKind
from gateway.model.ids import ContentId
from gateway.store import content
from gateway.store.db import Rx
from gateway.store.messages import Columns
from gateway.wire.fetch import BinarySection, BodySection
from gateway.wire.render import string

from . import sections
from .settings import BODY_READ

Row = tuple[Any, ...]
"""(uid, *columns of the plan), as `messages.fetch_rows` gives them."""

PREVIEW_WORK: Final = 65_536  # octets: what a preview counts for, so that a page of them takes 0.1 s at most


@dataclass(frozen=True, slots=True)
class BodyRange:
    """[start, stop) of a body, to be read and sent in pieces. `clean`: NUL is to be sent as 0x80."""

    content_id: ContentId
    start: int
    stop: int
    clean: bool


@dataclass(frozen=True, slots=True)
class DecodedRange:
    """[start, stop) of a body, whose transfer encoding is to be undone; of what comes out [first, last)."""

    content_id: ContentId
    start: int
    stop: int
    encoding: bytes
    first: int
    last: int


Pieces = list[bytes | BodyRange | DecodedRange]


class UnknownEncoding(Exception):
    """RFC 3516 4.3: the part has a transfer encoding that we cannot undo."""


class Message:
    """One message's row; parts and body are read when a section needs them.

    `inline`: octets of body that may come with the response. `work`: octets that were read or decoded so far.
    """

    __slots__ = ("_decoded", "_index", "_inline", "_rx", "_tree", "row", "work")

    def __init__(self, rx: Rx, index: dict[Columns, int], row: Row, inline: int) -> None:
        self._rx = rx
        self._index = index
        self._inline = inline
        self.row = row
        self._tree: PartNode | None = None
        self._decoded: dict[tuple[int, ...], int] = {}  # decoded sizes by part
        self.work = 0

    def _value(self, column: Columns) -> Any:
        return self.row[self._index[column]]

    @property
    def content_id(self) -> ContentId:
        return ContentId(self._value(Columns.CONTENT_ID))

    @property
    def has_nul(self) -> bool:
        return bool(self._value(Columns.HAS_NUL))

    def tree(self) -> PartNode:
        if self._tree is None:
            self._tree = decode_parts(self._value(Columns.PARTS))
        return self._tree

    def read(self, start: int, stop: int) -> bytes:
        self.work += stop - start
        return content.read_body(self._rx, self.content_id, start, stop)

    def _locate(self, section: BodySection) -> sections.Extent | None:
        header: bytes = self._value(Columns.HEADER)
        if sections.header_only(section):
            return sections.Extent(sections.header_selector(section)(header)).window(section.partial)
        body_size = self._value(Columns.SIZE) - len(header)
        return sections.locate(section, header, body_size, self.tree, self.read)

    def section(self, section: BodySection) -> tuple[bytes, BodyRange | None]:
        """The value of a BODY item with the blank before it; its body in a range where there is no room for it."""
        extent = self._locate(section)
        if extent is None:
            return b" NIL", None
        head = b" {%d}\r\n%b" % (extent.size, clean(extent.octets))
        length = extent.stop - extent.start
        if not length:
            return head, None
        if self.work + length <= self._inline:
            return head + clean(self.read(extent.start, extent.stop)), None
        return head, BodyRange(self.content_id, extent.start, extent.stop, self.has_nul)

    def preview(self) -> bytes:
        self.work += PREVIEW_WORK
        return string(preview_of(self.tree(), lambda a, z: content.read_body(self._rx, self.content_id, a, z)).encode())

    # -- decoded parts (RFC 3516)

    def binary(self, item: BinarySection) -> tuple[bytes, BodyRange | DecodedRange | None]:
        """The value of a BINARY item, as `section`. UnknownEncoding.

        A part of any size is decoded in pieces: once for its size and to see whether NUL is among its octets, and when
        the session sends it.
        """
        node = find_section(self.tree(), item.path)
        if node is None:
            return b" 0" if item.size else b" NIL", None
        if not item.path:
            return self._whole(item)
        encoding = b"8bit" if node.kind is PartKind.MULTIPART else node.encoding
        if decoder_for(encoding) is None:
            raise UnknownEncoding
        if item.size:
            return b" %d" % self._size(item.path, node, encoding), None
        first, last = (0, 1 << 63) if item.partial is None else (item.partial[0], sum(item.partial))
        if node.size <= self._inline - self.work:
            octets = b"".join(self._decode(node, encoding))
            self._decoded[item.path] = len(octets)
            return _literal8(octets[first:last]), None
        size = at = 0
        nul = False
        for piece in self._decode(node, encoding):
            part = piece[max(first - at, 0) : max(last - at, 0)]
            size += len(part)
            nul = nul or b"\0" in part
            at += len(piece)
            if at >= last:
                break
        head = b" %b{%d}\r\n" % (b"~" if nul else b"", size)
        if not size:
            return head, None
        return head, DecodedRange(self.content_id, node.header_end, node.body_end, encoding, first, first + size)

    def _whole(self, item: BinarySection) -> tuple[bytes, BodyRange | None]:
        """BINARY[] is the message as it is: it has no transfer encoding of its own."""
        header: bytes = self._value(Columns.HEADER)
        extent = sections.Extent(header, 0, self._value(Columns.SIZE) - len(header)).window(item.partial)
        if item.size:
            return b" %d" % extent.size, None
        mark = b"~" if self.has_nul else b""
        head = b" %b{%d}\r\n%b" % (mark, extent.size, extent.octets)
        length = extent.stop - extent.start
        if length and self.work + length <= self._inline:
            return head + self.read(extent.start, extent.stop), None
        return head, BodyRange(self.content_id, extent.start, extent.stop, clean=False) if length else None

    def _size(self, path: tuple[int, ...], node: PartNode, encoding: bytes) -> int:
        size = self._decoded.get(path)
        if size is None:
            size = self._decoded[path] = sum(map(len, self._decode(node, encoding)))
        return size

    def _decode(self, node: PartNode, encoding: bytes) -> Iterator[bytes]:
        decoder = decoder_for(encoding)
        assert decoder is not None  # asked before
        for at in range(node.header_end, node.body_end, BODY_READ):
            yield decoder.feed(self.read(at, min(at + BODY_READ, node.body_end)))
        yield decoder.finish()


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(octets), clean(octets))


def _literal8(octets: bytes) -> bytes:
    """RFC 3516 4.3: a literal8 only where NUL makes one necessary."""
    return b" %b{%d}\r\n%b" % (b"~" if b"\0" in octets else b"", len(octets), octets)


def clean(octets: bytes) -> bytes:
    # RFC 3501 9 CHAR8: NUL cannot be sent in a literal; 0x80 keeps the length (architecture.md, invariant 4).
    return octets.replace(b"\0", b"\x80") if b"\0" in octets else octets
