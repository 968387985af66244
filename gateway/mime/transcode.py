"""Leaf parts in another transfer encoding, for a server that takes no eight bits or no binary (RFC 6152 3, RFC 3030 3).

Only the content of such parts and their Content-Transfer-Encoding change; what is decoded stays the same, and every
other octet stays what it was. Signed and encrypted parts are never touched. What to change is decided by what the
octets are, for labels lie; the octets are read in pieces, so that a message of any size costs no memory.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.model.body import PartKind

from .encoders import Base64Encoder, QuotedPrintableEncoder
from .parts import PartNode

Read = Callable[[int, int], Awaitable[bytes]]
"""Octets [start, stop) of the body, counted from the end of the message's header as in PartNode."""

PIECE: Final = 57 * 4096  # octets read at once: whole lines of base64
_FIELD: Final = re.compile(rb"^Content-Transfer-Encoding[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
_VERSION: Final = re.compile(rb"^MIME-Version[ \t]*:", re.IGNORECASE | re.MULTILINE)
_EIGHT_BIT: Final = bytes(range(128, 256))
_IDENTITY: Final = (b"7bit", b"8bit", b"binary")
_SEALED: Final = (b"signed", b"encrypted")  # RFC 1847: every octet counts


class Codec(Enum):
    BASE64 = b"base64"
    QUOTED_PRINTABLE = b"quoted-printable"


class CannotConvert(Exception):
    """The message cannot go out as it has to. `enhanced`: 5.6.3 for its parts, 5.6.7 for a header that needs UTF-8."""

    def __init__(self, enhanced: str, reason: str) -> None:
        super().__init__(reason)
        self.enhanced = enhanced


@dataclass(frozen=True, slots=True)
class Change:
    """A new label for a part, and for a leaf the encoding of its octets."""

    label: bytes
    codec: Codec | None = None


Changes = Mapping[int, Change]
"""By the place of the part in `walk`."""


@dataclass(slots=True)
class Octets:
    """What is known of a range. `raw`: NUL, or CR or LF that stand alone; `eight_bit`: how many octets above 127."""

    size: int = 0
    eight_bit: int = 0
    raw: bool = False
    _cr: bool = False

    def look(self, chunk: bytes) -> None:
        if not chunk:
            return
        self.size += len(chunk)
        if not chunk.isascii():
            self.eight_bit += len(chunk) - len(chunk.translate(None, _EIGHT_BIT))
        if not self.raw:
            pairs = chunk.count(b"\r\n") + (self._cr and chunk.startswith(b"\n"))
            open_cr = chunk.endswith(b"\r")
            crs = chunk.count(b"\r") + self._cr - open_cr
            self.raw = b"\0" in chunk or chunk.count(b"\n") != pairs or crs != pairs
            self._cr = open_cr

    @property
    def unsafe(self) -> bool:
        """DATA cannot carry it unchanged."""
        return self.raw or self._cr


def walk(root: PartNode) -> list[PartNode]:
    """All parts in the order of their octets."""
    found = []
    stack = [root]
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(reversed(node.children))
    return found


async def plan(header: bytes, root: PartNode, end: int, read: Read, *, eight_bit: bool) -> Changes:
    """What has to change so that DATA carries the message, without octets above 127 unless `eight_bit` is allowed.

    `end` counts the body's octets. CannotConvert; what `read` raises.
    """
    if not eight_bit and not header.isascii():
        raise CannotConvert("5.6.7", "The header holds eight-bit text, which the next server does not take")
    nodes = walk(root)
    sealed = _inside_sealed(nodes)
    changes: dict[int, Change] = {}
    at = 0
    for place, node in enumerate(nodes):
        if node is not root:
            await _must_be_plain(read, at, node.header_start, "5.6.3", eight_bit)
            await _must_be_plain(read, node.header_start, node.header_end, "5.6.7", eight_bit)
            at = node.header_end
        if node.kind is not PartKind.LEAF:
            continue
        found = await _look(read, node.header_end, node.body_end)
        at = node.body_end
        if found.unsafe or node.encoding == b"binary" or (found.eight_bit and not eight_bit):
            if place in sealed:
                raise CannotConvert("5.6.3", "A signed or encrypted part cannot be converted for the next server")
            changes[place] = _change(node, found)
    await _must_be_plain(read, at, end, "5.6.3", eight_bit)
    return _with_containers(nodes, changes, sealed, eight_bit)


def _change(node: PartNode, found: Octets) -> Change:
    if node.encoding not in _IDENTITY or (node.type == b"message" and not node.subtype.startswith(b"global")):
        raise CannotConvert("5.6.3", "A part of the message has no form that the next server takes")
    # Each octet that quoted-printable has to quote costs two more, base64 a third of all.
    readable = node.type == b"text" and not found.unsafe and found.eight_bit * 6 <= found.size
    codec = Codec.QUOTED_PRINTABLE if readable else Codec.BASE64
    return Change(codec.value, codec)


def _with_containers(
    nodes: Sequence[PartNode], changes: dict[int, Change], sealed: set[int], eight_bit: bool
) -> Changes:
    """What holds parts has an identity encoding, which follows that of a converted one in it (RFC 2045 6.4)."""
    label = b"8bit" if eight_bit else b"7bit"
    starts = [nodes[place].header_end for place in changes]  # rising, as the parts are
    for place, node in enumerate(nodes):
        if node.kind is PartKind.LEAF or node.encoding not in (b"8bit", b"binary") or node.encoding == label:
            continue
        if place in sealed:
            if node.encoding == b"binary":
                raise CannotConvert("5.6.3", "A signed or encrypted part cannot be converted for the next server")
        elif node.encoding == b"binary" or _any_within(starts, node):
            changes[place] = Change(label)
    return changes


def _any_within(starts: Sequence[int], node: PartNode) -> bool:
    at = bisect_left(starts, node.header_end)
    return at < len(starts) and starts[at] <= node.body_end


def _inside_sealed(nodes: Sequence[PartNode]) -> set[int]:
    """Places of the parts within a signed or encrypted one, not of that itself."""
    found = set()
    until = -1
    for place, node in enumerate(nodes):
        if node.header_start < until:
            found.add(place)
        elif node.kind is PartKind.MULTIPART and node.subtype in _SEALED:
            until = node.body_end
    return found


async def _look(read: Read, start: int, stop: int) -> Octets:
    found = Octets()
    for at in range(start, stop, PIECE):
        found.look(await read(at, min(at + PIECE, stop)))
    return found


async def _must_be_plain(read: Read, start: int, stop: int, enhanced: str, eight_bit: bool) -> None:
    """Octets outside of leaves have no encoding at all. Line ends are the business of who sends them."""
    if not eight_bit and start < stop and (await _look(read, start, stop)).eight_bit:
        raise CannotConvert(enhanced, "Eight-bit text outside of the message's parts cannot be converted")


async def converted(header: bytes, root: PartNode, end: int, read: Read, changes: Changes) -> AsyncIterator[bytes]:
    """The whole message with `changes` made. Raises what `read` raises."""
    at = 0
    yield _relabelled(header, changes[0], top=True) if 0 in changes else header
    for place, node in enumerate(walk(root)):
        change = changes.get(place)
        if change is None:
            continue
        if node is not root:
            async for octets in _pieces(read, at, node.header_start):
                yield octets
            yield _relabelled(await read(node.header_start, node.header_end), change, top=False)
            at = node.header_end
        if change.codec is not None:
            async for octets in _pieces(read, at, node.header_end):
                yield octets
            encoder = Base64Encoder() if change.codec is Codec.BASE64 else QuotedPrintableEncoder()
            async for octets in _pieces(read, node.header_end, node.body_end):
                yield encoder.feed(octets)
            yield encoder.finish()
            at = node.body_end
    async for octets in _pieces(read, at, end):
        yield octets


async def _pieces(read: Read, start: int, stop: int) -> AsyncIterator[bytes]:
    for at in range(start, stop, PIECE):
        yield await read(at, min(at + PIECE, stop))


def _relabelled(header: bytes, change: Change, *, top: bool) -> bytes:
    """A part's header, with its blank line, that names the new encoding; `top`: the message's own."""
    field = b"Content-Transfer-Encoding: " + change.label
    if _FIELD.search(header):
        return _FIELD.sub(lambda found: field + (b"\r" if found[0].endswith(b"\r") else b""), header)
    blank = next((end for end in (b"\r\n", b"\n") if header == end or header.endswith(b"\n" + end)), b"")
    fields, line_end = header[: len(header) - len(blank)], blank or b"\r\n"
    version = b"" if not top or _VERSION.search(header) else b"MIME-Version: 1.0" + line_end
    return fields + version + field + line_end + blank


def binary_to_base64(root: PartNode) -> Changes:
    """RFC 3516 6: parts that are declared binary, for who must be able to show them; what holds them is 8bit then."""
    return {
        place: Change(b"base64", Codec.BASE64) if node.kind is PartKind.LEAF else Change(b"8bit")
        for place, node in enumerate(walk(root))
        if node.encoding == b"binary"
    }
