"""Notices to senders: made and staged here, delivered to the sender's inbox by the unit of what they tell."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.ingest.writer import Ingest
from gateway.model.errors import GatewayError, NotFound
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.model.mailbox import INBOX
from gateway.store import content, mailboxes, messages
from gateway.store.content import StagedContent
from gateway.store.db import Database, Rx, Tx
from gateway.store.inboxes import inbox_by_id
from gateway.store.submissions import hold_of

from .dsn import Action, Notice, compose
from .notify import Ended, Letter, owed
from .source import StoredMessage, stored

log = structlog.get_logger(__name__)

RETURNED: Final = 1_048_576
"""Octets of a message that a notice returns whole where RET=FULL asks for it (RFC 3461 4.3); of larger ones, the
header."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The submission that notices are about. `full`: its sender asked for the whole message (RET=FULL)."""

    inbox_id: InboxId
    mail_from: str
    envelope_id: str | None
    accepted_at: int
    content_id: ContentId
    header: bytes
    full: bool = False


@dataclass(frozen=True, slots=True)
class Mailing:
    """Notices of one submission, staged, and where they go; each with the rows that it is about."""

    inbox_id: InboxId
    mailbox: MailboxId
    notices: tuple[tuple[StagedContent, frozenset[int]], ...]

    @property
    def size(self) -> int:
        return sum(staged.size for staged, _ in self.notices)

    def deliver(self, tx: Tx, now: int, rows: Collection[int]) -> bool:
        """In the unit that changes `rows`: what is about one of them. Whether anything was."""
        told = False
        for staged, about in self.notices:
            if about.isdisjoint(rows):
                continue
            content.complete(tx, staged, now)
            # Nobody else is left to tell: a full inbox gets it all the same.
            messages.append(tx, self.mailbox, self.inbox_id, staged, internal_date=now, now=now, beyond_quota=True)
            told = True
        return told


class Notices:
    """Makes them; `hostname` signs them."""

    def __init__(self, db: Database, ingest: Ingest, *, hostname: str) -> None:
        self._db = db
        self._ingest = ingest
        self._hostname = hostname

    async def after(self, ended: Ended, now: int) -> Mailing | None:
        """What is to be told of an attempt's end; None: nothing. Unavailable."""
        letters = owed(ended)
        if not letters:
            return None
        item = ended.items[0]
        origin = Origin(
            item.inbox_id, item.mail_from, item.envelope_id, item.created_at, item.content_id, ended.header,
            item.ret == "FULL" and not item.bodybinary,  # such octets are no message/rfc822 (RFC 2046 5.2.1)
        )  # fmt: skip
        return await self.stage(origin, letters, now)

    async def stage(self, origin: Origin, letters: Mapping[Action, Letter], now: int) -> Mailing | None:
        """None: nobody to tell (an inbox that is gone). Unavailable."""

        def query(rx: Rx) -> tuple[MailboxId, str | None] | None:
            inbox = inbox_by_id(rx, origin.inbox_id)
            if inbox is None or inbox.deleted_at is not None:
                return None
            mailbox = mailboxes.by_name(rx, origin.inbox_id, INBOX)
            return None if mailbox is None else (mailbox.id, hold_of(rx, origin.content_id))

        found = await self._db.tiny(query)
        if found is None:
            return None
        mailbox, hold = found
        staged = []
        for action, letter in letters.items():
            try:
                staged.append((await self._write(origin, action, letter, hold, now), letter.rows))
            except GatewayError:
                raise
            except Exception as error:  # a defect here must not have mail sent again, or keep other notices waiting
                log.error("delivery.notice_defect", action=action, inbox=origin.inbox_id, kind=type(error).__name__)
        return Mailing(origin.inbox_id, mailbox, tuple(staged))

    async def _write(
        self, origin: Origin, action: Action, letter: Letter, hold: str | None, now: int
    ) -> StagedContent:
        message = await self._whole(origin) if origin.full and action == "failed" else None
        composed = compose(
            Notice(
                hostname=self._hostname,
                mail_from=origin.mail_from,
                envelope_id=origin.envelope_id,
                action=action,
                recipients=letter.statuses,
                header=origin.header,
                accepted_at=origin.accepted_at,
                now=now,
                token=secrets.token_hex(16),
                full=message is not None,
                hold=hold,
            )
        )
        writer = self._ingest.writer(max_size=len(composed.head) + len(composed.tail) + RETURNED)
        try:
            await writer.write(composed.head)
            if message is not None:
                async for chunk in message.chunks(self._db):
                    await writer.write(chunk)
            await writer.write(composed.tail)
            return await writer.finish()
        except BaseException:
            await writer.abort()
            raise

    async def _whole(self, origin: Origin) -> StoredMessage | None:
        """None where it is too large, or gone."""
        try:
            message = await stored(self._db, origin.content_id)
        except NotFound:
            return None
        return message if message.size <= RETURNED else None
