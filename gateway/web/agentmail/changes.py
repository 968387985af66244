"""Labels that are added and removed, in a unit: flags and keywords, then the mailbox."""

from __future__ import annotations

from collections.abc import Collection

from gateway.access import changing
from gateway.access.changing import Taken
from gateway.access.listing import Placed
from gateway.access.sight import Sight
from gateway.model.errors import CannotChange, NoPermission
from gateway.model.mailbox import DRAFTS, INBOX, JUNK, SENT, TRASH
from gateway.store import uses
from gateway.store.db import Tx
from gateway.store.listing import Listed

from .labels import Change


def relabel(tx: Tx, taken: Taken, change: Change, own: Collection[str], now: int) -> None:
    """`own`: ids of messages that the inbox has written. NoPermission, InvalidRequest, LimitReached, OverQuota."""
    seen = taken.seen
    if change.marks != changing.Marks():
        changing.mark(tx, seen, taken.found, change.marks)
    if change.into == TRASH:
        changing.trash(tx, seen, taken.found, now=now)
    elif change.into == JUNK:
        changing.move(tx, seen, taken.found, _junk(tx, seen, now), now=now)
    for role in sorted(change.out_of):
        source = _role(seen, role)
        left = [] if source is None else [
            message for message in taken.found if any(place.role == role for place in message.places)
        ]  # fmt: skip
        for message in left:
            changing.move(tx, seen, [message], _home(seen, message, message.id in own), source=source, now=now)


def _junk(tx: Tx, seen: Sight, now: int) -> Listed:
    found = _role(seen, JUNK)
    if found is None:
        if uses.find(tx, seen.inbox_id, JUNK) is None:
            raise CannotChange("The inbox has no mailbox for spam")
        raise NoPermission("The key lacks the permission label_spam_read")
    return found


def _home(seen: Sight, message: Placed, own: bool) -> Listed:
    """Where a message belongs that is neither spam nor trash any more."""
    wanted = DRAFTS if "\\Draft" in message.flags else SENT if own else None
    found = None if wanted is None else _role(seen, wanted)
    return found or seen.selectable(INBOX)


def _role(seen: Sight, role: str) -> Listed | None:
    return next((box for box in seen.boxes.values() if box.role == role and not box.noselect), None)
