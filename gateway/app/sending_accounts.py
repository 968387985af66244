"""Connectors as the accounts that the queue sends through: a table kept at hand, logins and events when mail goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from shlex import quote
from typing import Final

import structlog

from gateway.connectors.accounts import ConnectorAccounts
from gateway.connectors.gates import Gates
from gateway.connectors.options import Options, SmtpLeg
from gateway.connectors.push.sent import SentMail, ask_copy
from gateway.connectors.sent_search import lies_in_sent
from gateway.delivery.accounts import NOBODY, Account, AccountTable
from gateway.delivery.ports import AccountGone, AccountUnavailable, SendReport
from gateway.delivery.routes import RouteLimits
from gateway.model.errors import GatewayError, InvalidRequest, NotFound
from gateway.model.ports import Clock
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.outbound.sent_copy import AccountCopy, SentPolicy, files_sent
from gateway.store.connectors import accounts as rows
from gateway.store.connectors import events
from gateway.store.connectors.events import EventKind, EventStatus, NewEvent
from gateway.store.connectors.rows import ConnectorId, ConnectorRow, ConnectorState
from gateway.store.db import Database, Tx, Wake, WakeKind
from gateway.upstream.errors import UpstreamError

from .freshness import OnAccess, Watched, watched

log = structlog.get_logger(__name__)

PAGE: Final = 20  # options are read from their text on the loop
PAUSE_S: Final = 0.2
"""The first change is read as it comes, for somebody may have mail for a new account; what follows it is read once."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What counts of a connector at a version of it. `files`: copies may be put into its Sent."""

    version: rows.Version
    account: Account | None = None
    files: bool = False
    awaited: Watched | None = None


