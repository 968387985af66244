"""Queue rows of one submission, and its stored message, as a transaction for the transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from gateway.model.recipient import Notify, Recipient
from gateway.outbound.mail import OutgoingMail
from gateway.store import content
from gateway.store.db import Database
from gateway.store.queue import QueueItem

from .source import StoredMessage


class StoredSource:
    """A message in the store. What is not at hand is read when it is needed: NotFound, Unavailable."""

    def __init__(self, db: Database, message: StoredMessage) -> None:
        self._db = db
        self._message = message

    @property
    def header(self) -> bytes:
        return self._message.header

    @property
    def size(self) -> int:
        return self._message.size

    def chunks(self) -> AsyncIterator[bytes]:
        return self._message.chunks(self._db)

    async def parts(self) -> bytes:
        row = await self._db.read(lambda rx: content.content_row(rx, self._message.content_id))
        return row.parts

    async def read(self, start: int, stop: int) -> bytes:
        if stop <= len(self._message.first):
            return self._message.first[start:stop]
        return await self._db.read(lambda rx: content.read_body(rx, self._message.content_id, start, stop))


def outgoing(db: Database, items: Sequence[QueueItem], message: StoredMessage) -> OutgoingMail:
    """`items` are of one submission."""
    facts = items[0]
    return OutgoingMail(
        mail_from=facts.mail_from,
        recipients=[
            Recipient(item.address, None if item.notify is None else Notify(item.notify), item.orcpt) for item in items
        ],
        source=StoredSource(db, message),
        body_8bit=facts.body8bit,
        binary=facts.bodybinary,
        header_utf8=facts.smtputf8,
        ret=facts.ret,
        envelope_id=facts.envelope_id,
    )
