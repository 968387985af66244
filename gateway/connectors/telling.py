"""What becomes known of a connector's sessions: its row, events, and who waits for a sync."""

from __future__ import annotations

from typing import Final

import structlog

from gateway.outbound.failure import Failure
from gateway.store.connectors import events, state
from gateway.store.connectors.rows import Claim, ConnectorState
from gateway.store.db import Tx
from gateway.upstream.errors import UpstreamError
from gateway.upstream.transcript import Transcript

from . import journal
from .askers import Askers
from .gates import Gates
from .options import Options
from .plan.standing import Standing, Verdict
from .recall import Recall
from .tools import Tools
from .work import Work

log = structlog.get_logger(__name__)

NEVER: Final = 2**40
"""As `not_before`: not by itself."""
_STATES: Final = {
    Standing.BACKOFF: ConnectorState.BACKOFF, Standing.THROTTLED: ConnectorState.THROTTLED,
    Standing.AUTH_FAILED: ConnectorState.AUTH_FAILED, Standing.QUARANTINED: ConnectorState.QUARANTINED,
    Standing.OK: ConnectorState.BACKOFF,
}  # fmt: skip


class Telling:
    """Of one worker; `transcript`: of its session."""

    def __init__(self, tools: Tools, claim: Claim, recall: Recall, askers: Askers) -> None:
        self._tools = tools
        self._claim = claim
        self._recall = recall
        self._askers = askers
        self.transcript: Transcript | None = None

    async def synced(self, work: Work, *, there: bool = True) -> None:
        """A sync ended well: say so to the store and to whoever waits. `there`: what was asked for exists."""
        recall, held = self._recall, work.held
        recall.confirmed = False
        reached = ConnectorState.LIVE if work.options.sync.push else ConnectorState.POLLING
        reason = "; ".join(held) or None
        told = self._askers.served or work.run.did_something
        event = journal.of_run(work.run, self.log(), reason) if told else None

        def unit(tx: Tx) -> None:
            state.succeeded(
                tx, self._claim, ConnectorState.CONFIRM if held else reached, now=work.now, reason=reason
            )
            if event is not None:
                events.add(tx, self._claim.connector_id, event, now=work.now)

        await work.unit(unit)
        if there:
            self._askers.answer(None, "", self.log)
        else:
            missing = f"No folder is synced that is called {self._askers.scope.folder}"
            self._askers.answer(Failure.FOLDER_MISSING.value, missing, self.log)

    def log(self) -> list[tuple[float, str]]:
        """The redacted transcript so far, a moment and a line each."""
        return self.transcript.lines() if self.transcript is not None else []

    async def failed(self, error: UpstreamError, gates: Gates, options: Options) -> int:
        """The account, or the way to it, failed; when to try again, as Unix seconds."""
        tools, recall = self._tools, self._recall
        verdict = recall.account.failed(error.failure, tools.clock(), tools.chance(), hint=error.retry_after)
        recall.renew = recall.renew or verdict.refresh
        gates.failed(
            options.imap.host, options.imap.port, self._claim.connector_id, str(error), counts=verdict.counts
        )
        return await self.say(verdict, error.failure, str(error))

    async def say(self, verdict: Verdict, failure: Failure, reason: str) -> int:
        """Write a verdict down; until when it holds, as Unix seconds."""
        until = NEVER if verdict.until is None else int(verdict.until)
        log.info(
            "connectors.failed", connector=self._claim.connector_id, failure=failure.value,
            standing=verdict.standing.value, seconds=max(0, until - int(self._tools.clock())),
        )  # fmt: skip
        await self.write_failed(_STATES[verdict.standing], failure.value, reason, until, news=verdict.news)
        return until

    async def write_failed(
        self, reached: ConnectorState, failure: str, reason: str, until: int, *, news: bool = True
    ) -> None:
        """`news`: it did not fail like this before, so an event is left; so it is where somebody waits."""
        now = int(self._tools.clock())
        told = news or self._askers.any
        event = journal.of_failure(self._askers.run, self.log(), failure, reason) if told else None

        def unit(tx: Tx) -> None:
            state.failed(tx, self._claim, reached, failure, reason, not_before=until, now=now)
            if event is not None:
                events.add(tx, self._claim.connector_id, event, now=now)

        await self._tools.db.write(unit, inboxes=(self._claim.inbox_id,))
        self._askers.answer(failure, reason, self.log, everybody=True)