class SendingAccounts:
    """One a process; `start` reads the table, `run` keeps it."""

    def __init__(
        self, db: Database, accounts: ConnectorAccounts, gates: Gates, on_access: OnAccess | None = None, *,
        clock: Clock,
    ) -> None:  # fmt: skip
        """`gates`: of this process. `on_access` is told of what it needs, so that rows are read once."""
        self._db = db
        self._on_access = on_access
        self._accounts = accounts
        self._gates = gates
        self._clock = clock
        self._listeners: dict[int, Callable[[], None]] = {}
        self._numbers = count(1)
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()
        self._known: dict[ConnectorId, _Known] = {}
        self._files: set[ConnectorId] = set()
        self.table: AccountTable = NOBODY

    async def start(self) -> Callable[[], None]:
        """From here on changes are heard of; returns the way to stop that."""
        stop = self._db.subscribe(self._woken)
        await self._read()
        return stop

    async def run(self) -> None:
        """Follows what was heard of, until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._read()
            await asyncio.sleep(PAUSE_S)

    def _woken(self, wake: Wake) -> None:
        if wake.kind is WakeKind.CONNECTOR:
            self._changed.set()

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        self._listeners[number] = changed

        def stop() -> None:
            self._listeners.pop(number, None)

        return stop

    async def _read(self) -> None:
        async with self._reading:
            await self._read_changed()

    async def _read_changed(self) -> None:
        """A connector's state changes often, what counts here seldom: only what changed is read, a few at a time."""
        versions = await self._db.read(rows.versions)
        due = [number for number, version in versions.items() if self._version(number) != version]
        for start in range(0, len(due), PAGE):
            some = due[start : start + PAGE]
            for row in await self._db.read(lambda rx, some=some: rows.some(rx, some)):  # type: ignore[misc]
                self._known[row.id] = self._look(row)
        self._known = {number: one for number, one in self._known.items() if number in versions}
        self._files = {number for number, one in self._known.items() if one.files}
        if self._on_access is not None:
            self._on_access.take([one.awaited for one in self._known.values() if one.awaited is not None])
        found = {number: one.account for number, one in self._known.items() if one.account is not None}
        if found == {account.id: account for account in self.table}:
            return
        self.table = AccountTable(found.values())
        for listener in list(self._listeners.values()):
            listener()

    def _version(self, number: ConnectorId) -> rows.Version | None:
        known = self._known.get(number)
        return known.version if known is not None else None

    def _look(self, row: ConnectorRow) -> _Known:
        version, options = rows.Version(row.version, row.files_sent), self._options(row)
        if options is None:
            return _Known(version)
        return _Known(
            version,
            _account(row, options.smtp) if options.smtp.enabled else None,
            row.enabled and options.smtp.enabled and _may_file(options),
            watched(row, options),
        )

    def _options(self, row: ConnectorRow) -> Options | None:
        try:
            return self._accounts.options(row)
        except InvalidRequest as error:
            log.warning("connector.options_refused", connector=row.name, reason=str(error))
            return None

    async def endpoints(self, account: Account, *, renew: bool = False) -> Sequence[Endpoint]:
        """Its server, with a login that holds. AccountUnavailable."""
        try:
            row = await self._db.read(lambda rx: rows.get(rx, ConnectorId(account.id)))
            return [await self._accounts.smtp(row, renew=renew)]
        except UpstreamError as error:
            raise AccountUnavailable(error.failure, str(error)) from None
        except NotFound:
            await self._read()
            raise AccountGone(Failure.DENIED, "The account is no longer connected") from None

    async def was_sent(self, account: Account, message_id: bytes, since: int) -> bool | None:
        """Only where the provider files what it takes: what lies in Sent then came by its server."""
        try:
            row = await self._db.read(lambda rx: rows.get(rx, ConnectorId(account.id)))
            options = self._accounts.options(row)
            if not options.imap.enabled or not files_sent(options.smtp.host, ""):
                return None
            endpoint = await self._accounts.imap(row, options, renew=False)
            return await lies_in_sent(endpoint, self._gates, row.id, message_id, since)
        except GatewayError as error:
            log.info("connector.sent_not_looked_at", connector=account.name, reason=str(error))
            return None

    def report(self, tx: Tx, report: SendReport) -> None:
        """A SEND event, and what is to be done about Sent there. One of a connector that is gone is of nobody."""
        detail = {
            "submission": report.submission,
            "message_id": report.message_id.decode("utf-8", "replace") if report.message_id is not None else None,
            "remote": report.remote,
            "fallback": report.fallback,
            "recipients": [
                {"address": end.address, "state": end.state.value, "code": end.code, "text": end.text}
                for end in report.recipients
            ],
        }
        new = NewEvent(
            EventKind.SEND, EventStatus.SUCCESS if report.sent else EventStatus.FAILED, message=report.text,
            failure=report.failure.value if report.failure is not None else None, size=report.size, detail=detail,
            log="\n".join(report.log),
        )  # fmt: skip
        with suppress(NotFound):
            events.add(tx, ConnectorId(report.account_id), new, now=report.at)
        wanted = report.copy in (AccountCopy.APPEND, AccountCopy.PROBE)
        if wanted and report.message_id is not None and report.account_id in self._files:
            sent = SentMail(
                report.inbox_id, report.content_id, report.message_id, report.at, report.copy is AccountCopy.PROBE
            )  # fmt: skip
            ask_copy(tx, ConnectorId(report.account_id), report.submission, sent, report.at)


def _account(row: ConnectorRow, leg: SmtpLeg) -> Account:
    return Account(
        id=row.id, name=row.name, inbox_id=row.inbox_id, addresses=(row.address,), limits=_limits(leg),
        sent_policy=SentPolicy(leg.sent_copy), use_fallback=leg.fallback or _moved_away(row), paused=_switched_off(row),
        files_sent=row.files_sent, version=row.version,
    )  # fmt: skip


def _switched_off(row: ConnectorRow) -> str:
    """"" when it is on."""
    if row.enabled:
        return ""
    return f"Account {row.name} ({row.address}) is switched off; to send: gateway connector enable {quote(row.name)}"


def _moved_away(row: ConnectorRow) -> bool:
    """An import switches itself off at its end. Whoever moved away from the account sends by the relay."""
    return row.mode == "import" and row.state is ConnectorState.DONE


def _may_file(options: Options) -> bool:
    """Whether we put copies into the account's Sent: only where two-way sync puts anything there."""
    return options.imap.enabled and options.sync.mode == "two-way" and options.sync.appended


def _limits(leg: SmtpLeg) -> RouteLimits:
    return RouteLimits(connections=leg.connections, per_minute=leg.per_minute)
