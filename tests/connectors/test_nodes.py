"""Several processes share the connectors of a store; limits that stop one connector and no other."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from gateway.connectors.settings import ConnectorSettings
from gateway.connectors.supervisor import Supervisor
from gateway.ingest.writer import Ingest
from gateway.store import quota
from gateway.store.connectors import accounts, events, lease
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.events import EventStatus
from gateway.store.connectors.rows import ConnectorRow, ConnectorState
from gateway.store.db import Database, Tx
from gateway.store.quota import Limits
from gateway.store.statements import Stmt
from tests.connectors.kit import QUICK, Given, all_mail, connected, options, upstream_mail
from tests.store.helpers import DOMAIN, make_inbox
from tests.support.upstream import DOVECOT, YAHOO, FakeUpstream

PUSH = options(push=True)
postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)
"""An SQLite store is one process's: who joins there ends all others, so two would take turns."""


@dataclass
class Node:
    supervisor: Supervisor
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def node(
    db: Database, server: FakeUpstream, name: str, clock: Callable[[], float] = time.time,
    settings: ConnectorSettings = QUICK,
) -> Node:  # fmt: skip
    given = Given(PUSH, server.port, server.account.user, server.account.password)
    supervisor = Supervisor(
        db, Ingest(db, now=clock), given, replace(settings, node=name), clock=clock, chance=random.random
    )
    return Node(supervisor, asyncio.get_running_loop().create_task(supervisor.run()))


async def connectors(db: Database, count: int) -> list[ConnectorRow]:
    made = []
    for number in range(count):
        inbox = await make_inbox(db, f"n{number}@{DOMAIN}")
        new = NewConnector(inbox.pod_id, f"c{number}", f"n{number}@elsewhere.test", inbox_id=inbox.id)
        made.append(await db.write(lambda tx, new=new: accounts.create(tx, new, now=int(time.time()))))  # type: ignore[misc]
    return made


async def states(db: Database) -> list[ConnectorState]:
    return [row.state for row in await db.read(lambda rx: accounts.page(rx))]


