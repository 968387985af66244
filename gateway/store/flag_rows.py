"""Messages of a mailbox whose MODSEQ is above a given one, found without an index by MODSEQ.

Those that arrived since are the last of all, and the ones before them are where the mailbox's record says
(`flag_record`): each of those is looked at by its UID. Without the record all messages are looked through.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.model.ids import MailboxId
from gateway.model.sequence import Ranges, count

from .db import Rx
from .statements import Stmt

Row = tuple[int, int, int]
"""(UID, flag mask, MODSEQ)"""

LOOKED_AT: Final = 10
"""Messages looked at for each one that may be told of, where few are wanted."""

_NEWER: Final = "message_flags AS f WHERE f.mailbox_id = :mailbox AND f.modseq > :modseq"
_ALL = Stmt(f"SELECT f.uid, f.flags, f.modseq FROM {_NEWER} ORDER BY f.uid")
_AMONG = Stmt(
    sqlite=f"SELECT f.uid, f.flags, f.modseq FROM json_each(:ranges) AS r CROSS JOIN {_NEWER}"
    " AND f.uid BETWEEN r.value ->> 0 AND r.value ->> 1 ORDER BY f.uid",
    # OFFSET 0: each range is looked up by key, whatever the planner thinks of their number (as in `uidsets`)
    postgresql="SELECT x.uid, x.flags, x.modseq FROM"
    " unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS r (low, high) CROSS JOIN LATERAL"
    f" (SELECT f.uid, f.flags, f.modseq FROM {_NEWER} AND f.uid BETWEEN r.low AND r.high OFFSET 0) AS x ORDER BY x.uid",
)
# From the last message back to the first that is old, which comes with the answer; not below `bottom`.
_LAST = Stmt(
    "SELECT uid, flags, modseq FROM message_flags WHERE mailbox_id = :mailbox AND uid >= coalesce((SELECT uid FROM"
    " message_flags WHERE mailbox_id = :mailbox AND uid >= :bottom AND modseq <= :modseq ORDER BY uid DESC LIMIT 1),"
    " :bottom) ORDER BY uid LIMIT :most"
)
_EVERY: Final = 1 << 53


def newer(rx: Rx, mailbox_id: MailboxId, modseq: int, changed: Ranges | None) -> list[Row]:
    """All messages above `modseq`, rising. `changed` holds those whose flags changed; None: that is not known."""
    since = {"mailbox": mailbox_id, "modseq": modseq}
    if changed is None:
        return rx.all(_ALL, **since)
    last = rx.all(_LAST, bottom=0, most=_EVERY, **since)
    return _joined(_among(rx, changed, since), last[1:] if last and last[0][2] <= modseq else last)


def few_newer(
    rx: Rx, mailbox_id: MailboxId, modseq: int, changed: Ranges, uidnext: int, most: int
) -> list[Row] | None:
    """The same, or None where they are more than `most`, or more than a few have to be looked at."""
    if count(changed) > most * LOOKED_AT:
        return None
    since = {"mailbox": mailbox_id, "modseq": modseq}
    bottom = max(0, uidnext - most * LOOKED_AT - 1)
    last: list[Row] = rx.all(_LAST, bottom=bottom, most=most + 2, **since)
    if last and last[0][2] <= modseq:
        last = last[1:]
    elif bottom:  # nothing old that far back: there may be more to tell below
        return None
    rows = _joined(_among(rx, changed, since), last)
    return rows if len(rows) <= most else None


def _among(rx: Rx, changed: Ranges, since: dict[str, Any]) -> list[Row]:
    if not changed:
        return []
    if rx.dialect == "sqlite":
        return rx.all(_AMONG, ranges=changed, **since)
    return rx.all(_AMONG, lows=[low for low, _ in changed], highs=[high for _, high in changed], **since)


def _joined(changed: list[Row], last: list[Row]) -> list[Row]:
    """Both, each message once."""
    if not last:
        return changed
    first = last[0][0]
    return [*(row for row in changed if row[0] < first), *last]
