"""Writes down how an attempt ended, and returns what failed for good to its sender, in one unit."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.ingest.writer import Ingest
from gateway.model.ids import MailboxId
from gateway.model.mailbox import INBOX
from gateway.store import content, mailboxes, messages, queue
from gateway.store.content import StagedContent
from gateway.store.db import Database, Rx, Tx
from gateway.store.inboxes import inbox_by_id
from gateway.store.queue import QueueItem

from .dsn import Failed, Report, bounce
from .policy import Decision

log = structlog.get_logger(__name__)

_MAX_BOUNCE = 1_048_576  # octets: the report, one block a recipient, and the original header


@dataclass(frozen=True, slots=True)
class _Return:
    """A bounce, staged, and where it goes."""

    staged: StagedContent
    mailbox: MailboxId


class Outcomes:
    """The one place where queue rows change after an attempt."""

    def __init__(self, db: Database, ingest: Ingest, *, owner: str, hostname: str) -> None:
        self._db = db
        self._ingest = ingest
        self._owner = owner
        self._hostname = hostname

    async def write(
        self,
        items: Sequence[QueueItem],
        decisions: Sequence[Decision],
        *,
        remote: str | None,
        header: bytes,
        now: int,
    ) -> None:
        """Items are of one submission. Rows whose lease was lost meanwhile stay as they are. Unavailable."""
        failed = [
            Failed(item.address, decision.code, decision.enhanced, decision.text, remote)
            for item, decision in zip(items, decisions, strict=True)
            if decision.state == "bounced"
        ]
        back = await self._stage(items[0], failed, header, now) if failed else None
        inbox_id = items[0].inbox_id

        def unit(tx: Tx) -> bool:
            bounced = False
            for item, decision in zip(items, decisions, strict=True):
                done = queue.outcome(
                    tx,
                    item.recipient_id,
                    decision.state,
                    decision.code,
                    decision.enhanced,
                    decision.text.encode("utf-8", "replace"),
                    decision.next_attempt,
                    now,
                    owner=self._owner,
                    remote=remote,
                )
                bounced = bounced or (done.applied and decision.state == "bounced")
            if back is None or not bounced:
                return False
            content.complete(tx, back.staged, now)
            # Nobody else is left to tell: a full inbox gets it all the same.
            messages.append(tx, back.mailbox, inbox_id, back.staged, internal_date=now, now=now, beyond_quota=True)
            return True

        returned = await self._db.write(unit, inboxes=(inbox_id,), octets=back.staged.size if back else 0)
        for item, decision in zip(items, decisions, strict=True):
            log.info(
                f"delivery.{decision.state}",
                submission=item.submission_uuid,
                recipient=item.address,
                remote=remote,
                code=decision.code,
                enhanced=decision.enhanced,
                text=decision.text,
                next_attempt=decision.next_attempt,
            )
        if failed and not returned:
            log.warning("delivery.no_bounce", submission=items[0].submission_uuid, null_sender=not items[0].mail_from)

    async def _stage(self, item: QueueItem, failed: list[Failed], header: bytes, now: int) -> _Return | None:
        """None: nobody to return it to (a null reverse-path, an inbox that is gone)."""
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
        return _Return(await writer.finish(), mailbox)