async def until(wanted: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while True:
            found = wanted()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


@postgresql
async def test_each_connector_is_one_node_s(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server:
        await connectors(db, 8)
        settings = replace(QUICK, claims_at_once=1, connectors=4)
        nodes = [node(db, server, name, settings=settings) for name in ("a", "b")]

        async def all_live() -> bool:
            return all(state is ConnectorState.LIVE for state in await states(db))

        await until(all_live)
        assert [one.supervisor.running for one in nodes] == [4, 4]
        assert len(server.sessions) == 8
        await nodes[0].stop()
        assert nodes[0].supervisor.running == 0
        nodes[1].supervisor._settings = replace(nodes[1].supervisor._settings, connectors=8)
        await until(lambda: nodes[1].supervisor.running == 8)
        await until(lambda: len(server.sessions) == 8)
        await nodes[1].stop()
        rows = await db.read(lambda rx: accounts.page(rx))
        assert {row.node_id for row in rows} == {None}
        for row in rows:
            found = await all_mail(db, row.inbox_id)
            assert found["INBOX"] == upstream_mail(server)


@postgresql
async def test_nodes_that_are_gone_for_long_are_forgotten(db: Database) -> None:
    def old(tx: Tx) -> None:
        for name, alive_until in (("gone", time.time() - 100_000), ("just now", time.time() - 100)):
            lease.join(tx, name, "x", int(time.time()))
            tx.run(Stmt("UPDATE node SET alive_until = :at WHERE node_id = :name"), at=int(alive_until), name=name)

    await db.write(old)
    async with FakeUpstream(DOVECOT) as server:
        one = node(db, server, "a")

        async def names() -> bool:
            return [each.node_id for each in await db.read(lambda rx: lease.nodes(rx, 0))] == ["a", "just now"]

        await until(names)
        await one.stop()


async def asked(one: Node, times: int) -> None:
    """Wait until it has asked so often whether it has too much."""
    sharing = one.supervisor._sharing
    for _ in range(times):
        before = sharing._ask_at
        await until(lambda before=before: sharing._ask_at != before)  # type: ignore[misc]


@postgresql
async def test_a_node_that_comes_later_gets_its_share(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server:
        rows = await connectors(db, 8)
        settings = replace(QUICK, share_every=0.6)
        first = node(db, server, "a", settings=settings)

        async def all_live() -> bool:
            return all(state is ConnectorState.LIVE for state in await states(db))

        await until(all_live)
        await asked(first, 2)  # alone it keeps all
        assert first.supervisor.running == len(server.sessions) == 8
        second = node(db, server, "b", settings=settings)
        await until(lambda: second.supervisor.running >= 3)

        async def shares() -> list[int]:
            """What each has, of what is at rest."""
            found = await db.read(lambda rx: accounts.page(rx))
            return sorted([row.node_id for row in found].count(name) for name in ("a", "b"))

        async def settled() -> bool:
            return len(server.sessions) == 8 and await shares() == [3, 5]

        await until(settled)
        epochs = {row.id: row.epoch for row in await db.read(lambda rx: accounts.page(rx))}
        assert sum(epoch > 1 for epoch in epochs.values()) == 3
        await asked(first, 2)
        await asked(second, 2)
        assert epochs == {row.id: row.epoch for row in await db.read(lambda rx: accounts.page(rx))}
        assert await settled()
        server.account.deliver_many(4)

        async def same() -> bool:
            return all([(await all_mail(db, row.inbox_id))["INBOX"] == upstream_mail(server) for row in rows])

        await until(same)
        await first.stop()
        await until(lambda: second.supervisor.running == 8)
        await second.stop()
        assert await same()
        assert {event.status for event in await db.read(events.newest)} == {EventStatus.SUCCESS}
        assert not server.violations


@postgresql
async def test_where_all_fetch_older_mail_some_of_it_is_left_to_the_node_that_comes_later(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 30}) as server:
        rows = await connectors(db, 6)
        settings = replace(QUICK, share_every=0.4)
        first = node(db, server, "a", settings=settings)
        turn = first.supervisor._tools.backfills
        taken = [await turn.acquire() for _ in range(turn._value)]

        def waiting(*, asked: bool) -> int:
            workers = first.supervisor._workers.values()
            return sum(one.requests.stop if asked else one.older_since is not None for one in workers)

        await until(lambda: waiting(asked=False) == 6)
        second = node(db, server, "b", settings=settings)
        await until(lambda: waiting(asked=True) >= 2)
        for _ in taken:
            turn.release()

        async def shared() -> bool:
            found = await db.read(lambda rx: accounts.page(rx))
            live = all(row.state is ConnectorState.LIVE for row in found)
            return live and first.supervisor.running + second.supervisor.running == 6 and second.supervisor.running >= 2

        await until(shared)

        async def same() -> bool:
            found = [await all_mail(db, row.inbox_id) for row in rows]
            return all(one["INBOX"] == upstream_mail(server) for one in found)

        await until(same)
        await first.stop()
        await second.stop()


@postgresql
async def test_what_nobody_has_room_for_stays(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server:
        await connectors(db, 4)
        first = node(db, server, "a", settings=replace(QUICK, share_every=0.4))
        await until(lambda: first.supervisor.running == 4)
        full = node(db, server, "b", settings=replace(QUICK, share_every=0.4, connectors=0))

        async def came_back() -> bool:
            found = await db.read(lambda rx: accounts.page(rx))
            return any(row.epoch > 1 for row in found) and {row.node_id for row in found} == {"a"}

        await until(came_back)
        await until(lambda: len(server.sessions) == 4)
        await full.stop()
        await first.stop()


async def test_a_node_that_gives_no_sign_of_life_loses_its_connectors(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server:
        (row,) = await connectors(db, 1)
        first = node(db, server, "a")
        await until(lambda: first.supervisor.running == 1)
        second = node(db, server, "b", clock=lambda: time.time() + 60)
        await until(lambda: second.supervisor.running == 1)
        await until(lambda: first.supervisor.running == 0)
        server.account.deliver()

        async def same() -> bool:
            return (await all_mail(db, row.inbox_id))["INBOX"] == upstream_mail(server)

        await until(same)
        await first.stop()
        await second.stop()


async def test_a_full_inbox_waits_and_loses_nothing(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 30}) as server, connected(db, server) as here:
        await here.until(lambda: _is(here, ConnectorState.POLLING))
        await here.db.write(
            lambda tx: quota.set_limits(tx, here.inbox.id, Limits(messages=35)), inboxes=(here.inbox.id,)
        )
        server.account.deliver_many(12)
        result = await here.sync()
        assert result.failure == "over_quota"
        assert (await here.read_row()).state is ConnectorState.FULL
        await here.db.write(
            lambda tx: quota.set_limits(tx, here.inbox.id, Limits()), inboxes=(here.inbox.id,)
        )
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)


async def _is(here: object, state: ConnectorState) -> bool:
    return (await here.read_row()).state is state  # type: ignore[attr-defined,no-any-return]


async def test_a_server_that_shows_a_part_shows_all_to_who_works_by_uid(db: Database) -> None:
    """Yahoo: 10 of 40 in SELECT, at most 7 a command, and all with UIDONLY."""
    personality = YAHOO.quirk(visible=10, message_limit=7).replace(
        after=YAHOO.after.replace("MESSAGELIMIT=1000", "MESSAGELIMIT=7")
    )
    async with FakeUpstream(personality, mailboxes={"INBOX": 40}) as server, connected(db, server) as here:
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
        uids = sorted(server.account.mailbox("INBOX").places)
        server.account.set_flags("INBOX", uids[5], ["\\Flagged"])
        server.account.deliver_many(3)
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
