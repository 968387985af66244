"""Operations upstream that must not be done twice: append, move, copy, delete, changes of folders.

Planned before they begin, under a key that names what they are about, so that planning twice is one operation. `start`
commits what was true upstream before (the evidence); whoever finds a started operation after a crash looks upstream
first. `finish` goes into the unit that writes down what came of it, so that no later pull takes it for news.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.model.errors import NotFound
from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt
from gateway.store.texts import made_storable

from . import lease
from .rows import Changed, Claim, ConnectorId, OpId

KEEP_S: Final = 7 * 86_400
"""How long what is done or failed can be looked at."""
MAX_REASON: Final = 500  # characters
_OLD: Final = 200  # forgotten with each operation that ends

_OP: Final = (
    "SELECT o.id, o.connector_id, o.key, o.kind, o.payload, o.state, o.evidence, o.attempts, o.not_before, o.epoch,"
    " o.failure, o.reason, o.created_at, o.updated_at FROM pending_op o"
)
_BY_ID = Stmt(f"{_OP} WHERE o.id = :op AND o.connector_id = :connector")
_OPEN_BY_KEY = Stmt(
    f"{_OP} WHERE o.connector_id = :connector AND o.key = :key AND o.state IN ('planned', 'started')"
)
_PLAN = Stmt(
    "INSERT INTO pending_op (connector_id, key, kind, payload, state, not_before, created_at, updated_at) VALUES"
    " (:connector, :key, :kind, :payload, 'planned', :not_before, :now, :now) RETURNING id"
)
_START = Stmt(
    "UPDATE pending_op SET state = 'started', evidence = :evidence, attempts = attempts + 1, epoch = :epoch,"
    " failure = NULL, reason = NULL, updated_at = :now WHERE id = :op"
)
_END = Stmt(
    "UPDATE pending_op SET state = :state, failure = :failure, reason = :reason, updated_at = :now WHERE id = :op"
)
_PUT_OFF = Stmt(
    "UPDATE pending_op SET state = :state, failure = :failure, reason = :reason, not_before = :not_before,"
    " updated_at = :now WHERE id = :op"
)
_IN_STATE = Stmt(
    f"{_OP} WHERE o.connector_id = :connector AND o.state = :state AND o.id > :after ORDER BY o.id LIMIT :most"
)
_ENDED = Stmt(
    "SELECT id FROM pending_op WHERE connector_id = :connector AND state = :state AND updated_at <= :before"
    " ORDER BY id LIMIT :most"
)
_DELETE = Stmt("DELETE FROM pending_op WHERE id IN :LIST(ops)")
_NEXT = Stmt(
    "SELECT min(not_before) FROM pending_op WHERE connector_id = :connector AND state IN ('planned', 'started')"
)


class OpState(StrEnum):
    PLANNED = "planned"
    STARTED = "started"
    """It may have been done: look upstream, by the evidence, before it is tried again."""
    DONE = "done"
    FAILED = "failed"
    """Given up; somebody may look why."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation. `payload` and `evidence` are the worker's own. `epoch`: of the lease under which it started."""

    id: OpId
    connector_id: ConnectorId
    key: str
    kind: str
    payload: Mapping[str, Any]
    state: OpState
    evidence: Mapping[str, Any] | None
    attempts: int
    not_before: int
    epoch: int
    failure: str | None
    reason: str | None
    created_at: int
    updated_at: int


def plan(
    tx: Tx, claim: Claim, key: str, kind: str, payload: Mapping[str, Any], *, not_before: int = 0, now: int
) -> Op:
    """An operation to be done; the one that is open under this key already, as it is. LeaseLost."""
    lease.fence(tx, claim, now)
    return ask(tx, claim.connector_id, key, kind, payload, not_before=not_before, now=now)


def ask(
    tx: Tx, connector_id: ConnectorId, key: str, kind: str, payload: Mapping[str, Any], *, not_before: int = 0, now: int
) -> Op:
    """`plan` by somebody who does not work on the connector; whoever does is to be woken."""
    row = tx.one(_OPEN_BY_KEY, connector=connector_id, key=key)
    if row is not None:
        return _op(row)
    number = tx.scalar(
        _PLAN, connector=connector_id, key=key, kind=kind, payload=json.dumps(payload), not_before=not_before, now=now
    )
    return get(tx, connector_id, OpId(number))


def get(rx: Rx, connector_id: ConnectorId, op_id: OpId) -> Op:
    """NotFound."""
    row = rx.one(_BY_ID, op=op_id, connector=connector_id)
    if row is None:
        raise NotFound("The connector has no such operation")
    return _op(row)


