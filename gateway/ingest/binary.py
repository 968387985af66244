"""Parts that came with Content-Transfer-Encoding: binary become base64 (RFC 3516 6): BODY must be able to show them.

The message is in the store, or in its last octets in memory, and has been parsed: it is written once more with
these parts changed. All other octets stay what they were.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Callable
from typing import Final

from gateway.mime import PartNode, decode_parts
from gateway.model.body import PartKind
from gateway.store.content import StagedContent, read_staged
from gateway.store.db import Database

from .writer import ContentWriter

_FIELD: Final = re.compile(rb"^Content-Transfer-Encoding[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
_LINE: Final = 57  # octets that make a line of 76 signs (RFC 2045 6.8)
_READ: Final = _LINE * 4096


async def without_binary(
    db: Database, staged: StagedContent, writer: Callable[[], ContentWriter]
) -> StagedContent | None:
    """The message with its binary parts in base64; None when it has none. Raises what the writer raises."""
    root = decode_parts(staged.meta.parts)
    if b"binary" not in staged.meta.parts or not any(_is_binary(node) for node in _walk(root)):
        return None
    made = writer()
    async for octets in _changed(db, staged, root):
        await made.write(octets)
    return await made.finish()


async def _changed(db: Database, staged: StagedContent, root: PartNode) -> AsyncIterator[bytes]:
    at = 0
    yield _header(staged.header, root) if _is_binary(root) else staged.header
    for node in _walk(root):
        if not _is_binary(node):
            continue
        if node is not root:
            async for octets in _range(db, staged, at, node.header_start):
                yield octets
            yield _header(await _read(db, staged, node.header_start, node.header_end), node)
            at = node.header_end
        if node.kind is PartKind.LEAF:
            async for octets in _range(db, staged, at, node.header_end):
                yield octets
            for start in range(node.header_end, node.body_end, _READ):
                octets = await _read(db, staged, start, min(start + _READ, node.body_end))
                yield base64.encodebytes(octets).replace(b"\n", b"\r\n")
            at = node.body_end
    async for octets in _range(db, staged, at, staged.size - len(staged.header)):
        yield octets


def _header(header: bytes, node: PartNode) -> bytes:
    """What holds parts has an identity encoding, and what was binary in them is so no more (RFC 2045 6.4)."""
    encoding = b"base64" if node.kind is PartKind.LEAF else b"8bit"
    field = b"Content-Transfer-Encoding: " + encoding
    return _FIELD.sub(lambda found: field + (b"\r" if found[0].endswith(b"\r") else b""), header)


def _is_binary(node: PartNode) -> bool:
    return node.encoding == b"binary"


def _walk(root: PartNode) -> list[PartNode]:
    """All parts in the order of their octets."""
    found = []
    stack = [root]
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(reversed(node.children))
    return found


async def _range(db: Database, staged: StagedContent, start: int, stop: int) -> AsyncIterator[bytes]:
    for at in range(start, stop, _READ):
        yield await _read(db, staged, at, min(at + _READ, stop))


async def _read(db: Database, staged: StagedContent, start: int, stop: int) -> bytes:
    return await db.read(lambda rx: read_staged(rx, staged, start, stop))
