"""A connector at work: a store, an account on a scripted upstream, and the supervisor that keeps both in sync."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.connectors.askers import SyncResult
from gateway.connectors.options import ImapLeg, Options, Sync
from gateway.connectors.plan.destination import DestinationLimits
from gateway.connectors.plan.windows import WindowLimits
from gateway.connectors.settings import ConnectorSettings
from gateway.connectors.supervisor import Supervisor
from gateway.ingest.writer import Ingest
from gateway.model.flags import names_of
from gateway.model.ids import ContentId, InboxId
from gateway.outbound.login import RelayLogin
from gateway.outbound.tls import Security, TlsPolicy
from gateway.store import content, mailboxes, messages
from gateway.store.connectors import accounts, folders
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.rows import ConnectorRow, RemoteFolder
from gateway.store.db import Database, Rx
from gateway.store.inboxes import Inbox
from gateway.store.messages import Columns
from gateway.store.statements import Stmt
from gateway.upstream.endpoint import ImapEndpoint, ImapTimeouts
from tests.store.helpers import make_inbox
from tests.support.upstream import FakeUpstream

LOOPBACK = "127.0.0.1"
QUICK = ConnectorSettings(
    window=WindowLimits(messages=10), destination=DestinationLimits(0, 0), others_every=0.3, discover_every=1800.0,
    deaf_after=3600.0,
)  # fmt: skip
TIMES = ImapTimeouts(
    connect=5, greeting=5, login=5, command=5, select=5, listing=10, silence=5, idle_check=5, logout=1
)
Content = Counter[tuple[frozenset[str], str]]
"""(flags, SHA-256 of the octets) of each message of a mailbox."""


_EARLIER = Stmt("UPDATE remote_poison SET next_try = next_try - :by")


@dataclass
class Given:
    """`ports.Accounts` of tests: one account, reached in the clear, or by `tls`."""

    options_: Options
    port: int
    user: str
    password: str
    tls: TlsPolicy = field(default_factory=lambda: TlsPolicy(security=Security.NONE))
    times: ImapTimeouts = field(default_factory=lambda: TIMES)
    max_message: int = 64 * 1024 * 1024
    renewed: int = 0

    def options(self, row: ConnectorRow) -> Options:
        return self.options_

    async def imap(self, row: ConnectorRow, options: Options, *, renew: bool) -> ImapEndpoint:
        self.renewed += renew
        limits = replace(ImapEndpoint("", 0, RelayLogin("", "")).limits, message=self.max_message)
        return ImapEndpoint(
            options.imap.host, self.port, RelayLogin(self.user, self.password), tls=self.tls, allow_private=True,
            timeouts=self.times, limits=limits,
        )  # fmt: skip

    async def imap_ahead(self, row: ConnectorRow, options: Options) -> ImapEndpoint:
        raise AssertionError("passwords do not end")

    def is_oauth(self, row: ConnectorRow) -> bool:
        return False


def options(*, push: bool = False, mode: str = "pull", imap: dict[str, Any] | None = None, **sync: Any) -> Options:
    leg = ImapLeg(host=LOOPBACK, allow_private=True, **(imap or {}))
    return Options(imap=leg, sync=Sync(push=push, mode=mode, interval=0, **sync))  # type: ignore[arg-type]


@dataclass
class Connected:
    """One connector and what it synced."""

    db: Database
    inbox: Inbox
    row: ConnectorRow
    given: Given
    supervisor: Supervisor
    clock: Callable[[], float]
    running: asyncio.Task[None]

    async def restart(self) -> None:
        """As if the process ended and another one began: what it remembered is gone."""
        settings = self.supervisor._settings
        await _ended(self.running)
        self.supervisor, self.running = _supervised(self.db, self.given, settings, self.clock)

    async def later(self, seconds: float) -> None:
        """As if so many had passed: what is put off is due."""
        await self.db.write(
            lambda tx: tx.run(_EARLIER, by=int(seconds)), inboxes=(self.inbox.id,)
        )

    async def sync(self) -> SyncResult:
        """A sync that begins now; it must be ours to do."""
        async with asyncio.timeout(60):
            found = await self.supervisor.sync(self.row.id)
        assert found is not None
        return found

    async def good_sync(self) -> SyncResult:
        found = await self.sync()
        assert found.failure is None, found
        return found

    async def folders(self) -> dict[str, RemoteFolder]:
        rows = await self.db.read(lambda rx: folders.of_connector(rx, self.row.id))
        return {row.name: row for row in rows}

    async def read_row(self) -> ConnectorRow:
        return await self.db.read(lambda rx: accounts.get(rx, self.row.id))

    async def mail(self, name: str = "INBOX") -> Content:
        return (await all_mail(self.db, self.inbox.id)).get(name, Counter())

    async def until(self, wanted: Callable[[], Any], what: str = "it") -> None:
        """Wait for something that happens by itself; `wanted` may be a coroutine function."""
        async with asyncio.timeout(30):
            while True:
                found = wanted()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.02)


async def all_mail(db: Database, inbox_id: InboxId) -> dict[str, Content]:
    """Name of a mailbox -> what is in it."""

    def query(rx: Rx) -> dict[str, Content]:
        found: dict[str, Content] = {}
        for box in mailboxes.list_mailboxes(rx, inbox_id):
            names = messages.keywords_of(rx, box.id)
            rows = messages.load(rx, box.id)
            contents = dict(
                messages.fetch_rows(rx, box.id, [uid for uid, _, _ in rows], Columns.CONTENT_ID)
            )
            found[box.name] = Counter(
                (frozenset(names_of(mask, names)), octets_digest(rx, contents[uid])) for uid, mask, _ in rows
            )
        return found

    return await db.read(query)


def octets_digest(rx: Rx, content_id: Any) -> str:
    number = ContentId(content_id[0] if isinstance(content_id, tuple) else content_id)
    size = content.content_row(rx, number).size
    header = content.read_header(rx, number)
    body = content.read_body(rx, number, 0, size - len(header))
    return hashlib.sha256(header + body).hexdigest()


def upstream_mail(server: FakeUpstream, raw: str = "INBOX") -> Content:
    return Counter(server.account.mailbox(raw).snapshot().values())


@asynccontextmanager
async def connected(
    db: Database, server: FakeUpstream, wanted: Options | None = None, *, settings: ConnectorSettings = QUICK,
    clock: Callable[[], float] = time.time, **given: Any,
) -> AsyncIterator[Connected]:  # fmt: skip
    """A connector of `server`'s account; it syncs when it is asked, or with `push` by itself."""
    inbox = await make_inbox(db)
    wanted = options() if wanted is None else wanted
    now = int(clock())
    row = await db.write(
        lambda tx: accounts.create(
            tx,
            NewConnector(inbox.pod_id, "work", "anna@elsewhere.test", inbox_id=inbox.id, mode=wanted.sync.mode),
            now=now,
        )
    )
    account = Given(wanted, server.port, server.account.user, server.account.password, **given)
    supervisor, running = _supervised(db, account, settings, clock)
    here = Connected(db, inbox, row, account, supervisor, clock, running)
    try:
        yield here
        assert not server.violations, server.violations
    finally:
        await _ended(here.running)


def _supervised(
    db: Database, account: Given, settings: ConnectorSettings, clock: Callable[[], float]
) -> tuple[Supervisor, asyncio.Task[None]]:
    supervisor = Supervisor(
        db, Ingest(db, now=clock), account, settings, clock=clock, chance=random.Random(1).random
    )
    return supervisor, asyncio.get_running_loop().create_task(supervisor.run())


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and task.exception() is not None:
        raise task.exception()  # type: ignore[misc]
