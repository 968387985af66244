"""Parts that came with Content-Transfer-Encoding: binary become base64 (RFC 3516 6): BODY must be able to show them.

The message is in the store, or in its last octets in memory, and has been parsed: it is written once more with
these parts changed. All other octets stay what they were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.mime import PartNode, decode_parts
from gateway.mime.transcode import CannotConvert, Changes, Read, binary_to_base64, converted, plan
from gateway.store.content import StagedContent, read_staged
from gateway.store.db import Database

from .writer import ContentWriter

GROWTH: Final = 4
"""A message in base64 and quoted-printable is so many times as large at most: by a third, and three times."""


async def without_binary(
    db: Database, staged: StagedContent, writer: Callable[[], ContentWriter]
) -> StagedContent | None:
    """The message with its binary parts in base64; None when it has none. Raises what the writer raises."""
    if b"binary" not in staged.meta.parts:
        return None
    root = decode_parts(staged.meta.parts)
    changes = binary_to_base64(root)
    return await _written(staged, root, changes, _reader(db, staged), writer()) if changes else None


async def as_text(
    db: Database, staged: StagedContent, writer: Callable[[], ContentWriter]
) -> tuple[ContentWriter, StagedContent] | None:
    """The message with everything in base64 that lines cannot carry, whatever its label says, and who wrote it.

    None when there is nothing to change, or nothing that may be: what is signed stays what it is. Raises what the
    writer raises.
    """
    root, read = decode_parts(staged.meta.parts), _reader(db, staged)
    try:
        changes = await plan(staged.header, root, staged.size - len(staged.header), read, eight_bit=True)
    except CannotConvert:
        return None
    if not changes:
        return None
    made = writer()
    try:
        return made, await _written(staged, root, changes, read, made)
    except BaseException:
        await made.abort()
        raise


def _reader(db: Database, staged: StagedContent) -> Read:
    async def read(start: int, stop: int) -> bytes:
        return await db.read(lambda rx: read_staged(rx, staged, start, stop))

    return read


async def _written(
    staged: StagedContent, root: PartNode, changes: Changes, read: Read, made: ContentWriter
) -> StagedContent:
    async for octets in converted(staged.header, root, staged.size - len(staged.header), read, changes):
        await made.write(octets)
    return await made.finish()
