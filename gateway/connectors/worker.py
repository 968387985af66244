"""A connector under its lease: connect, sync, stay; and what becomes of it when that ends, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from gateway.model.errors import GatewayError, MailboxGone, NotFound, OverQuota, Unavailable
from gateway.outbound.failure import Failure
from gateway.store.connectors import accounts, lease, state
from gateway.store.connectors.rows import Claim, ConnectorRow, ConnectorState, LeaseLost
from gateway.store.db import Tx
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import UpstreamError
from gateway.upstream.transcript import Transcript

from .askers import Askers, SyncResult
from .gates import HostAway
from .line import Line
from .options import Options
from .plan.budget import OctetBudget
from .plan.standing import Standing
from .profile import heard, profile_of
from .progress import SyncRun
from .recall import Recall
from .requests import Requests, Stopped
from .scope import EVERYTHING, Scope
from .session import Session
from .telling import NEVER, Telling
from .tools import Tools
from .work import Quarantined, StartAgain, Work

log = structlog.get_logger(__name__)

ENDED: Final = "ended"
"""As `SyncResult.failure`: the session ended before the sync began."""
_LOG_LINES: Final = 2_000  # of a sync that somebody waits for
FULL_S: Final = 900
AGAIN_S: Final = 5
DEFECT_S: Final = 300


class Worker:
    """One connector. `run` ends when the lease was given back, or lost."""

    def __init__(self, tools: Tools, claim: Claim, recall: Recall) -> None:
        self._tools = tools
        self._recall = recall
        self._askers = Askers()
        self._telling = Telling(tools, claim, recall, self._askers)
        self._current: Session | None = None
        self._well = False
        self._pushes = False
        self.claim = claim
        self.requests = Requests()
        self.ending = False
        """Its session is over: who wants a sync has to claim the connector again."""
        self.started = asyncio.Event()
        """It has synced once, or failed: another one may start."""
        self.at_gate = False
        """It waits until its host may be asked, and keeps nobody else from starting."""
        self._in_turn = False

    def sync(
        self, told: Callable[[SyncRun], None] | None = None, scope: Scope = EVERYTHING
    ) -> asyncio.Future[SyncResult]:
        """Ask for a sync of `scope`; the future ends with the first one that began after this."""
        future = self._askers.ask(told, scope)
        self.requests.ask(sync=True, whole=scope.everything)
        return future

    @property
    def quiet_since(self) -> float | None:
        """It only listens, since then (the loop's clock), and nobody waits for it: another node may have it."""
        return self._current.quiet_since if self._current is not None and self._is_free else None

    @property
    def older_since(self) -> float | None:
        """It fetches older mail, since then, and nobody waits for it: another node may go on with that."""
        return self._current.older_since if self._current is not None and self._is_free else None

    @property
    def _is_free(self) -> bool:
        return not (self.ending or self._askers.any or self.requests.stop)

    async def run(self) -> None:
        """Never raises but for cancellation: one connector's trouble is its own."""
        not_before = 0
        try:
            not_before = await self._session()
        except asyncio.CancelledError:
            raise
        except (LeaseLost, NotFound):  # another one's now, or removed
            return
        except Unavailable as error:
            log.warning("connectors.store_unavailable", connector=self.claim.connector_id, reason=str(error))
            not_before = int(self._tools.clock()) + AGAIN_S
        except Exception:  # a defect: it is told, and the others go on
            log.exception("connectors.worker_failed", connector=self.claim.connector_id)
            not_before = int(self._tools.clock()) + DEFECT_S
        finally:
            self.over()
        await self._release(not_before)

    def over(self) -> None:
        """It ends: whoever waits is told. May be repeated, and must be by whoever sees its task end: one that is
        cancelled before its first step runs nothing of `run`, while somebody may have asked already."""
        if self.ending:
            return
        self.ending = True
        self._begun()
        self._recall.looks.stop(again=self._well)
        self._askers.answer(ENDED, "the connector stopped", self._telling.log, everybody=True)

    async def _begin_to_work(self) -> None:
        """Its host may be asked: it waits until few enough others connect or sync for the first time."""
        self.at_gate = False
        await self._tools.starting.acquire()
        self._in_turn = True

    def _begun(self) -> None:
        """It is one of those that stay, or at its end."""
        self.started.set()
        in_turn, self._in_turn = self._in_turn, False
        if in_turn:
            self._tools.starting.release()

    async def _release(self, not_before: int) -> None:
        def unit(tx: Tx) -> None:
            with suppress(NotFound):  # removed: there is nothing to come back to
                row = accounts.get(tx, self.claim.connector_id)
                late = (self._well and self.requests.sync) or self._recall.is_asked(row.sync_asked_at)
                at = 0 if late else not_before
                lease.release(tx, self.claim, not_before=at)

        try:
            await self._tools.db.write(unit, inboxes=(self.claim.inbox_id,))
        except Unavailable:  # the lease ends with this node's heartbeat, or is ours still
            log.warning("connectors.not_released", connector=self.claim.connector_id)

    async def _session(self) -> int:
        """One connection, from its beginning to its end; when to try again, as Unix seconds."""
        tools, recall = self._tools, self._recall
        row = await tools.db.read(lambda rx: accounts.get(rx, self.claim.connector_id))
        try:
            options = tools.accounts.options(row)
        except GatewayError as error:
            await self._telling.write_failed(ConnectorState.BACKOFF, "options", str(error), NEVER)
            return NEVER
        if row.state is ConnectorState.AUTH_FAILED and recall.account.standing is Standing.OK:
            recall.account.standing = Standing.AUTH_FAILED  # this process has not seen it, and tries once a day too
        self.requests.whole |= recall.is_asked(row.sync_asked_at)
        asked = self.requests.whole or self._askers.waiting
        recall.asked_at = max(recall.asked_at, row.sync_asked_at or 0)
        if not options.imap.enabled or not (options.sync.enabled or asked):
            return NEVER
        recall.account.oauth = tools.accounts.is_oauth(row)
        if asked:
            self.requests.sync = True
        # What is neither due nor asked for was claimed for a reader who waits (`on_access`).
        due = 0 if asked or options.sync.push or row.last_success_at is None else row.not_before
        began = tools.clock()
        session: Session | None = None
        try:
            self.at_gate = True
            async with self._line(row, options) as line:
                await line.wait()
                await self._begin_to_work()
                client = await line.open()
                recall.account.logged_in()
                recall.renew = False
                work = self._work(row, options, line, client)
                self._pushes = work.two_way
                session = self._current = Session(work, self.requests, tools.backfills)
                until = await self._serve(session, work, due)
                self._well = True
                return until
        except UpstreamError as error:
            return await self._telling.failed(error, tools.gates, options)
        except HostAway as away:
            until = int(tools.clock() + away.seconds) + 1
            await self._telling.write_failed(
                ConnectorState.BACKOFF, Failure.UNAVAILABLE.value, str(away), until, news=False
            )
            return until
        except StartAgain as again:
            log.info("connectors.looks_again", connector=self.claim.connector_id, reason=str(again))
            return int(tools.clock()) + AGAIN_S
        except Quarantined as error:
            return await self._telling.say(recall.account.quarantine(), Failure.PROTOCOL, str(error))
        except OverQuota as error:
            await self._telling.write_failed(ConnectorState.FULL, "over_quota", str(error), int(tools.clock()) + FULL_S)
            return int(tools.clock()) + FULL_S
        except MailboxGone:  # somebody deleted a mailbox here: it is made anew
            return int(tools.clock())
        except LeaseLost:
            raise
        except Unavailable:
            raise
        except GatewayError as error:
            await self._telling.write_failed(
                ConnectorState.BACKOFF, "error", str(error), int(tools.clock()) + DEFECT_S
            )
            return int(tools.clock()) + DEFECT_S
        finally:
            recall.account.ended(
                synced=session is not None and session.validated, lived=max(0.0, tools.clock() - began)
            )

    def woken(self) -> None:
        """Something changed here that may have to go up."""
        if self._pushes:
            self.requests.ask(push=True)

    def _line(self, row: ConnectorRow, options: Options) -> Line:
        tools = self._tools
        lines = _LOG_LINES if self._askers.waiting else tools.settings.transcript_lines
        transcript = self._telling.transcript = Transcript(lines, tools.clock)
        return Line(tools, row, options, self._recall, self.requests, transcript)

    def _work(self, row: ConnectorRow, options: Options, line: Line, client: ImapClient) -> Work:
        tools = self._tools
        profile = heard(profile_of(options.imap.host), client.greeting, client.server_id)
        if self._recall.octets is None:
            self._recall.octets = OctetBudget(profile.limits)
        return Work(
            tools.db, tools.ingest, tools.clock, tools.chance, tools.settings, self.claim, row, options, profile,
            line, client, self._recall, self._askers.run, self._recall.octets,
        )  # fmt: skip

    async def _begin(self, work: Work) -> float:
        """A sync begins: who asked until now is served by it. When it was asked for; 0.0: by the schedule."""
        if self._askers.waiting and self._telling.transcript is not None:
            self._telling.transcript.keep(_LOG_LINES)
        asked, self.requests.sync = self.requests.sync, False
        whole, self.requests.whole = self.requests.whole, False
        work.run = self._askers.begin(whole=whole)
        work.held.clear()
        await work.unit(lambda tx: state.began(tx, self.claim, now=work.now))
        return self._tools.clock() if asked else 0.0

    async def _serve(self, session: Session, work: Work, due: int) -> int:
        """Sync, unless that is `due` later only; then stay, or say when to come again."""
        tools, sync = self._tools, work.options.sync
        if tools.clock() < due:
            self._begun()
            await session.on_access(due)
            if not self.requests.sync and tools.clock() < due:
                return due
        while True:
            asked_at = await self._begin(work)
            if not self._askers.scope.everything:
                there = await session.sync_only(self._askers.scope, asked_at=asked_at)
                await self._telling.synced(work, there=there)
                # What nobody waits for follows now, but where it is not due, or left to whoever asks.
                by_itself = sync.push or sync.mode == "import" or tools.clock() >= work.row.not_before
                if not session.whole and sync.enabled and by_itself:
                    continue
                if not session.whole and not self.requests.sync:
                    return work.row.not_before if sync.enabled else NEVER
            else:
                await session.sync(asked_at=asked_at)
                await self._telling.synced(work)
            if self.requests.stop:  # perhaps with older mail left
                return int(tools.clock())
            if sync.push and sync.mode != "import":
                self._begun()
                if await session.live() is Stopped.ASKED:
                    return int(tools.clock())
            elif not self.requests.sync:
                break
        if sync.mode == "import":
            wait = work.octets.wait(tools.clock(), backfill=True)
            if wait:  # the provider gives no more today
                return int(tools.clock() + wait) + 1
            await work.unit(lambda tx: state.succeeded(tx, self.claim, ConnectorState.DONE, now=work.now))
            return NEVER
        return int(tools.clock()) + sync.interval * 60 if sync.interval else NEVER
