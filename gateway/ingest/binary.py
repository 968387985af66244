"""Parts that came with Content-Transfer-Encoding: binary become base64 (RFC 3516 6): BODY must be able to show them.

The message is in the store, or in its last octets in memory, and has been parsed: it is written once more with
these parts changed. All other octets stay what they were.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.mime import decode_parts
from gateway.mime.transcode import binary_to_base64, converted
from gateway.store.content import StagedContent, read_staged
from gateway.store.db import Database

from .writer import ContentWriter


async def without_binary(
    db: Database, staged: StagedContent, writer: Callable[[], ContentWriter]
) -> StagedContent | None:
    """The message with its binary parts in base64; None when it has none. Raises what the writer raises."""
    if b"binary" not in staged.meta.parts:
        return None
    root = decode_parts(staged.meta.parts)
    changes = binary_to_base64(root)
    if not changes:
        return None

    async def read(start: int, stop: int) -> bytes:
        return await db.read(lambda rx: read_staged(rx, staged, start, stop))

    made = writer()
    async for octets in converted(staged.header, root, staged.size - len(staged.header), read, changes):
        await made.write(octets)
    return await made.finish()
