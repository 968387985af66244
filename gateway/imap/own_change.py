"""What a session does to the messages of its own mailbox: the unit of the store, and the state after it.

Where the state knew all that the unit found, what the unit did is done to it too, and nothing is read back. Else, and
where the two do not agree, the store is looked at: as for the change of anybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.model.sequence import Ranges
from gateway.store import messages
from gateway.store.expunge import Expunged
from gateway.store.flags import FlagOperation, FlagsStored

from .flag_change import FlagChange
from .selected import Selected
from .settings import TINY_CHANGE

if TYPE_CHECKING:
    from .session import Session

_EVERY_FLAG: Final = -1


def effect(action: FlagOperation, mask: int) -> FlagChange:
    """What `action` with the flags of `mask` makes of a message's flags."""
    if action == "set":
        return FlagChange(0, mask)
    if action == "add":
        return FlagChange(_EVERY_FLAG, mask)
    return FlagChange(~mask, 0)


async def store_flags(
    session: Session,
    selected: Selected,
    ranges: Ranges,
    rows: int,
    action: FlagOperation,
    system: int,
    keywords: tuple[str, ...] = (),
    *,
    unchanged_since: int | None = None,
) -> FlagsStored:
    """Change the flags of `rows` messages; the state knows it when this returns. As `messages.store_flags`."""
    shared = selected.shared
    state = shared.state
    stored = await session.services.db.write(
        lambda tx: messages.store_flags(
            tx, state.inbox_id, state.mailbox_id, ranges, action, system, keywords, unchanged_since=unchanged_since
        ),
        inboxes=(state.inbox_id,),
        quick=rows <= TINY_CHANGE,
        relaxed=True,
    )
    modseq = stored.modseq
    if modseq is None:  # somebody else's change may have done it before, or kept it from being done, unknown here yet
        await shared.catch_up(stored.since, rows=rows)
        return stored
    change = effect(action, stored.mask)
    await shared.follow(
        stored.since,
        modseq,
        lambda: state.change_flags(
            ranges, change, modseq, stored.count, unchanged_since=unchanged_since, keywords=stored.keywords
        ),
        rows=rows,
    )
    return stored


async def expunge(session: Session, selected: Selected, ranges: Ranges, rows: int) -> Expunged:
    """Remove those of `rows` messages that bear \\Deleted; the state knows it when this returns."""
    shared, clock = selected.shared, session.services.clock
    state = shared.state
    done = await session.services.db.write(
        lambda tx: messages.expunge(
            tx, state.inbox_id, state.mailbox_id, ranges, only_deleted=True, now=int(clock())
        ),
        inboxes=(state.inbox_id,),
    )
    modseq = done.modseq
    if modseq is not None:
        await shared.follow(done.since, modseq, lambda: state.remove(done.uids, modseq), rows=rows)
    return done
