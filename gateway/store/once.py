"""What was accepted lately, so that a client that never saw its 250 and tries again sends one mail.

A digest stands for one message to one recipient (`gateway.submit.once` makes them). The unit that accepts takes the
digests first, and the primary key decides between two units, also of two processes: who comes second waits for the
first one's commit and then finds the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import InboxId

from .db import Tx
from .queue import QueueState
from .statements import Stmt

_GIVEN_UP: Final = frozenset({QueueState.BOUNCED, QueueState.CANCELLED})

_NOTHING: Final = " ON CONFLICT (digest) DO NOTHING"
_TAKE_ONE = Stmt("INSERT INTO accepted_once (digest, at, trace) VALUES (:digest, :now, :trace)" + _NOTHING)
# Each statement gives up the interpreter's lock: nearly all submissions have one recipient, and that and the message.
_TAKE_TWO = Stmt(
    "INSERT INTO accepted_once (digest, at, trace) VALUES (:a, :now, :trace), (:b, :now, :trace)" + _NOTHING
)
_TAKE_ALL = Stmt(
    postgresql="INSERT INTO accepted_once (digest, at, trace)"
    " SELECT d.digest, :now, :trace FROM unnest(CAST(:digests AS bytea[])) AS d (digest)" + _NOTHING
)
_TAKE_OLD = Stmt("UPDATE accepted_once SET at = :now, trace = :trace WHERE digest = :digest AND at <= :since")
_TRACE = Stmt("SELECT trace FROM accepted_once WHERE digest = :digest")
_BECAME = Stmt(
    "SELECT s.uuid, s.draft, r.state FROM submission s"
    " LEFT JOIN queue_recipient r ON r.submission_id = s.id AND r.address IN :TEXTS(addresses)"
    " WHERE s.inbox_id = :inbox AND s.message_id = :message AND s.trace = :trace"
)
_RENEW = Stmt("UPDATE accepted_once SET at = :now, trace = :trace WHERE digest = :digest")
_OLD: Final = "SELECT digest FROM accepted_once WHERE at <= :before ORDER BY at LIMIT :most"
_PURGE = Stmt(f"DELETE FROM accepted_once WHERE digest IN ({_OLD})")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that may have been accepted before: under which Message-ID (without brackets) and for which inbox."""

    inbox_id: InboxId
    message_id: bytes
    trace: str
    since: int
    """Unix seconds: what was accepted at or before then does not count."""
    now: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """The acceptance that a retry repeats. `uuid` None: its history is gone; `waits`: for somebody's consent."""

    trace: str
    uuid: str | None
    waits: bool


def take(tx: Tx, attempt: Attempt, digests: Sequence[bytes]) -> set[bytes]:
    """Those of the digests that nobody had; they are the caller's now."""
    ordered = sorted(set(digests))  # two units that share some never wait for each other
    values = {"trace": attempt.trace, "now": attempt.now}
    if tx.dialect == "postgresql":
        count = tx.run(_TAKE_ALL, digests=ordered, **values)
    else:
        count = sum(tx.run(_TAKE_TWO, a=a, b=b, **values) for a, b in zip(ordered[::2], ordered[1::2], strict=False))
        if len(ordered) % 2:
            count += tx.run(_TAKE_ONE, digest=ordered[-1], **values)
    if count == len(ordered):
        return set(ordered)
    # No two acceptances have one trace: what bears this one's was not there before.
    return {
        digest
        for digest in ordered
        if tx.scalar(_TRACE, digest=digest) == attempt.trace
        or tx.run(_TAKE_OLD, digest=digest, since=attempt.since, **values)
    }


def take_back(tx: Tx, attempt: Attempt, taken: Mapping[bytes, Sequence[str]]) -> set[bytes]:
    """Those of the digests (with their recipient's addresses) whose mail came to nothing: theirs is a new attempt.

    A sender who gets a bounce, or cancels, and sends the same again wants it sent.
    """
    found = set()
    for digest, addresses in taken.items():
        states = {row[2] for row in _became(tx, attempt, digest, addresses)}
        if states and states <= _GIVEN_UP:
            tx.run(_RENEW, digest=digest, trace=attempt.trace, now=attempt.now)
            found.add(digest)
    return found


def earlier(tx: Tx, attempt: Attempt, digest: bytes) -> Earlier:
    """What became of a digest that somebody had."""
    rows = _became(tx, attempt, digest, ())
    trace = tx.scalar(_TRACE, digest=digest)
    return Earlier(trace, rows[0][0] if rows else None, bool(rows and rows[0][1]))


def _became(tx: Tx, attempt: Attempt, digest: bytes, addresses: Sequence[str]) -> list[tuple[str, str | None, str]]:
    trace = tx.scalar(_TRACE, digest=digest)
    return tx.all(
        _BECAME, inbox=attempt.inbox_id, message=attempt.message_id, trace=trace, addresses=list(addresses)
    )


def purge(tx: Tx, before: int, limit: int) -> int:
    """Forget what was accepted at or before `before`; how many rows, at most `limit`."""
    return tx.run(_PURGE, before=before, most=limit)
