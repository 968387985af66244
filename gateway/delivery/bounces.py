"""Returns what failed for good to its sender: a bounce message, staged before the unit that writes the outcome."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.ingest.writer import Ingest
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import INBOX
from gateway.store import content, mailboxes, messages
from gateway.store.content import StagedContent
from gateway.store.db import Database, Rx, Tx
from gateway.store.inboxes import inbox_by_id
from gateway.store.queue import QueueItem

from .dsn import Failed, Report, bounce

_MAX_BOUNCE: Final = 1_048_576  # octets: the report, one block a recipient, and the original header


@dataclass(frozen=True, slots=True)
class Return:
    """A bounce, staged, and where it goes."""

    staged: StagedContent
    mailbox: MailboxId
    inbox_id: InboxId

    def deliver(self, tx: Tx, now: int) -> None:
        """In the unit that writes that its recipients bounced."""
        content.complete(tx, self.staged, now)
        # Nobody else is left to tell: a full inbox gets it all the same.
        messages.append(
            tx, self.mailbox, self.inbox_id, self.staged, internal_date=now, now=now, beyond_quota=True
        )


class Bounces:
    """Makes bounces; `hostname` signs them."""

    def __init__(self, db: Database, ingest: Ingest, *, hostname: str) -> None:
        self._db = db
        self._ingest = ingest
        self._hostname = hostname

    async def stage(
        self, items: Sequence[QueueItem], failed: Sequence[Failed], header: bytes, now: int
    ) -> Return | None:
        """Items are of one submission. None: nobody to return it to (a null reverse-path, an inbox that is gone).

        Unavailable.
        """
        item = items[0]
        if not item.mail_from:
            return None

        def query(rx: Rx) -> MailboxId | None:
            inbox = inbox_by_id(rx, item.inbox_id)
            if inbox is None or inbox.deleted_at is not None:
                return None
            mailbox = mailboxes.by_name(rx, item.inbox_id, INBOX)
            return None if mailbox is None else mailbox.id

        mailbox = await self._db.tiny(query)
        if mailbox is None:
            return None
        octets = bounce(
            Report(
                hostname=self._hostname,
                mail_from=item.mail_from,
                envelope_id=item.envelope_id,
                failed=failed,
                header=header,
                accepted_at=item.created_at,
                now=now,
                token=secrets.token_hex(16),
            )
        )
        writer = self._ingest.writer(max_size=_MAX_BOUNCE)
        await writer.write(octets)
        return Return(await writer.finish(), mailbox, item.inbox_id)
