"""Messages of a mailbox out of the store, as a stream that holds no message whole and no snapshot open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from gateway.model.errors import NotFound
from gateway.model.flags import names_of
from gateway.model.ids import ContentId, InboxId
from gateway.model.mailbox import Mailbox
from gateway.store import content, export_rows, mailboxes
from gateway.store.db import Database, Rx
from gateway.store.export_rows import ExportRow

from .targets import ExportedMessage

PAGE: Final = 200  # rows a read
PIECE: Final = 256 * 1024  # octets a read of a body


async def exported(
    db: Database, inbox_id: InboxId, mailbox: Mailbox, uids: Sequence[int] | None = None
) -> AsyncIterator[ExportedMessage]:
    """The messages of a mailbox in UID order (or those of `uids` that exist), as they are when their page is read."""
    words = await db.read(partial(mailboxes.keywords, mailbox_id=mailbox.id))
    wanted = None if uids is None else frozenset(uids)
    after = 0
    while True:
        rows: list[ExportRow] = await db.read(
            partial(export_rows.page, inbox_id=inbox_id, mailbox_id=mailbox.id, after=after, limit=PAGE)
        )
        for row in rows:
            if wanted is not None and row.uid not in wanted:
                continue
            bits = tuple(names_of(row.flags & ~31, words))
            yield ExportedMessage(
                mailbox.name,
                mailbox.uidvalidity,
                row.uid,
                row.internal_date,
                row.size,
                row.flags & 31,
                bits,
                row.content_id,
            )
        if len(rows) < PAGE:
            return
        after = rows[-1].uid


async def octets_of(db: Database, content_id: ContentId) -> AsyncIterator[bytes]:
    """The octets of a message as stored: its header, then its body in pieces.

    NotFound before the first piece when it was expunged and collected meanwhile.
    """

    def start(rx: Rx) -> tuple[bytes, int]:
        row = content.content_row(rx, content_id)
        return content.read_header(rx, content_id), row.body_size

    header, size = await db.read(start)
    yield header
    for first in range(0, size, PIECE):
        piece = await db.read(partial(content.read_body, content_id=content_id, start=first, stop=first + PIECE))
        if not piece:
            raise NotFound("The message was removed while it was read")
        yield piece