def start(tx: Tx, claim: Claim, op_id: OpId, evidence: Mapping[str, Any], *, now: int) -> Op:
    """It begins once this is committed. LeaseLost, NotFound; Changed when it ended.

    One that was started before is started again: who does so has looked upstream, and found that it was not done.
    """
    before = _open(tx, claim, op_id, now)
    tx.run(_START, op=before.id, evidence=json.dumps(evidence), epoch=claim.epoch, now=now)
    return get(tx, claim.connector_id, op_id)


def finish(tx: Tx, claim: Claim, op_id: OpId, *, now: int) -> None:
    """It was done. One that is done already stays so. LeaseLost, NotFound; Changed when it failed."""
    if _ended(tx, claim, op_id, OpState.DONE, now):
        return
    tx.run(_END, op=op_id, state=OpState.DONE.value, failure=None, reason=None, now=now)
    _forget(tx, claim.connector_id, now)


def fail(tx: Tx, claim: Claim, op_id: OpId, failure: str, reason: str, *, now: int) -> None:
    """It is given up. LeaseLost, NotFound; Changed when it was done."""
    if _ended(tx, claim, op_id, OpState.FAILED, now):
        return
    tx.run(_END, op=op_id, state=OpState.FAILED.value, failure=failure, reason=_shown(reason), now=now)
    _forget(tx, claim.connector_id, now)


def put_off(
    tx: Tx, claim: Claim, op_id: OpId, failure: str, reason: str, *, not_before: int, not_done: bool, now: int
) -> None:
    """It is tried again from `not_before` on. LeaseLost, NotFound; Changed when it ended.

    `not_done`: upstream refused it, so it is planned as at first; else its outcome is unknown, and it stays started.
    """
    before = _open(tx, claim, op_id, now)
    state = OpState.PLANNED if not_done else before.state
    tx.run(
        _PUT_OFF, op=op_id, state=state.value, failure=failure, reason=_shown(reason), not_before=not_before, now=now
    )


def due(rx: Rx, connector_id: ConnectorId, now: int, limit: int = 100) -> list[Op]:
    """Open operations in the order in which they were planned; those that are put off are left out.

    Those of one message keep their order only if the caller stops at what is put off: `key` says what it is about.
    """
    return [op for op in open_ops(rx, connector_id, limit) if op.not_before <= now]


def open_ops(rx: Rx, connector_id: ConnectorId, limit: int = 100) -> list[Op]:
    """Planned or started ones by number, put off or not."""
    found = [
        *rx.all(_IN_STATE, connector=connector_id, state=OpState.STARTED.value, after=0, most=limit),
        *rx.all(_IN_STATE, connector=connector_id, state=OpState.PLANNED.value, after=0, most=limit),
    ]
    return [_op(row) for row in sorted(found)[:limit]]


def page(rx: Rx, connector_id: ConnectorId, state: OpState, after: int = 0, limit: int = 100) -> list[Op]:
    """Operations in one state by number; go on with `after` = the last one's id."""
    return [
        _op(row) for row in rx.all(_IN_STATE, connector=connector_id, state=state.value, after=after, most=limit)
    ]


def next_due(rx: Rx, connector_id: ConnectorId) -> int | None:
    """Unix seconds at which the first open operation is due, also in the past; None: there is none."""
    found: int | None = rx.scalar(_NEXT, connector=connector_id)
    return found


def _open(tx: Tx, claim: Claim, op_id: OpId, now: int) -> Op:
    lease.fence(tx, claim, now)
    found = get(tx, claim.connector_id, op_id)
    if found.state not in (OpState.PLANNED, OpState.STARTED):
        raise Changed("This operation has ended")
    return found


def _ended(tx: Tx, claim: Claim, op_id: OpId, wanted: OpState, now: int) -> bool:
    """Whether it ended so before. Changed when it ended otherwise."""
    lease.fence(tx, claim, now)
    found = get(tx, claim.connector_id, op_id)
    if found.state in (OpState.DONE, OpState.FAILED) and found.state is not wanted:
        raise Changed("This operation has ended otherwise")
    return found.state is wanted


def _forget(tx: Tx, connector_id: ConnectorId, now: int) -> None:
    """What ended long ago goes with what ends now, so that nobody has to sweep."""
    for state in (OpState.DONE, OpState.FAILED):
        old = tx.all(_ENDED, connector=connector_id, state=state.value, before=now - KEEP_S, most=_OLD)
        if old:
            tx.run(_DELETE, ops=[row[0] for row in old])


def _shown(reason: str) -> str:
    return made_storable(reason)[:MAX_REASON]


def _op(row: tuple[Any, ...]) -> Op:
    values = list(row)
    values[4], values[5] = json.loads(row[4]), OpState(row[5])
    values[6] = None if row[6] is None else json.loads(row[6])
    return Op(*values)
