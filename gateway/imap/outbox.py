"""Drafts that are sent: by a date in their header when they are stored, or by being moved to the mailbox Outbox.

What is to be sent at a time, or waits for somebody's consent, is a message in Drafts that a submission stands for
(`store.holds`). Its recipients are in the queue from the beginning, and held; removing the message cancels it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError, LimitReached, NoPermission, Unavailable
from gateway.model.ids import SubmissionId
from gateway.model.mailbox import DRAFTS, Mailbox
from gateway.store import drafts, holds
from gateway.store.db import Tx

from .replies import no

if TYPE_CHECKING:
    from gateway.submit.drafting import DraftPlan

    from .selected import Selected
    from .session import Session
    from .upload import Upload

OUTBOX: Final = drafts.OUTBOX
MOST: Final = 100
"""Drafts sent by one MOVE: each is a unit of its own."""
NO_COPY: Final = no("Move the draft to Outbox to have it sent", b"CANNOT")


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a message that is stored: `plan` None and no `why`: an ordinary one."""

    plan: DraftPlan | None = None
    why: str | None = None

    @property
    def keywords(self) -> tuple[str, ...]:
        if self.plan is not None:
            return (holds.SCHEDULED,)
        return () if self.why is None else (holds.FAILED,)

    @property
    def email_id(self) -> str | None:
        return None if self.plan is None else self.plan.email_id

    def keep(self, tx: Tx) -> None:
        """Behind the message's arrival, in its unit. RateExceeded."""
        if self.plan is not None:
            self.plan.keep(tx)


ORDINARY: Final = Fate()


async def fates(session: Session, upload: Upload, target: Mailbox) -> list[Fate]:
    """One for each message. Unavailable."""
    drafting = session.services.drafting
    if drafting is None or target.role != DRAFTS:
        return [ORDINARY] * len(upload.messages)
    found = []
    for message in upload.messages:
        try:
            plan = await drafting.plan(
                session.require_principal(), target.inbox_id, message.staged, message.writer
            )
            found.append(ORDINARY if plan is None else Fate(plan))
        except Unavailable:
            raise
        except GatewayError as error:
            found.append(Fate(why=str(error)))
    return found


def refused(found: Sequence[Fate], why: str) -> list[Fate]:
    """The same, where none of them may be sent after all."""
    return [fate if fate.plan is None else Fate(why=why) for fate in found]


def tell(session: Session, found: Sequence[Fate]) -> None:
    """A warning for each that will not be sent (RFC 3501 7.1.2): the message itself is stored."""
    for fate in found:
        if fate.why is not None:
            session.channel.send(no(f"The draft is kept and will not be sent: {fate.why}").line(b"*"))


async def held_by(session: Session, selected: Selected, uids: array[int]) -> dict[int, SubmissionId]:
    """Those of the messages that a submission waits for."""
    mailbox = selected.mailbox
    if mailbox.role != DRAFTS or not uids:
        return {}
    waiting = await session.services.db.read(lambda rx: holds.waiting_in(rx, mailbox.inbox_id, mailbox.id))
    if not waiting:
        return {}
    wanted = set(uids)
    return {uid: submission for uid, submission in waiting.items() if uid in wanted}


async def send(session: Session, selected: Selected, uids: array[int]) -> array[int]:
    """MOVE to Outbox: lets go what waits, each by a unit that files it as sent; the messages that are left to move.

    NoPermission: the key may not send, and nothing has moved. There is no COPYUID, for nothing came to Outbox. What
    was cancelled meanwhile is an ordinary message, which is moved as such: it must not look as if it had been sent.
    """
    held = await held_by(session, selected, uids)
    if not held:
        return uids
    principal, services = session.require_principal(), session.services
    if not principal.may_send_drafts:
        raise NoPermission("This key may not send")
    if len(held) > MOST:
        raise LimitReached(f"One command sends {MOST} drafts at most")
    inbox_id, by = selected.mailbox.inbox_id, f"moved to {OUTBOX} by key {principal.key_name}"
    sent = set()
    for uid, submission in held.items():
        now = int(services.clock())

        def unit(tx: Tx, submission: SubmissionId = submission, now: int = now) -> tuple[int, int | None]:
            return drafts.release(tx, submission, now, by), tx.modseqs.get(inbox_id)

        released, modseq = await services.db.write(unit, inboxes=(inbox_id,))
        if released:
            sent.add(uid)
        if modseq is not None:
            await selected.shared.catch_up(modseq, rows=2)
            await session.tell(expunge=True, own=True)
    return array("I", [uid for uid in uids if uid not in sent])
