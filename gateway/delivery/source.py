"""The octets of queued messages, in pages, each a short read: no transaction lives across a socket write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import NotFound
from gateway.model.ids import ContentId
from gateway.store import content
from gateway.store.db import Database, Rx

PAGE: Final = 262_144  # octets a read
SMALL: Final = 65_536  # octets of a message that is read together with others
TOGETHER: Final = 4_194_304  # octets of one such read


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


def _read(rx: Rx, content_id: ContentId, body_size: int) -> StoredMessage:
    header = content.read_header(rx, content_id)
    return StoredMessage(content_id, header, content.read_body(rx, content_id, 0, PAGE), body_size)


async def stored(db: Database, content_id: ContentId) -> StoredMessage:
    """NotFound, Unavailable."""
    return await db.read(lambda rx: _read(rx, content_id, content.content_row(rx, content_id).body_size))


async def small_ones(db: Database, content_ids: Iterable[ContentId]) -> dict[ContentId, StoredMessage]:
    """Those of the messages that are small, in one read; the others are for `stored`. Unavailable."""
    wanted = list(dict.fromkeys(content_ids))

    def query(rx: Rx) -> dict[ContentId, StoredMessage]:
        found: dict[ContentId, StoredMessage] = {}
        room = TOGETHER
        for number in wanted:
            try:
                row = content.content_row(rx, number)
            except NotFound:  # whoever sends it finds out, and says so
                continue
            if row.size <= SMALL and room > 0:
                found[number] = _read(rx, number, row.body_size)
                room -= row.size
        return found

    return await db.read(query)
