"""What becomes of recipients whose last attempt may have delivered them: sent again, held, or known to be sent.

An account may be asked whether the message lies in its Sent; a relay cannot tell, and there the policy alone decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ports import Metrics
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store import queue_doubt
from gateway.store.db import Database
from gateway.store.queue import QueueItem

from .accounts import Account
from .carrier import CutBeforeTheDot
from .ports import Accounts

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 60.0
_INTERRUPTED: Final = Outcome(Verdict.UNKNOWN, Stage.FINAL_DOT, None, None, "The attempt was interrupted")
_NOT_TOLD: Final = Outcome(
    Verdict.UNKNOWN, Stage.FINAL_DOT, None, None, "The last attempt had no answer, and the account cannot tell"
)
_FOUND: Final = Outcome(
    Verdict.SENT, Stage.FINAL_DOT, None, "2.0.0", "The last attempt had no answer; the message is in the account's Sent"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """`go`: they are sent; `ended`: they are not, and what is written down of them."""

    go: tuple[QueueItem, ...]
    ended: tuple[QueueItem, ...] = ()
    outcome: Outcome = _INTERRUPTED


class Doubts:
    """One a process."""

    def __init__(self, db: Database, accounts: Accounts, metrics: Metrics) -> None:
        self._db = db
        self._accounts = accounts
        self._metrics = metrics

    async def judge(
        self, items: tuple[QueueItem, ...], account: Account | None, policy: Literal["resend", "hold"]
    ) -> Judged:
        """Recipients of one submission. `account`: whose mail it is. Unavailable, CutBeforeTheDot."""
        interrupted = tuple(item for item in items if item.interrupted)
        if interrupted:
            self._metrics.count("delivery_interrupted_total", len(interrupted))
        if account is not None:
            return await self._ask(items, account, policy)
        if policy == "resend":
            self._repeated(interrupted)
            return Judged(items)
        if interrupted:
            return _apart(items, interrupted, _INTERRUPTED)
        return _apart(items, await self._never_asked(items), _NOT_TOLD)

    async def _never_asked(self, items: tuple[QueueItem, ...]) -> tuple[QueueItem, ...]:
        """Those that were put off to ask an account which is no more, or whose mail a rule sends elsewhere by now."""
        tried = [item.recipient_id for item in items if item.attempts]
        if not tried:
            return ()
        history = await self._db.read(lambda rx: queue_doubt.doubtful(rx, tried, (queue_doubt.UNKNOWN,)))
        return tuple(item for item in items if history.get(item.recipient_id) is False)

    async def _ask(
        self, items: tuple[QueueItem, ...], account: Account, policy: Literal["resend", "hold"]
    ) -> Judged:
        if not any(item.interrupted or item.attempts for item in items):
            return Judged(items)
        history = await self._db.read(
            lambda rx: queue_doubt.doubtful(rx, [item.recipient_id for item in items])
        )
        doubtful = tuple(item for item in items if item.recipient_id in history)
        if not doubtful:
            return Judged(items)
        sent = await self._was_sent(account, doubtful, items)
        log.info("delivery.doubt", submission=items[0].submission_uuid, account=account.name, sent=sent)
        if sent:
            return _apart(items, doubtful, _FOUND)
        if sent is None and policy == "hold":
            return _apart(items, tuple(item for item in doubtful if not history[item.recipient_id]), _NOT_TOLD)
        if sent is None:
            self._repeated(doubtful)
        return Judged(items)

    async def _was_sent(
        self, account: Account, doubtful: Sequence[QueueItem], items: Sequence[QueueItem]
    ) -> bool | None:
        """None as well where another transaction of the submission may have left the copy.

        That there is none proves nothing where the relay may have been the one.
        """
        submission, rows = doubtful[0].submission_id, [item.recipient_id for item in items]
        message_id, alone = await self._db.read(
            lambda rx: (queue_doubt.message(rx, submission)[0], queue_doubt.alone(rx, submission, rows))
        )
        if message_id is None or not alone:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self._accounts.was_sent(account, message_id, doubtful[0].created_at)
        except TimeoutError:
            return None
        except asyncio.CancelledError:  # nothing has begun; the history keeps the doubt
            raise CutBeforeTheDot from None
        except GatewayError as error:
            log.info("delivery.doubt_stays", account=account.name, reason=str(error))
            return None
        return None if found is False and account.use_fallback else found

    def _repeated(self, items: Sequence[QueueItem]) -> None:
        if items:
            self._metrics.count("delivery_repeated_total", len(items))


def _apart(items: tuple[QueueItem, ...], ended: tuple[QueueItem, ...], outcome: Outcome) -> Judged:
    rows = {item.recipient_id for item in ended}
    return Judged(tuple(item for item in items if item.recipient_id not in rows), ended, outcome)
