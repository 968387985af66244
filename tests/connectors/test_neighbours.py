"""Several accounts, of which some misbehave: what each one's trouble is to the others, and what is shown of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from gateway.connectors.options import Options
from gateway.connectors.plan.destination import DestinationLimits
from gateway.connectors.settings import ConnectorSettings
from gateway.connectors.supervisor import Supervisor
from gateway.ingest.writer import Ingest
from gateway.outbound.login import RelayLogin
from gateway.store.connectors import accounts
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.rows import ConnectorRow, ConnectorState
from gateway.store.db import Database
from gateway.upstream.endpoint import ImapEndpoint
from tests.connectors.kit import LOOPBACK, QUICK, Given, all_mail, options, upstream_mail
from tests.connectors.test_nodes import until
from tests.store.helpers import DOMAIN, make_inbox
from tests.support.upstream import Drop, FakeUpstream, Flood, Stall
from tests.support.upstream.session import Session
from tests.support.upstream.wire import Wire

PATIENT = replace(Given(options(), 0, "", "").times, select=60, command=60, listing=60, silence=60)


class Counting(FakeUpstream):
    """Knows how many connections there ever were at once."""

    most = 0

    def session(self, wire: Wire, number: int) -> Session:
        self.most = max(self.most, len(self.sessions) + 1)
        return super().session(wire, number)


class Several(Given):
    """Accounts by the connector's name, each at a server of its own or at the same one."""

    def __init__(self, servers: dict[str, FakeUpstream], wanted: Options) -> None:
        super().__init__(wanted, 0, "", "", times=PATIENT)
        self.servers = servers

    def options(self, row: ConnectorRow) -> Options:
        return replace(self.options_, imap=replace(self.options_.imap, port=self.servers[row.name].port))

    async def imap(self, row: ConnectorRow, options: Options, *, renew: bool) -> ImapEndpoint:
        found = await super().imap(row, options, renew=renew)
        account = self.servers[row.name].account
        return replace(found, host=LOOPBACK, port=options.imap.port, login=RelayLogin(account.user, account.password))


@asynccontextmanager
async def following(
    db: Database, servers: dict[str, FakeUpstream], wanted: Options, settings: ConnectorSettings
) -> AsyncIterator[dict[str, ConnectorRow]]:
    """A connector of each name, and the supervisor of them all."""
    rows = {}
    for name in servers:
        inbox = await make_inbox(db, f"{name}@{DOMAIN}")
        new = NewConnector(inbox.pod_id, name, f"{name}@elsewhere.test", inbox_id=inbox.id)
        rows[name] = await db.write(lambda tx, new=new: accounts.create(tx, new, now=int(time.time())))  # type: ignore[misc]
    supervisor = Supervisor(
        db, Ingest(db, now=time.time), Several(servers, wanted), settings, clock=time.time, chance=random.random
    )
    task = asyncio.get_running_loop().create_task(supervisor.run())
    try:
        yield rows
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def read(db: Database, row: ConnectorRow) -> ConnectorRow:
    return await db.read(lambda rx: accounts.get(rx, row.id))


async def has_all(db: Database, row: ConnectorRow, server: FakeUpstream) -> bool:
    return (await all_mail(db, row.inbox_id)).get("INBOX") == upstream_mail(server)


async def test_who_misbehaves_is_alone_with_it(db: Database) -> None:
    """Some stall, hang up after login, refuse or talk without end, time and again; the others hear of mail at once."""
    bad: dict[str, dict[str, Any]] = {
        "stalls": {"faults": [Stall("EXAMINE", times=0)]},
        "drops": {"faults": [Drop("LIST", times=0)]},
        "talks": {"faults": [Flood("LIST", times=0)]},
        "refuses": {},
    }
    async with AsyncExitStack() as stack:
        servers: dict[str, FakeUpstream] = {}
        for name in [*bad, "good", "fine"]:
            made = Counting(mailboxes={"INBOX": 20}, **bad.get(name, {}))
            servers[name] = await stack.enter_async_context(made)
        servers["refuses"].refuse_login = "NO [AUTHENTICATIONFAILED] Invalid credentials"
        settings = replace(QUICK, starting=len(bad) + 1)
        async with following(db, servers, options(push=True), settings) as rows:
            failing = {"drops": "lost", "talks": "protocol", "refuses": "auth_rejected"}

            async def all_shown() -> bool:
                found = {name: await read(db, rows[name]) for name in failing}
                return {name: row.failure for name, row in found.items()} == failing

            await until(all_shown)
            for name in failing:
                row = await read(db, rows[name])
                assert row.state is ConnectorState.BACKOFF
                assert row.reason
                assert row.not_before > time.time() - 1, "and when it is tried again"
            for _ in range(3):
                for name in ("good", "fine"):
                    await until(lambda name=name: servers[name].idling("INBOX"))  # type: ignore[misc]
                    servers[name].account.deliver()
                for name in ("good", "fine"):
                    await until(lambda name=name: has_all(db, rows[name], servers[name]))  # type: ignore[misc]
            for name, server in servers.items():
                assert server.most == 1, f"{name}: one connection an account"  # type: ignore[attr-defined]
            assert (await read(db, rows["stalls"])).state is ConnectorState.SYNCING



async def test_a_host_is_never_asked_by_more_than_it_may_be(db: Database) -> None:
    async with Counting(mailboxes={"INBOX": 5}) as server:
        servers: dict[str, FakeUpstream] = {f"n{number}": server for number in range(8)}
        settings = replace(QUICK, destination=DestinationLimits(0, 0, connections=3))
        async with following(db, servers, options(), settings) as rows:
            for row in rows.values():
                await until(lambda row=row: has_all(db, row, server))  # type: ignore[misc]
        assert server.most == 3
        assert server.connections == 8


async def test_a_host_that_is_away_stops_nobody_else(db: Database) -> None:
    """More accounts than may start at once are at a host that is away: they wait, and others begin all the same."""
    async with FakeUpstream(mailboxes={"INBOX": 5}) as good:
        away = FakeUpstream()
        await away.start()
        await away.stop()  # its port is known, and nobody listens
        servers: dict[str, FakeUpstream] = {f"away{number}": away for number in range(12)} | {"good": good}
        settings = replace(QUICK, starting=2, destination=DestinationLimits(600, 2))
        async with following(db, servers, options(push=True), settings) as rows:
            await until(lambda: has_all(db, rows["good"], good))
            waiting = [row for name, row in rows.items() if name != "good"]

            async def shown() -> list[ConnectorRow]:
                found = [await read(db, row) for row in waiting]
                return found if all(row.failure for row in found) else []

            await until(shown)
            found = await shown()
            assert {row.failure for row in found} == {"refused", "unavailable"}
            assert {row.state for row in found} == {ConnectorState.BACKOFF}
            told = [row.reason or "" for row in found if row.failure == "unavailable"]
            assert told
            assert all(reason.startswith(f"{LOOPBACK} fails other accounts too: ") for reason in told)
