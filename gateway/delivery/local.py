"""Mail in the queue for inboxes here: what had to wait, for its time or somebody's consent, and may go now.

A delivery is one unit with its outcome: a crash leaves the message in the inbox and the row `sent`, or neither. Such
rows stand under a destination of their own (`submissions.HERE_LATER`), so that no relay that is slow delays them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.ingest.binary import GROWTH, as_text
from gateway.ingest.writer import ContentWriter, Ingest
from gateway.mime import may_be_report
from gateway.model.errors import NotFound, OverQuota
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import INBOX, JUNK
from gateway.model.ports import Clock
from gateway.model.recipient import Notify
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store import content, lists, mailboxes, messages, queue_outcome, reports, uses
from gateway.store.addresses import Local, resolve_recipient
from gateway.store.content import StagedContent
from gateway.store.db import Database, Rx, Tx
from gateway.store.inboxes import inbox_by_id
from gateway.store.queue import QueueItem, QueueState
from gateway.store.queue_outcome import Result
from gateway.store.statements import Stmt
from gateway.store.submissions import HERE

from .notify import wishes
from .policy import unasked
from .routes import Found, Route, RouteKind
from .source import StoredMessage

log = structlog.get_logger(__name__)

NAME: Final = "(here)"  # as no relay can be called
ROUTE: Final = Found(Route(NAME, RouteKind.LOCAL))
_RETURN_PATH: Final = 1_024  # octets of that field at most
_FULL: Final = Outcome(Verdict.TEMPORARY, Stage.ROUTE, 452, "4.2.2", "The mailbox is full")
_CHANGING: Final = Outcome(Verdict.TEMPORARY, Stage.ROUTE, 451, "4.2.1", "The mailbox just went away")
# Reports tell of mail that was delivered here from what was handed on by this: nobody was asked.
_NOBODY_ASKED = Stmt("UPDATE queue_recipient SET attempts = 0 WHERE id IN :LIST(rows)")


@dataclass(frozen=True, slots=True)
class _Place:
    inbox_id: InboxId
    mailbox_id: MailboxId


class LocalDelivery:
    """One a process; `owner` is its name on leases."""

    def __init__(self, db: Database, ingest: Ingest, *, owner: str, clock: Clock) -> None:
        self._db = db
        self._ingest = ingest
        self._owner = owner
        self._clock = clock

    async def deliver(
        self, found: Found, items: Sequence[QueueItem], message: StoredMessage
    ) -> list[tuple[QueueItem, Outcome]]:
        """Recipients of one submission: those that could not be delivered and why; the rest is done, durably.

        Unavailable.
        """
        refused = unasked(found)
        assert refused is not None
        places = await self._db.read(lambda rx: [_place_of(rx, item) for item in items])
        left = [(item, refused) for item, place in zip(items, places, strict=True) if place is None]
        by_place: dict[_Place, list[QueueItem]] = {}
        for item, place in zip(items, places, strict=True):
            if place is not None:
                by_place.setdefault(place, []).append(item)
        if by_place:
            writer, staged = await self._stage(items[0], message)
            kept = False
            for place, members in by_place.items():  # aliases of one inbox: one copy
                # Unavailable: what was staged may have been attached after all, and is the janitor's to judge.
                problem = await self._keep(place, members, staged)
                left += [(item, problem) for item in members if problem is not None]
                kept = kept or problem is None
            if not kept:
                await writer.abort()
        return left

    async def _stage(self, item: QueueItem, message: StoredMessage) -> tuple[ContentWriter, StagedContent]:
        """As it lies in an inbox, and who wrote it. What came as BINARYMIME becomes text that says the same."""
        writer = self._ingest.writer(max_size=message.size + _RETURN_PATH)
        shown = None
        try:
            await writer.write(b"Return-Path: <" + item.mail_from.encode() + b">\r\n")  # RFC 5321 4.4
            async for chunk in message.chunks(self._db):
                await writer.write(chunk)
            staged = await writer.finish()
            if item.bodybinary:
                size = GROWTH * staged.size
                shown = await as_text(self._db, staged, lambda: self._ingest.writer(max_size=size))
        except BaseException:
            await writer.abort()
            raise
        if shown is None:
            return writer, staged
        await writer.abort()
        return shown

    async def _keep(self, place: _Place, items: Sequence[QueueItem], staged: StagedContent) -> Outcome | None:
        """One inbox; None when it is done, also by somebody else meanwhile."""
        now = int(self._clock())
        results = [
            Result(item.recipient_id, item.submission_id, QueueState.SENT, 250, "2.1.5", HERE) for item in items
        ]

        def unit(tx: Tx) -> bool:
            applied = queue_outcome.settle(tx, results, now, owner=self._owner)
            if not applied:
                return False
            tx.run(_NOBODY_ASKED, rows=sorted(applied))
            if not content.exists(tx, staged.content_id):  # another inbox has it
                content.complete(tx, staged, now)
            report = may_be_report(staged.header)
            messages.deliver(tx, place.mailbox_id, place.inbox_id, staged, now, may_be_report=report)
            told = [item for item in items if item.recipient_id in applied and item.mail_from]
            if any(wishes(item.notify, Notify.SUCCESS) for item in told):
                reports.owe_notice(tx, items[0].submission_id, now)
            return True

        try:
            held = tuple(sorted({place.inbox_id, *(item.inbox_id for item in items)}))  # the senders' too: in one order
            delivered = await self._db.write(unit, inboxes=held, octets=staged.size)
        except OverQuota:
            return _FULL
        except NotFound:  # the mailbox went between the look-up and the unit
            return _CHANGING
        for item in items if delivered else ():
            log.info("delivery.here", submission=item.submission_uuid, recipient=item.address, inbox=place.inbox_id)
        return None


def _place_of(rx: Rx, item: QueueItem) -> _Place | None:
    """What a list of the recipient blocks goes to the mailbox for junk, for it was accepted long ago."""
    found = resolve_recipient(rx, item.address)
    if not isinstance(found, Local):
        return None
    inbox = inbox_by_id(rx, found.inbox_id)
    mailbox = mailboxes.by_name(rx, found.inbox_id, INBOX)
    senders = (item.mail_from,) if item.mail_from else ()
    if found.inbox_id != item.inbox_id and not lists.may_receive(rx, found.inbox_id, senders, ()).allowed:
        mailbox = uses.find(rx, found.inbox_id, JUNK) or mailbox
    if inbox is None or inbox.deleted_at is not None or mailbox is None:
        return None
    return _Place(found.inbox_id, mailbox.id)
