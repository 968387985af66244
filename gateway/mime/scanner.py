"""One pass over a message's octets, in chunks of any size, to its parts, envelope and identity.

How it works. The message's own header is buffered until its blank line. From then on only two things are
looked for: the blank line that ends a part's MIME header, and a line that is a boundary of an open multipart.
A boundary line begins with "--" and what all open boundaries have in common, so `bytes.find` skips to the few
places where one may stand; lines are counted by `bytes.count`, and only where BODYSTRUCTURE needs them.
What may still become such a line at the end of a chunk is carried into the next: at most `boundaries.LONGEST_LINE`
octets, or one unfinished MIME header. The body itself is never held.

Offsets count from the end of the message's own header (model/body.py). Open parts stand on an explicit stack:
depth is data here, never recursion.

Invariants (tests/properties/test_mime_scanner.py): the result does not depend on how the octets were cut; header
and body are the message; children lie inside their parent, in order, without overlap; no input raises.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from gateway.model.body import ParsedMessage, Part, PartKind

from .boundaries import Boundaries, BoundaryLine
from .building import OpenPart, as_opaque, closed
from .date import parse_date
from .envelope import envelope_of, own_message_id, references_of
from .header import FieldIndex, index_fields
from .structure import ContentFields, content_fields

PARSER_VERSION: Final = 1
"""Stored with each message; raise it when derived data (search, sort, preview) should be made again."""

MAX_HEADER: Final = 256 * 1024  # octets of one header that are parsed; real ones are below 64 KiB
MAX_NESTED_HEADERS: Final = 4 * 1024 * 1024  # octets of all MIME headers together: bounds BODYSTRUCTURE's size
MAX_DEPTH: Final = 100  # nested parts, as Dovecot
MAX_PARTS: Final = 10_000  # parts of one message, as Dovecot

_COALESCE: Final = 16 * 1024  # smaller chunks wait for each other: else a header fed octet by octet is quadratic

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_HEADER_STOP: Final = re.compile(rb"\n(?:\r?\n|--)")
_MESSAGE_SUBTYPES: Final = frozenset({b"rfc822", b"global"})  # RFC 2046 5.2.1, RFC 6532 3.7


class _Mode(Enum):
    OWN_HEADER = 0  # the message's header
    PART_HEADER = 1  # the header of a part, or of an encapsulated message
    BODY = 2


class Scanner:
    """Feed the whole message, header first; then `finish`. Never raises on any octets."""

    def __init__(self) -> None:
        self._mode = _Mode.OWN_HEADER
        self._head = bytearray()
        self._header: bytes | None = None
        self._index: FieldIndex = {}
        self._has_nul = False
        self._buffer = b""  # carried octets of the body; nothing of them is counted or looked at twice without need
        self._pending: list[bytes] = []  # small chunks not yet joined to the buffer
        self._pending_octets = 0
        self._base = 0  # offset of _buffer[0] in the body
        self._search_from = -1  # offset from which line ends are looked at; -1: that of the header's blank line
        self._part_header = 0  # offset where the header being read begins
        self._stack: list[OpenPart] = []
        self._open = Boundaries()
        self._parts = 0
        self._nested_headers = 0
        self._line_counters = 0  # open parts that need their lines
        self._lines = 0  # line ends seen while there were such parts
        self._counted = 0  # offset up to which line ends are counted
        self._root: Part | None = None
        self._message: ParsedMessage | None = None

    @property
    def header_complete(self) -> bool:
        """The message's own header has been seen to its end (or to the limit of a header)."""
        return self._header is not None

    @property
    def header(self) -> bytes:
        """The message's own header with its blank line; before it is complete, what has come of it so far."""
        return bytes(self._head) if self._header is None else self._header

    def feed(self, chunk: bytes) -> None:
        """The next octets of the message; any size, also empty."""
        if not chunk:
            return
        if b"\0" in chunk:
            self._has_nul = True
        if self._mode is _Mode.OWN_HEADER:
            self._feed_header(chunk)
        else:
            self._feed_body(chunk)

    def finish(self) -> ParsedMessage:
        """No more octets come. May be called again; answers the same."""
        if self._message is not None:
            return self._message
        if self._header is None:
            self._own_header_done(bytes(self._head), cut=False)
        self._take_pending()
        size = self._base + len(self._buffer)
        self._scan(final=True)
        self._close_parts(0, size)
        assert self._root is not None  # _own_header_done has opened the root, _close_parts has closed it
        index, self._index = self._index, {}
        envelope = envelope_of(index)
        in_reply_to, references = references_of(index)
        self._message = ParsedMessage(
            header=self.header,
            body_size=size,
            root=self._root,
            envelope=envelope,
            message_id=own_message_id(envelope.message_id),
            in_reply_to=in_reply_to,
            references=references,
            sent_date=parse_date(envelope.date) if envelope.date else None,
            has_nul=self._has_nul,
        )
        return self._message

    # The message's own header

    def _feed_header(self, chunk: bytes) -> None:
        octets: bytes | bytearray = chunk
        known = len(self._head)
        if known:
            self._head += chunk
            octets = self._head
        end = _end_of_header(octets, max(0, known - 3))
        if end is None and len(octets) < MAX_HEADER:
            if not known:
                self._head += chunk
            return
        cut = end is None
        if end is None:
            # Kept whole, but what follows the limit is body: no message makes us hold more than this.
            end = octets.rfind(b"\n", 0, MAX_HEADER) + 1 or MAX_HEADER
        octets = bytes(octets)
        self._own_header_done(octets[:end], cut=cut)
        # One octet before the body stays in the buffer: the line end that a boundary at offset 0 follows.
        self._buffer = octets
        self._base = -len(self.header)
        self._scan(final=False)

    def _own_header_done(self, header: bytes, *, cut: bool) -> None:
        self._header = header
        self._head = bytearray()
        self._mode = _Mode.BODY
        self._index = index_fields(header)
        self._open_part(content_fields(self._index), 0, 0, opaque=cut)

    # The body

    def _feed_body(self, chunk: bytes) -> None:
        if not self._open.needle and self._mode is _Mode.BODY:  # nothing is looked for any more
            if self._line_counters:
                self._lines += chunk.count(b"\n")
            self._base += len(self._buffer) + len(chunk)
            self._counted = self._base
            self._buffer = b""
            return
        self._pending.append(chunk)
        self._pending_octets += len(chunk)
        if self._pending_octets >= _COALESCE:
            self._take_pending()
            self._scan(final=False)

    def _take_pending(self) -> None:
        if self._pending:
            self._buffer = b"".join((self._buffer, *self._pending)) if self._buffer else b"".join(self._pending)
            self._pending = []
            self._pending_octets = 0

    def _scan(self, *, final: bool) -> None:
        """Read the buffer as far as it is certain, then drop what no later decision needs."""
        while True:
            if self._mode is _Mode.PART_HEADER:
                more = self._scan_header(final)
            elif self._open.needle:
                more = self._scan_body(final)
            else:
                more = False
                self._search_from = self._base + len(self._buffer) + 1
            if not more:
                break
        # The octet before the next line end may be the CR of a boundary's CRLF.
        keep = self._part_header - 1 if self._mode is _Mode.PART_HEADER else self._search_from - 1
        keep = min(keep, self._base + len(self._buffer))
        if self._mode is _Mode.BODY:
            self._count_to(keep)
        if keep > self._base:
            self._buffer = self._buffer[keep - self._base :]
            self._base = keep

    def _scan_body(self, final: bool) -> bool:
        line, waits_at = self._open.find(self._buffer, self._search_from - self._base, final)
        if line is not None:
            self._boundary(line)
            return True
        unseen = waits_at if waits_at >= 0 else len(self._buffer) - len(self._open.needle) + 1
        self._search_from = max(self._search_from, self._base + unseen)
        return False

    def _scan_header(self, final: bool) -> bool:
        buffer, needle = self._buffer, self._open.needle
        begin = self._part_header - self._base
        stop = min(len(buffer), begin + MAX_HEADER)
        # One pattern for both ends a header can have: searched apart, one of them would run far past the other.
        match = _HEADER_STOP.search(buffer, self._search_from - self._base, stop)
        while match is not None:
            at = match.start()
            if buffer[match.end() - 1] == 0x0A:
                self._part_header_done(match.end(), cut=False)
                return True
            # A needle cut off by the buffer's end counts as found: then the line is waited for.
            if needle and needle.startswith(buffer[at : at + len(needle)]):
                line, waits = self._open.line_at(buffer, at, final)
                if line is not None:
                    self._boundary(line)
                    return True
                if waits:
                    self._search_from = self._base + at
                    return False
            match = _HEADER_STOP.search(buffer, at + 1, stop)
        if stop - begin >= MAX_HEADER:
            self._part_header_done((buffer.rfind(b"\n", begin, stop) + 1) or stop, cut=True)
            return True
        if final:
            self._part_header_done(len(buffer), cut=False)
            return True
        unseen = len(buffer) - max(len(needle), 3) + 1
        self._search_from = max(self._search_from, self._base + unseen)
        return False

    # Events

    def _boundary(self, line: BoundaryLine) -> None:
        # RFC 2046 5.1.1: the line end before a boundary belongs to it.
        content_end = line.start - 1
        if content_end > 0 and self._buffer[content_end - 1] == 0x0D:
            content_end -= 1
        offset = self._base + content_end
        while self._mode is _Mode.PART_HEADER:  # never finished; a message part then begins an empty one inside
            offset = max(offset, self._part_header)
            self._part_header_done(offset - self._base, cut=False)
        if not self._open:  # that part was the last one allowed
            return
        self._close_parts(line.level + 1, max(offset, self._stack[-1].header_end))
        after = self._base + line.end
        self._search_from = after - 1
        if line.closes:
            self._forget_boundary(line.level)
            self._mode = _Mode.BODY
        else:
            self._begin_header(after)

    def _begin_header(self, offset: int) -> None:
        self._mode = _Mode.PART_HEADER
        self._part_header = offset
        self._search_from = offset - 1  # the line end before it, which with an empty first line ends the header
        self._count_to(offset)

    def _part_header_done(self, end: int, *, cut: bool) -> None:
        """`end`: index in the buffer behind the header that is being read."""
        start = self._part_header
        index = index_fields(self._buffer[start - self._base : end])
        offset = self._base + end
        self._nested_headers += offset - start
        parent = self._stack[-1]
        if parent.kind is PartKind.MESSAGE:
            parent.envelope = envelope_of(index)
            fields = content_fields(index)
        else:
            fields = content_fields(index, in_digest=parent.fields.subtype == b"digest")
        self._mode = _Mode.BODY
        self._search_from = offset - 1
        self._open_part(fields, start, offset, opaque=cut)

    def _open_part(self, fields: ContentFields, start: int, end: int, *, opaque: bool) -> None:
        self._parts += 1
        if self._parts >= MAX_PARTS or self._nested_headers > MAX_NESTED_HEADERS:
            opaque = True
            self._open.clear()  # no boundary counts any more: this part is all the rest
        kind = PartKind.LEAF
        if fields.type == b"multipart":
            kind = PartKind.MULTIPART
        elif fields.type == b"message" and fields.subtype in _MESSAGE_SUBTYPES:
            kind = PartKind.MESSAGE
        if kind is not PartKind.LEAF and (opaque or len(self._stack) >= MAX_DEPTH):
            kind = PartKind.LEAF
            fields = as_opaque(fields)
        counts = kind is PartKind.MESSAGE or fields.type == b"text"
        self._count_to(end)
        part = OpenPart(kind, fields, start, end, counts, self._lines)
        self._line_counters += counts
        if kind is PartKind.MULTIPART:
            part.boundary = fields.boundary
            if part.boundary is not None:
                self._open.add(part.boundary, len(self._stack))
        self._stack.append(part)
        if kind is PartKind.MESSAGE:
            self._begin_header(end)

    def _close_parts(self, level: int, end: int) -> None:
        """Close all open parts from place `level` of the stack on; their content ends at offset `end`."""
        while len(self._stack) > level:
            self._count_to(end)
            if self._stack[-1].boundary is not None:
                self._forget_boundary(len(self._stack) - 1)
            part = closed(self._stack.pop(), end, self._lines)
            self._line_counters -= part.lines is not None
            if self._stack:
                self._stack[-1].children.append(part)
            else:
                self._root = part

    def _forget_boundary(self, level: int) -> None:
        boundary, self._stack[level].boundary = self._stack[level].boundary, None
        self._open.forget(boundary, level)

    def _count_to(self, offset: int) -> None:
        if offset > self._counted:
            if self._line_counters:
                self._lines += self._buffer.count(b"\n", self._counted - self._base, offset - self._base)
            self._counted = offset


def _end_of_header(octets: bytes | bytearray, begin: int) -> int | None:
    """Index behind the first blank line, or None; `begin`: where the last search may have missed one."""
    if octets.startswith((b"\r\n", b"\n")):  # a message that is a body only
        return octets.index(b"\n") + 1
    match = _BLANK_LINE.search(octets, begin, MAX_HEADER)
    return match.end() if match else None


def parse(octets: bytes) -> ParsedMessage:
    """`Scanner` for a message that is in memory."""
    scanner = Scanner()
    scanner.feed(octets)
    return scanner.finish()
