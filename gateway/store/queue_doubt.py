"""Recipients whose mail may have been handed on, though nobody heard so: what the history of the queue says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.model.ids import SubmissionId

from .db import Rx, Tx
from .queue import note
from .statements import Stmt

UNKNOWN: Final = "unknown"
"""Event: the connection broke after the end of the message was sent, and an account will be asked."""
INTERRUPTED: Final = "interrupted"
"""Event: the process died in the middle of an attempt."""

_DOUBTFUL = Stmt(
    "SELECT recipient_id, max(CASE WHEN state IN :TEXTS(doubts) THEN id END),"
    " max(CASE WHEN state IN ('released', 'retried') THEN id END) FROM queue_attempt WHERE recipient_id IN :LIST(rows)"
    " GROUP BY recipient_id"
)
_OTHERS = Stmt(
    "SELECT r.id FROM queue_recipient r WHERE r.submission_id = :submission AND (r.state = 'sending'"
    " OR (r.state = 'sent' AND r.attempts > 0) OR EXISTS (SELECT 1 FROM queue_attempt a WHERE a.recipient_id = r.id"
    " AND a.state IN ('unknown', 'interrupted')))"
)
_MESSAGE = Stmt("SELECT message_id, size FROM submission WHERE id = :submission")


def doubtful(
    rx: Rx, recipient_ids: Sequence[int], events: Sequence[str] = (UNKNOWN, INTERRUPTED)
) -> Mapping[int, bool]:
    """Those of which an attempt ended without an answer after the end of the message; True: let go by hand since."""
    found = rx.all(_DOUBTFUL, rows=list(recipient_ids), doubts=list(events))
    return {row: (let_go or 0) > doubt for row, doubt, let_go in found if doubt is not None}


def alone(rx: Rx, submission_id: SubmissionId, recipient_ids: Sequence[int]) -> bool:
    """Whether no other recipient of the submission can have brought its message to anybody: a copy of it is theirs."""
    return {row[0] for row in rx.all(_OTHERS, submission=submission_id)} <= set(recipient_ids)


def note_unknown(tx: Tx, recipient_ids: Sequence[int], now: int, text: str) -> None:
    note(tx, recipient_ids, UNKNOWN, now, text)


def message(rx: Rx, submission_id: SubmissionId) -> tuple[bytes | None, int]:
    """Message-ID without brackets, and octets."""
    found = rx.one(_MESSAGE, submission=submission_id)
    return (None, 0) if found is None else (found[0], found[1])
