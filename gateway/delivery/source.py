"""The octets of a queued message, in pages, each a short read: no transaction lives across a socket write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import ContentId
from gateway.store import content
from gateway.store.db import Database, Rx

PAGE: Final = 262_144  # octets a read


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """Header and the first page of the body are at hand; the rest is read while it is sent."""

    content_id: ContentId
    header: bytes
    first: bytes
    body_size: int

    @property
    def size(self) -> int:
        return len(self.header) + self.body_size

    async def chunks(self, db: Database) -> AsyncIterator[bytes]:
        """All octets in order. NotFound when the content was collected, which open queue rows prevent."""
        yield self.header + self.first
        at = len(self.first)
        while at < self.body_size:
            start = at
            page = await db.read(lambda rx: content.read_body(rx, self.content_id, start, start + PAGE))  # noqa: B023
            at += len(page)
            yield page


async def stored(db: Database, content_id: ContentId) -> StoredMessage:
    """NotFound, Unavailable."""

    def query(rx: Rx) -> StoredMessage:
        row = content.content_row(rx, content_id)
        header = content.read_header(rx, content_id)
        return StoredMessage(content_id, header, content.read_body(rx, content_id, 0, PAGE), row.body_size)

    return await db.read(query)
