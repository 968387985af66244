"""How attempts ended: many outcomes in one unit, with few statements each.

When the last open recipient of a submission ends, the submission is finished and its content released.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.model.errors import InvalidRequest
from gateway.model.ids import SubmissionId

from . import event_log
from .db import Tx
from .queue import OPEN, REPLY, QueueState, cancel_deleted, finish_done, lock_submissions
from .statements import Stmt

HoldReason = Literal["approval", "scheduled", "operator", "outcome", "route", "restore", "key"]
"""Why a recipient is held: it waits for consent, or for the time of a draft; somebody held it; its last attempt may
have been delivered; a rule of the routes; it comes from a backup; it was put off and its key is revoked."""

ENDS: Final = frozenset({QueueState.SENT, QueueState.DEFERRED, QueueState.BOUNCED, QueueState.HELD})
_WAIT: Final = frozenset({QueueState.DEFERRED, QueueState.HELD})

_STATES = Stmt("SELECT id, state, lease_owner FROM queue_recipient WHERE id IN :LIST(rows)")
_OUTCOME = Stmt(
    "UPDATE queue_recipient SET state = :state, attempts = attempts + :tried, next_attempt = :next, lease_owner = NULL,"
    " lease_until = NULL, code = :code, enhanced = :enhanced, text = :text, hold_reason = :reason, updated_at = :now"
    " WHERE id = :recipient"
)


@dataclass(frozen=True, slots=True)
class Result:
    """One attempt's end. `text`: the peer's reply; `remote`: who gave it; `next_attempt` for deferred ones only."""

    recipient_id: int
    submission_id: SubmissionId
    state: QueueState
    code: int | None = None
    enhanced: str | None = None
    text: bytes | None = None
    next_attempt: int | None = None
    remote: str | None = None
    hold_reason: HoldReason | None = None


def settle(tx: Tx, results: Sequence[Result], now: int, *, owner: str | None = None) -> set[int]:
    """Write outcomes down: `sent`, `deferred` until a time, `bounced`, or `held` for a reason; which were applied.

    With `owner`, only where that owner holds the lease; what is done or gone stays as it is. Each recipient stands
    there once. InvalidRequest for what is no outcome.
    """
    for result in results:
        if (
            result.state not in ENDS
            or (result.state is QueueState.DEFERRED) != (result.next_attempt is not None)
            or (result.state is QueueState.HELD) != (result.hold_reason is not None)
        ):
            raise InvalidRequest("An outcome is sent, deferred until a time, bounced, or held for a reason")
    submissions = sorted({result.submission_id for result in results})
    event_log.lock_inboxes(tx, [result.recipient_id for result in results])
    lock_submissions(tx, submissions)  # two last recipients that end at once must see each other
    states = {row[0]: row[1:] for row in tx.all(_STATES, rows=[result.recipient_id for result in results])}
    applied: set[int] = set()
    for result in results:
        state, held_by = states.get(result.recipient_id, (None, None))
        if state not in OPEN or (owner is not None and held_by != owner):
            continue
        applied.add(result.recipient_id)
        reply = {
            "recipient": result.recipient_id, "state": result.state.value, "code": result.code,
            "enhanced": result.enhanced, "text": result.text, "now": now,
        }
        tx.do(
            _OUTCOME, tried=int(result.state is not QueueState.HELD), next=result.next_attempt,
            reason=result.hold_reason, **reply,
        )
        tx.do(REPLY, remote=result.remote, **reply)
    if applied:
        ended = [each.recipient_id for each in results if each.state in event_log.TOLD_OF]
        event_log.attempted(tx, sorted(applied.intersection(ended)))
        finish_done(tx, submissions, now)
        if wait := {each.submission_id for each in results if each.state in _WAIT and each.recipient_id in applied}:
            cancel_deleted(tx, sorted(wait), now)
    return applied
