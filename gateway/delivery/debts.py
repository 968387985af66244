"""Tells senders what no attempt's end tells them: that mail was delivered here, and that it is late.

What is owed is in the store: a note for the one, the queue's rows for the other. The unit that delivers a notice takes
the note away, or marks the rows: whoever dies between, or does it twice, tells it once (`store.reports`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from gateway.model.errors import NotFound
from gateway.model.ids import ContentId, SubmissionId
from gateway.model.ports import Clock
from gateway.model.recipient import Notify
from gateway.store import content, reports
from gateway.store.db import Database, Rx, Tx
from gateway.store.reports import About

from .bounces import Mailing, Notices, Origin
from .dsn import Action, Status
from .notify import Letter, is_report, wishes
from .settings import DeliverySettings

log = structlog.get_logger(__name__)

PIECE: Final = 20  # submissions asked for at once
LONGEST_LOOK_S: Final = 60.0  # between looks for what is late, and after a lost wake-up


class Debts:
    """One a process. A change of `settings` counts from the next look."""

    def __init__(self, db: Database, notices: Notices, settings: DeliverySettings, *, clock: Clock) -> None:
        self.settings = settings
        self._db = db
        self._notices = notices
        self._clock = clock
        self._looked_at = 0.0

    @property
    def next_look(self) -> float:
        """Seconds after which something may be late that is not now."""
        notice = self.settings.delay_notice
        return min(LONGEST_LOOK_S, max(notice / 10, 0.1)) if notice else LONGEST_LOOK_S

    async def pay(self) -> None:
        """All that is owed now. Unavailable."""
        while owed := await self._db.tiny(lambda rx: reports.owed(rx, PIECE)):
            for submission_id in owed:
                await self._delivered(submission_id)
        now = self._clock()
        if self.settings.delay_notice and not self._looked_at <= now < self._looked_at + self.next_look:
            self._looked_at = now
            await self._all_late(int(now) - self.settings.delay_notice)

    async def _all_late(self, before: int) -> None:
        after = 0
        while late := await self._db.read(lambda rx: reports.late(rx, before, PIECE, after)):  # noqa: B023
            for submission_id in late:
                await self._late(submission_id)
            after = late[-1]

    async def _delivered(self, submission_id: SubmissionId) -> None:
        """RFC 3461 5.2.3: delivered here, and the sender wants to know."""
        about = await self._db.read(lambda rx: reports.about(rx, submission_id))
        rows = await self._db.read(lambda rx: reports.delivered_here(rx, submission_id))
        told = [
            (row.recipient_id, Status(row.address, None, "2.1.5", "It is in the inbox.", None, row.orcpt))
            for row in rows
            if wishes(row.notify, Notify.SUCCESS)
        ]
        mailing = await self._stage(about, "delivered", told)

        def unit(tx: Tx, now: int) -> None:
            rows = [row for row, _ in told]
            if reports.told_of_delivery(tx, submission_id, rows, now) and mailing is not None:
                mailing.deliver(tx, now, rows)

        await self._write(unit, mailing)
        log.info("delivery.told", submission=submission_id, action="delivered", notice=mailing is not None)

    async def _late(self, submission_id: SubmissionId) -> None:
        """RFC 3461 5.2.5. Told or not (nobody may be left to tell), its rows are marked."""
        about = await self._db.read(lambda rx: reports.about(rx, submission_id))
        rows = await self._db.read(lambda rx: reports.late_recipients(rx, submission_id))
        until = None if about is None else about.since + self.settings.schedule.lifetime
        told = [
            (
                row.recipient_id,
                Status(
                    row.address, row.code, row.enhanced, (row.text or b"").decode("utf-8", "replace"), row.remote,
                    row.orcpt, until,
                ),
            )
            for row in rows
        ]  # fmt: skip
        mailing = await self._stage(about, "delayed", told)

        def unit(tx: Tx, now: int) -> None:
            rows = reports.told_of_delay(tx, [row for row, _ in told], now)
            if mailing is not None:
                mailing.deliver(tx, now, rows)

        await self._write(unit, mailing)
        log.info("delivery.told", submission=submission_id, action="delayed", notice=mailing is not None)

    async def _stage(self, about: About | None, action: Action, told: list[tuple[int, Status]]) -> Mailing | None:
        """None: nobody is to be told, or left."""
        if about is None or not about.mail_from or not told:
            return None
        header = await self._db.read(lambda rx: _header(rx, about.content_id))
        if is_report(header):
            return None
        origin = Origin(about.inbox_id, about.mail_from, about.envelope_id, about.created_at, about.content_id, header)
        letter = Letter(frozenset(row for row, _ in told), tuple(status for _, status in told))
        return await self._notices.stage(origin, {action: letter}, int(self._clock()))

    async def _write(self, unit: Callable[[Tx, int], None], mailing: Mailing | None) -> None:
        now = int(self._clock())
        inboxes = () if mailing is None else (mailing.inbox_id,)
        await self._db.write(lambda tx: unit(tx, now), inboxes=inboxes, octets=0 if mailing is None else mailing.size)


def _header(rx: Rx, content_id: ContentId) -> bytes:
    try:
        return content.read_header(rx, content_id)
    except NotFound:  # the recipient has removed it already
        return b""
