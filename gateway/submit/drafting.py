"""Scheduled drafts: what is stored in Drafts with a date to be sent at is accepted then and there, for that time.

The rules are those of a submission, and what goes out is made of the octets when they are stored: a draft that is
changed is another message. Whoever stores it gets a plan and keeps it in the unit that appends the draft.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.ingest.writer import ContentWriter
from gateway.model.errors import NoPermission
from gateway.model.ids import InboxId
from gateway.model.permissions import Principal
from gateway.model.ports import Clock
from gateway.store import content, submissions
from gateway.store.content import StagedContent
from gateway.store.db import Database, Rx, Tx
from gateway.store.holds import draft_id
from gateway.store.submissions import SubmissionNew

from . import holds, prepare
from .arrival import read_header
from .directory import Directory, View
from .errors import BadMessage
from .identity import Sender, identify
from .keeping import charge
from .listed import require_recipients
from .rates import Charge, charges_of
from .recipients import Destinations, NotCarried, destinations
from .settings import SubmitSettings

PAGE: Final = 262_144  # octets of a body that are looked through in one read


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """What the unit that appends the draft keeps with it. `email_id`: what the draft is to be called."""

    email_id: str
    outgoing: StagedContent
    submission: SubmissionNew
    charges: tuple[Charge, ...]
    now: int

    def keep(self, tx: Tx) -> None:
        """RateExceeded: then the draft is not kept either, and may be appended as an ordinary one."""
        new = self.submission
        charge(tx, self.charges, len(new.recipients) + len(new.later), self.now)
        content.complete(tx, self.outgoing, self.now)
        submissions.enqueue(tx, new, self.now)


class Drafting:
    """One a process."""

    def __init__(
        self,
        db: Database,
        directory: Directory,
        clock: Clock,
        settings: SubmitSettings,
        *,
        not_carried: NotCarried,
        token: Callable[[], str],
    ) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        self._settings = settings
        self._not_carried = not_carried
        self._token = token

    async def plan(
        self, principal: Principal, inbox_id: InboxId, staged: StagedContent, writer: ContentWriter
    ) -> DraftPlan | None:
        """None for a draft that is not to be sent by itself. `writer` made `staged`.

        BadMessage, NoPermission, SenderNotAuthorized, UnknownRecipient, NoRoute, Blocked: it cannot be sent so.
        """
        if not self._settings.future_release_s or not await read_header(
            staged.header, holds.is_scheduled, staged.header
        ):
            return None
        if not principal.may_send_drafts:
            raise NoPermission("This key may not send")
        now = int(self._clock())
        at = await read_header(staged.header, holds.send_at, staged.header, now, self._settings.future_release_s)
        facts = await read_header(staged.header, prepare.examine, staged.header)
        to = await read_header(staged.header, holds.recipients, staged.header, self._settings.max_recipients)
        author = facts.authors[0]

        def look_up(view: View) -> tuple[Sender, Destinations]:
            sender = identify(view, principal, author, facts.authors)
            if sender.author != inbox_id:
                raise BadMessage("From must be an address of the inbox that the draft lies in")
            places = destinations(view, inbox_id, author, to, self._not_carried)
            require_recipients(view, (inbox_id,), to)
            return sender, places

        sender, places = await self._directory.ask(look_up, inboxes=len(to))
        if not await self._whole_lines(staged):
            raise BadMessage("The draft holds a bare CR, a bare LF or a NUL")
        trace = prepare.Trace(self._settings.hostname, "", self._token(), now)
        outgoing = await read_header(staged.header, self._outgoing, staged, writer, facts, trace)
        email_id = draft_id()
        new = SubmissionNew(
            inbox_id=inbox_id,
            key_id=principal.key_id,
            mail_from=author,
            content_id=outgoing.content_id,
            smtputf8=not staged.header.isascii(),
            body8bit=True,  # nobody has counted: a next hop without 8BITMIME gets it looked through
            message_id=outgoing.meta.message_id,
            size=staged.size,
            release_at=at,
            draft=email_id,
            recipients=places.remote,
            later=places.here,
            hold_reason="scheduled",
            trace=trace.trace_id,
        )
        return DraftPlan(email_id, outgoing, new, charges_of(principal, sender, self._settings), now)

    def _outgoing(
        self, staged: StagedContent, writer: ContentWriter, facts: prepare.HeaderFacts, trace: prepare.Trace
    ) -> StagedContent:
        message_id = prepare.message_id(facts, trace, self._token())
        header = prepare.complete(holds.outward(staged.header), facts, trace, message_id)
        return writer.variant(staged, prepare.without_private(header, facts))

    async def _whole_lines(self, staged: StagedContent) -> bool:
        lines = holds.LineEnds()
        lines.feed(staged.header)
        size, at = staged.size - len(staged.header), 0

        def page(rx: Rx) -> bytes:
            return content.read_staged(rx, staged, at, min(at + PAGE, size))

        while at < size and not lines.broken:
            lines.feed(await self._db.read(page))
            at += PAGE
        return lines.end()
