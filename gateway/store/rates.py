"""Counters of what keys and inboxes have sent: a row for each and each period (`send_count`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .db import Rx, Tx
from .statements import Stmt

# A count whose period is over is the one of the period before, or of none.
_ADD = Stmt(
    "INSERT INTO send_count (subject, period, start, count, before) VALUES (:subject, :period, :start, :more, 0)"
    " ON CONFLICT (subject, period) DO UPDATE SET"
    " before = CASE WHEN send_count.start = :start THEN send_count.before"
    " WHEN send_count.start = :last THEN send_count.count ELSE 0 END,"
    " count = CASE WHEN send_count.start = :start THEN send_count.count ELSE 0 END + :more,"
    " start = :start RETURNING count, before"
)
_READ = Stmt("SELECT start, count, before FROM send_count WHERE subject = :subject AND period = :period")
_IS_OLD: Final = "start + 2 * period <= :now"
_OLD = Stmt(f"SELECT DISTINCT subject FROM send_count WHERE {_IS_OLD} LIMIT :most")
_FORGET = Stmt(f"DELETE FROM send_count WHERE subject IN :TEXTS(subjects) AND {_IS_OLD}")


@dataclass(frozen=True, slots=True)
class Sent:
    """Recipients since `start` (Unix seconds) and in the period before."""

    start: int
    count: int
    before: int


def add(tx: Tx, subject: str, period: int, more: int, now: int) -> Sent:
    """Count `more` recipients; what has been sent with them. Periods begin at multiples of their length in seconds."""
    start = now - now % period
    row = tx.one(_ADD, subject=subject, period=period, start=start, last=start - period, more=more)
    assert row is not None
    return Sent(start, row[0], row[1])


def sent(rx: Rx, subject: str, period: int, now: int) -> Sent:
    """What has been sent, as `add` would find it."""
    start = now - now % period
    row = rx.one(_READ, subject=subject, period=period)
    if row is not None and row[0] == start:
        return Sent(start, row[1], row[2])
    return Sent(start, 0, row[1] if row is not None and row[0] == start - period else 0)


def outdated(rx: Rx, now: int, limit: int) -> list[str]:
    """Subjects with counters that no longer say anything."""
    return [row[0] for row in rx.all(_OLD, now=now, most=limit)]


def forget(tx: Tx, subjects: Sequence[str], now: int) -> int:
    """Remove such counters of these subjects; how many."""
    return tx.run(_FORGET, subjects=list(subjects), now=now)
