"""Messages of a mailbox whose MODSEQ is above a given one, found without an index by MODSEQ.

Those that arrived since are the last of all, and the ones before them are where the mailbox's record says
(`flag_record`): each of those is looked at by its UID. Without the record all messages are looked through.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final

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
_LAST = Stmt(
    "SELECT uid, flags, modseq FROM message_flags WHERE mailbox_id = :mailbox ORDER BY uid DESC LIMIT :most"
)
_EVERY: Final = 1 << 53
_FIRST_LOOK: Final = 2  # messages from the end: mostly one has come; then sixteen times as many


def newer(rx: Rx, mailbox_id: MailboxId, modseq: int, changed: Ranges | None) -> list[Row]:
    """All messages above `modseq`, rising. `changed` holds those whose flags changed; None: that is not known."""
    if changed is None:
        return rx.all(_ALL, mailbox=mailbox_id, modseq=modseq)
    return _joined(_among(rx, mailbox_id, modseq, changed), _arrived(rx, mailbox_id, modseq, _EVERY) or [])


def few_newer(rx: Rx, mailbox_id: MailboxId, modseq: int, changed: Ranges, most: int) -> list[Row] | None:
    """The same, or None where they are more than `most`, or more than a few have to be looked at."""
    if count(changed) > most * LOOKED_AT:
        return None
    arrived = _arrived(rx, mailbox_id, modseq, most)
    if arrived is None:
        return None
    rows = _joined(_among(rx, mailbox_id, modseq, changed), arrived)
    return rows if len(rows) <= most else None


def _arrived(rx: Rx, mailbox_id: MailboxId, modseq: int, most: int) -> list[Row] | None:
    """The last messages, back to the first whose MODSEQ is not above `modseq`; None when they are more than `most`."""
    looked = 0
    while looked <= most:
        looked = min(looked * 16 or _FIRST_LOOK, most + 1)
        rows: list[Row] = rx.all(_LAST, mailbox=mailbox_id, most=looked)
        found = list(takewhile(lambda row: row[2] > modseq, rows))
        if len(found) < looked:
            found.reverse()
            return found
    return None


def _among(rx: Rx, mailbox_id: MailboxId, modseq: int, changed: Ranges) -> list[Row]:
    if not changed:
        return []
    if rx.dialect == "sqlite":
        return rx.all(_AMONG, mailbox=mailbox_id, modseq=modseq, ranges=changed)
    lows, highs = [low for low, _ in changed], [high for _, high in changed]
    return rx.all(_AMONG, mailbox=mailbox_id, modseq=modseq, lows=lows, highs=highs)


def _joined(changed: list[Row], last: list[Row]) -> list[Row]:
    """Both, each message once."""
    if not last:
        return changed
    first = last[0][0]
    return [*(row for row in changed if row[0] < first), *last]
