"""Before a mailbox is read: where its mail comes from an account elsewhere, a look there (`model.ports.Freshness`).

What the look finds is in the very answer: SELECT and STATUS read the mailbox behind it. A search tells EXISTS and FETCH
first and takes what came into its numbers, as at the end of any command; EXPUNGE waits for the end, as the table of
commands says (RFC 3501 7.4.1). Commands behind it wait, as behind any other (5.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.model.ids import MailboxId

from .channel import Closed

if TYPE_CHECKING:
    from .session import Session


def wanted(session: Session) -> bool:
    """Whether there is anything to look at: ask it first, it costs a look into a dictionary."""
    freshness = session.services.freshness
    return freshness is not None and freshness.wanted(session.require_principal().inbox_id)


async def look(session: Session, mailbox_id: MailboxId | None) -> None:
    """Before `mailbox_id` is read; None: several are. Closed when the session ended meanwhile."""
    freshness = session.services.freshness
    if freshness is not None:
        await freshness.look(session.require_principal().inbox_id, mailbox_id)
        if session.channel.ended:
            raise Closed


async def look_and_tell(session: Session, *, alone: bool = True) -> None:
    """Before the selected mailbox is searched, and others unless it is `alone`. MailboxGone, Unavailable, Closed."""
    selected = session.selected
    await look(session, selected.mailbox.id if selected is not None and alone else None)
    await session.teller.finish(expunge=False)
