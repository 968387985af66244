"""Quotas (RFC 9208): one root an inbox, its limits beside the counters that the units keep exact.

A unit that adds something reads limit and usage back from the very statement that counts it, under the inbox's lock,
and fails with OverQuota as a whole: no two units ever fit into the same room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.errors import NotFound, OverQuota
from gateway.model.ids import InboxId

from . import counters
from .db import Rx, Tx
from .statements import Stmt

SOFT_PERCENT: Final = 90
"""Of a limit: beyond it whoever adds messages is warned (RFC 9208 4.3.1 "soft quota")."""

LEVEL: Final = (
    "CASE WHEN octets > quota_octets OR messages > quota_messages THEN 2"
    f" WHEN octets / {SOFT_PERCENT}.0 * 100 > quota_octets OR messages / {SOFT_PERCENT}.0 * 100 > quota_messages THEN 1"
    " ELSE 0 END"
)
"""SQL over an inbox row as it is after a change: 2 beyond a limit, 1 near it, 0 else. No limit is NULL."""

_USAGE = Stmt(
    "SELECT octets, quota_octets, messages, quota_messages, mailboxes, quota_mailboxes FROM inbox WHERE id = :inbox"
)
_SET = Stmt(
    "UPDATE inbox SET quota_octets = :octets, quota_messages = :messages, quota_mailboxes = :mailboxes"
    " WHERE id = :inbox"
)
_COUNT_MAILBOX = Stmt(
    "UPDATE inbox SET mailboxes = mailboxes + :count WHERE id = :inbox RETURNING mailboxes, quota_mailboxes"
)
_LEVEL = Stmt(f"SELECT {LEVEL} FROM inbox WHERE id = :inbox")
_ROOM = Stmt(
    "SELECT octets + :octets > quota_octets OR messages + :messages > quota_messages FROM inbox WHERE id = :inbox"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an inbox may hold; None: no limit. `octets` of messages (RFC 9208 STORAGE counts 1,024 of them)."""

    octets: int | None = None
    messages: int | None = None
    mailboxes: int | None = None


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Usage:
    """What an inbox holds. `mailboxes` without names that only hold others."""

    octets: int
    messages: int
    mailboxes: int
    limits: Limits


def usage(rx: Rx, inbox_id: InboxId) -> Usage:
    """NotFound when there is no such inbox."""
    row = rx.one(_USAGE, inbox=inbox_id)
    if row is None:
        raise NotFound("No such inbox")
    return Usage(row[0], row[2], row[4], Limits(row[1], row[3], row[5]))


def set_limits(tx: Tx, inbox_id: InboxId, limits: Limits) -> None:
    """All three; what is there already stays, also beyond a new limit. NotFound."""
    if tx.run(_SET, inbox=inbox_id, octets=limits.octets, messages=limits.messages, mailboxes=limits.mailboxes) == 0:
        raise NotFound("No such inbox")


def require_room(rx: Rx, inbox_id: InboxId, *, octets: int, messages: int = 1) -> None:
    """OverQuota when so much more would not fit now: the unit that adds it decides."""
    if rx.scalar(_ROOM, inbox=inbox_id, octets=octets, messages=messages):
        raise OverQuota("The inbox is full")


def near(tx: Tx, inbox_id: InboxId) -> bool:
    """Asked by a unit that has added messages under the inbox's lock: whether to warn. OverQuota."""
    return judge(tx.scalar(_LEVEL, inbox=inbox_id) or 0)


def judge(level: int) -> bool:
    """What became of a statement that adds messages and returned LEVEL: whether to warn. OverQuota."""
    if level == 2:
        raise OverQuota("The inbox is full")
    return level == 1


def count_mailbox(tx: Tx, inbox_id: InboxId, count: int) -> None:
    """One mailbox more, or less. OverQuota."""
    counters.lock(tx, inbox_id)
    row = tx.one(_COUNT_MAILBOX, inbox=inbox_id, count=count)
    if row is not None and count > 0 and row[1] is not None and row[0] > row[1]:
        raise OverQuota("The inbox has as many mailboxes as it may have")
