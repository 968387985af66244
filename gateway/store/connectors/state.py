"""What a connector's worker says about it: how it stands, what failed, when to try again."""

from __future__ import annotations

from gateway.store.db import Tx, WakeKind
from gateway.store.statements import Stmt
from gateway.store.texts import made_storable

from . import lease
from .rows import Claim, ConnectorState

MAX_REASON = 500  # characters of what people are shown

_LEAVE_SINCE = "state_since = CASE WHEN state = :state THEN state_since ELSE :now END"
_BEGAN = Stmt(
    f"UPDATE connector SET {_LEAVE_SINCE}, state = :state, last_sync_at = :now, updated_at = :now"
    " WHERE id = :connector"
)
_SUCCEEDED = Stmt(
    f"UPDATE connector SET {_LEAVE_SINCE}, state = :state, last_success_at = :now, updated_at = :now, failures = 0,"
    " failure = NULL, reason = :reason, not_before = 0 WHERE id = :connector"
)
_FAILED = Stmt(
    f"UPDATE connector SET {_LEAVE_SINCE}, state = :state, updated_at = :now, failures = failures + 1,"
    " failure = :failure, reason = :reason, not_before = :not_before WHERE id = :connector RETURNING failures"
)
_SAID = Stmt(
    f"UPDATE connector SET {_LEAVE_SINCE}, state = :state, updated_at = :now, reason = :reason WHERE id = :connector"
)
_FILES_SENT = Stmt("UPDATE connector SET files_sent = :files WHERE id = :connector")
_FINISHED = Stmt(
    "UPDATE connector SET enabled = 0, version = version + 1 WHERE id = :connector AND mode = 'import'"
)


def began(tx: Tx, claim: Claim, *, now: int) -> None:
    """A sync begins. LeaseLost."""
    lease.fence(tx, claim, now)
    tx.run(_BEGAN, connector=claim.connector_id, state=ConnectorState.SYNCING.value, now=now)
    tx.wake(claim.inbox_id, kind=WakeKind.CONNECTOR)


def succeeded(
    tx: Tx, claim: Claim, state: ConnectorState, *, now: int, reason: str | None = None
) -> None:
    """A session that was validated: what failed before counts no more. LeaseLost.

    `DONE` switches a one-shot import off.
    """
    lease.fence(tx, claim, now)
    tx.run(_SUCCEEDED, connector=claim.connector_id, state=state.value, now=now, reason=_shown(reason))
    if state is ConnectorState.DONE:
        tx.run(_FINISHED, connector=claim.connector_id)
    tx.wake(claim.inbox_id, kind=WakeKind.CONNECTOR)


def failed(
    tx: Tx, claim: Claim, state: ConnectorState, failure: str, reason: str, *, not_before: int, now: int
) -> int:
    """Something failed and is tried again from `not_before` on; how many failures there are in a row. LeaseLost.

    `failure` is the class by which advice and retries go, `reason` a sentence for people.
    """
    lease.fence(tx, claim, now)
    count = tx.scalar(
        _FAILED, connector=claim.connector_id, state=state.value, failure=failure, reason=_shown(reason),
        not_before=not_before, now=now,
    )  # fmt: skip
    tx.wake(claim.inbox_id, kind=WakeKind.CONNECTOR)
    return int(count)


def said(tx: Tx, claim: Claim, state: ConnectorState, *, now: int, reason: str | None = None) -> None:
    """Another state, neither success nor failure. LeaseLost."""
    lease.fence(tx, claim, now)
    tx.run(_SAID, connector=claim.connector_id, state=state.value, now=now, reason=_shown(reason))
    tx.wake(claim.inbox_id, kind=WakeKind.CONNECTOR)


def files_sent(tx: Tx, claim: Claim, files: bool, *, now: int) -> None:
    """A look into Sent has shown whether the account's server files what it sends. LeaseLost."""
    lease.fence(tx, claim, now)
    tx.run(_FILES_SENT, connector=claim.connector_id, files=int(files))
    tx.wake(claim.inbox_id, kind=WakeKind.CONNECTOR)


def _shown(reason: str | None) -> str | None:
    return None if reason is None else made_storable(reason)[:MAX_REASON]
