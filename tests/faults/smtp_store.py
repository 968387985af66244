"""A real store with two inboxes, acceptance over it, and a queue runner: what the tests of the whole way need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.delivery.ports import NO_ACCOUNTS, Accounts
from gateway.delivery.routes import Route, RouteLimits, Routes
from gateway.delivery.runner import QueueRunner
from gateway.delivery.schedule import Schedule
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.ways import Ways
from gateway.ingest.writer import Ingest
from gateway.model.ids import InboxId
from gateway.model.ports import NULL_METRICS, Metrics
from gateway.outbound.endpoint import Endpoint, Timeouts
from gateway.outbound.tls import Security, TlsPolicy
from gateway.store import content, inboxes, mailboxes, messages, pods
from gateway.store.check import check
from gateway.store.db import Database, Rx, Tx, open_database
from gateway.store.migrate import migrate
from gateway.store.queue_admin import QueueEntry
from gateway.store.rows import Columns
from gateway.submit.accept import Submissions
from gateway.submit.settings import SubmitSettings
from tests.support.queue import entries

FAST = Timeouts(connect=5, greeting=5, mail=5, rcpt=5, data=5, block=5, final=5, quit=1)


@dataclass(frozen=True)
class Stored:
    """A message in a mailbox."""

    uid: int
    flags: int
    octets: bytes


@dataclass
class House:
    db: Database
    ingest: Ingest
    ann: InboxId
    bob: InboxId
    now: float = 1_800_000_000.0
    routes: Routes = field(default_factory=Routes)
    accounts: Accounts = NO_ACCOUNTS
    submissions: Submissions = field(init=False)

    def __post_init__(self) -> None:
        self.submissions = Submissions(
            self.db,
            self.ingest,
            self.clock,
            SubmitSettings(hostname="mail.example.org", max_message_size=2_000_000),
            not_carried=lambda inbox, sender, recipient: self.ways.refusal(inbox, sender, recipient),
        )

    @property
    def ways(self) -> Ways:
        return Ways(self.routes, self.accounts.table)

    def clock(self) -> float:
        return self.now

    def use_relay(self, port: int, **changes: Any) -> None:
        self.routes = Routes(self.relay("relay", port, **changes))

    @staticmethod
    def relay(name: str, port: int, *, limits: RouteLimits | None = None, **changes: Any) -> Route:
        values: dict[str, Any] = {
            "host": "127.0.0.1", "port": port, "tls": TlsPolicy(Security.NONE), "helo": "mail.example.org",
            "allow_private": True, "timeouts": FAST,
        }
        return Route.relay(name, Endpoint(**{**values, **changes}), limits=limits)

    @asynccontextmanager
    async def runner(self, *, metrics: Metrics = NULL_METRICS, **settings: Any) -> AsyncIterator[QueueRunner]:
        values: dict[str, Any] = {"hostname": "mail.example.org", "schedule": Schedule(first=60.0), "poll_s": 0.02}
        runner = QueueRunner(
            self.db,
            self.ingest,
            self.routes,
            DeliverySettings(**{**values, **settings}),
            clock=self.clock,
            chance=lambda: 0.5,
            metrics=metrics,
            accounts=self.accounts,
        )
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            runner.stop()
            await task

    async def mail(self, inbox: InboxId, mailbox: str = "INBOX") -> list[Stored]:
        def query(rx: Rx) -> list[Stored]:
            found = mailboxes.by_name(rx, inbox, mailbox)
            assert found is not None
            kept = []
            for uid, flags, _ in messages.load(rx, found.id, 0, 1000):
                row = messages.fetch_rows(rx, found.id, [uid], Columns.CONTENT_ID)[0]
                number = row[-1]
                size = content.content_row(rx, number).body_size
                octets = content.read_header(rx, number) + b"".join(
                    content.read_body(rx, number, at, at + 65_536) for at in range(0, size, 65_536)
                )
                kept.append(Stored(uid, flags, octets))
            return kept

        return await self.db.read(query)

    async def queue(self) -> list[QueueEntry]:
        """All submissions with their attempts."""
        return await self.db.read(entries)

    async def rows(self) -> list[int]:
        """All recipients, by their numbers."""
        return [person.id for entry in await self.queue() for person in entry.recipients]

    async def states(self) -> list[str]:
        return [str(person.state) for entry in await self.queue() for person in entry.recipients]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Waits for a state, as long as the test as a whole may take."""
        while not await condition():  # noqa: ASYNC110 - it stands in the database; nobody signals it
            await asyncio.sleep(0.005)

    async def sound(self) -> None:
        """The store's consistency check finds nothing."""
        findings = await self.db.read(lambda rx: check(rx, deep=True))
        assert findings == []


@asynccontextmanager
async def house(directory: Path, url: str = "") -> AsyncIterator[House]:
    url = url or f"sqlite:///{directory / 'gateway.db'}"
    await migrate(url)
    db = open_database(url)
    await db.start()

    def settle(tx: Tx) -> tuple[InboxId, InboxId]:
        pod = pods.create_pod(tx, "home")
        pods.create_domain(tx, pod.id, "example.org")
        return tuple(  # type: ignore[return-value]
            inboxes.create_inbox(tx, pod.id, f"{name}@example.org", now=1_700_000_000).id for name in ("ann", "bob")
        )

    ann, bob = await db.write(settle)
    made = House(db, Ingest(db, now=lambda: 1_800_000_000.0), ann, bob)
    try:
        yield made
        await made.submissions.drain()
        await made.sound()
    finally:
        await db.close()
