"""How much happened when, and how much there was: counted from what is kept, for charts. Jobs of a reader process.

Mail that came is counted by the index of dates, so what was deleted since is not; what was sent, by the history of the
queue. Times are Unix seconds; a bucket is named by its number, time // period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.ids import InboxId
from gateway.model.mailbox import DRAFTS, JUNK, SENT

from .db import Rx
from .statements import Stmt
from .submissions import HERE_LATER

Buckets = dict[int, int]
MOST: Final = 1_000
DELIVERED: Final = ("sent", "delivered")
BOUNCED: Final = ("bounced",)
"""States of attempts, and what reports say."""


@dataclass(frozen=True, slots=True)
class Slice:
    """From `since` on, before `until`: the first `most` buckets, `falling`: the last, where anything is."""

    inboxes: tuple[InboxId, ...]
    since: int
    until: int
    period: int
    most: int = MOST
    falling: bool = False

    def binds(self) -> dict[str, Any]:
        return {
            "inboxes": list(self.inboxes), "since": self.since, "until": self.until, "period": self.period,
            "most": self.most,
        }  # fmt: skip


def _both(text: str) -> Mapping[bool, Stmt]:
    return {
        falling: Stmt(f"{text} GROUP BY 1 ORDER BY 1{' DESC' if falling else ''} LIMIT :most")
        for falling in (False, True)
    }


# CROSS JOIN holds SQLite to this order: inboxes or mailboxes outside, what is theirs by an index inside.
_BOXES: Final = (
    "FROM mailbox b CROSS JOIN message m WHERE b.inbox_id IN :LIST(inboxes) AND b.messages > 0"
    " AND m.mailbox_id = b.id AND m.internal_date >= :since AND m.internal_date < :until"
)
_SUBMITTED: Final = "FROM inbox i CROSS JOIN submission s"
_TO: Final = f"{_SUBMITTED} CROSS JOIN queue_recipient r"
_OURS: Final = "WHERE i.id IN :LIST(inboxes) AND s.inbox_id = i.id"
_THEN: Final = "AND s.created_at >= :since AND s.created_at < :until"
_THEIRS: Final = "AND r.submission_id = s.id"
_RECEIVED = _both(
    f"SELECT m.internal_date / :period, count(DISTINCT m.email_id) {_BOXES}"
    " AND COALESCE(b.role, '') NOT IN (:sent, :drafts, :junk)"
)
_JUNK = _both(f"SELECT m.internal_date / :period, count(DISTINCT m.email_id) {_BOXES} AND b.role = :junk")
_KEPT = _both(f"SELECT m.internal_date / :period, count(*), sum(m.size) {_BOXES}")
_THREADS = Stmt(
    "SELECT count(*) FROM (SELECT DISTINCT m.inbox_id, m.thread_id FROM inbox i CROSS JOIN message m"
    " WHERE i.id IN :LIST(inboxes) AND m.inbox_id = i.id) t"
)
_NEW_THREADS = _both(
    "SELECT t.first / :period, count(*) FROM (SELECT m.inbox_id, m.thread_id, min(m.internal_date) AS first"
    f" {_BOXES} GROUP BY m.inbox_id, m.thread_id) t WHERE NOT EXISTS (SELECT 1 FROM message o"
    " WHERE o.inbox_id = t.inbox_id AND o.thread_id = t.thread_id AND o.internal_date < :since)"
)
_SENT = _both(f"SELECT s.created_at / :period, count(*) {_SUBMITTED} {_OURS} {_THEN}")
_SENT_TO = _both(f"SELECT s.created_at / :period, count(*) {_TO} {_OURS} {_THEN} {_THEIRS}")
_HERE = _both(
    f"SELECT s.created_at / :period, count(*) {_TO} {_OURS} {_THEN} {_THEIRS}"
    " AND r.state = 'sent' AND r.attempts = 0 AND r.domain <> :waited"  # delivered by the unit that accepted it
)
_OUTCOMES = _both(
    f"SELECT a.at / :period, count(*) {_TO} CROSS JOIN queue_attempt a {_OURS} {_THEIRS} AND a.recipient_id = r.id"
    " AND a.state IN :TEXTS(states) AND a.at >= :since AND a.at < :until"
)


def received(rx: Rx, over: Slice) -> Buckets:
    """Messages that came and are still there, in whichever mailbox but \\Sent, \\Drafts and \\Junk."""
    return _buckets(rx.all(_RECEIVED[over.falling], **over.binds(), sent=SENT, drafts=DRAFTS, junk=JUNK))


def junk(rx: Rx, over: Slice) -> Buckets:
    """Those that lie in \\Junk."""
    return _buckets(rx.all(_JUNK[over.falling], **over.binds(), junk=JUNK))


def kept(rx: Rx, over: Slice) -> tuple[Buckets, Buckets]:
    """(messages, octets) that came and are still there, in all mailboxes; a copy counts."""
    rows = rx.all(_KEPT[over.falling], **over.binds())
    return {row[0]: row[1] for row in rows}, {row[0]: int(row[2]) for row in rows}


def threads(rx: Rx, inboxes: Sequence[InboxId]) -> int:
    return int(rx.scalar(_THREADS, inboxes=list(inboxes)))


def new_threads(rx: Rx, over: Slice) -> Buckets:
    """By their oldest message that is still there."""
    return _buckets(rx.all(_NEW_THREADS[over.falling], **over.binds()))


def sent(rx: Rx, over: Slice) -> Buckets:
    """Messages that were accepted for sending."""
    return _buckets(rx.all(_SENT[over.falling], **over.binds()))


def sent_to(rx: Rx, over: Slice) -> Buckets:
    """Their recipients."""
    return _buckets(rx.all(_SENT_TO[over.falling], **over.binds()))


def delivered(rx: Rx, over: Slice) -> Buckets:
    """Recipients who got it: here at once, elsewhere by attempts and reports."""
    here = _buckets(rx.all(_HERE[over.falling], **over.binds(), waited=HERE_LATER))
    for bucket, count in _buckets(rx.all(_OUTCOMES[over.falling], **over.binds(), states=list(DELIVERED))).items():
        here[bucket] = here.get(bucket, 0) + count
    return here


def bounced(rx: Rx, over: Slice) -> Buckets:
    return _buckets(rx.all(_OUTCOMES[over.falling], **over.binds(), states=list(BOUNCED)))


def _buckets(rows: Sequence[tuple[Any, ...]]) -> Buckets:
    return {row[0]: row[1] for row in rows}
