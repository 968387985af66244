"""How much mail came on which day, for charts: counted by the index of dates, a mailbox at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model.ids import InboxId

from .db import Rx
from .statements import Stmt

DAY: Final = 86_400

_DAYS = Stmt(
    "SELECT m.internal_date / 86400, count(*) FROM message m WHERE m.mailbox_id = :mailbox"
    " AND m.internal_date >= :since AND m.internal_date < :until GROUP BY 1"
)
_MAILBOXES = Stmt("SELECT id FROM mailbox WHERE inbox_id = :inbox AND noselect = 0 AND messages > 0")


def counted(rx: Rx, inboxes: Sequence[InboxId], since: int, until: int) -> dict[int, int]:
    """Day (whole days since 1970, UTC) -> messages in all mailboxes that came then. `since`, `until`: Unix seconds.

    A message that lies in two mailboxes counts twice. A job of a reader process.
    """
    found: dict[int, int] = {}
    for inbox in inboxes:
        for (mailbox,) in rx.all(_MAILBOXES, inbox=inbox):
            for day, count in rx.all(_DAYS, mailbox=mailbox, since=since, until=until):
                found[int(day)] = found.get(int(day), 0) + count
    return found
