"""Connections whose access tokens end: another login is made before, and nobody notices."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from gateway.outbound.failure import Failure
from gateway.outbound.login import RelayLogin
from gateway.store.connectors import events
from gateway.store.connectors.events import EventStatus
from gateway.store.connectors.rows import ConnectorRow, ConnectorState
from gateway.store.db import Database
from gateway.upstream.endpoint import ImapEndpoint
from gateway.upstream.errors import UpstreamError
from tests.connectors.kit import QUICK, Connected, Given, Options, connected, options, upstream_mail
from tests.support.upstream import DOVECOT, M365, FakeUpstream

MODERN = DOVECOT.replace(before=f"{DOVECOT.before} AUTH=XOAUTH2")
LIFE = 2.0
GRACE = 2.0
"""The server ends sessions so much later, that a busy machine is none of what is tested."""


@dataclass
class Provider(Given):
    """Tokens that last LIFE seconds; the server ends what was logged in by them. `later`: whether there are others."""

    server: FakeUpstream | None = None
    made: int = 0
    cut: int = 0
    ends: float = 0.0
    asked: int = 0
    later: bool = True
    withdrawn: bool = False
    slow: asyncio.Event | None = None
    """Who is cancelled while he asks ahead ends with it."""

    def issue(self) -> None:
        server = self.server
        assert server is not None
        self.made += 1
        token = f"token-{self.made}"
        server.account.tokens.add(token)
        self.ends = time.time() + LIFE

        def end() -> None:
            self.cut += server.expire(token)

        asyncio.get_running_loop().call_later(LIFE + GRACE, end)

    async def _with_token(self, row: ConnectorRow, options: Options) -> ImapEndpoint:
        found = await super().imap(row, options, renew=False)
        login = RelayLogin(self.user, f"token-{self.made}", token=True)
        return replace(found, login=login, login_ends=self.ends)

    async def imap(self, row: ConnectorRow, options: Options, *, renew: bool) -> ImapEndpoint:
        if renew or self.ends - time.time() < LIFE / 2:
            self.issue()
        return await self._with_token(row, options)

    async def imap_ahead(self, row: ConnectorRow, options: Options) -> ImapEndpoint:
        self.asked += 1
        if self.slow is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await self.slow.wait()
        if self.withdrawn:
            raise UpstreamError(Failure.AUTH_OAUTH, "The login was withdrawn")
        if self.later:
            self.issue()
        return await self._with_token(row, options)

    def is_oauth(self, row: ConnectorRow) -> bool:
        return True


@asynccontextmanager
async def lasting(
    db: Database, server: FakeUpstream, wanted: Options | None = None
) -> AsyncIterator[tuple[Connected, Provider]]:
    async with connected(db, server, wanted or options(push=True), settings=replace(QUICK, share_every=60)) as here:
        provider = Provider(here.given.options_, server.port, server.account.user, "", server=server)
        here.supervisor._tools.accounts = provider
        yield here, provider


async def failures(here: Connected) -> Counter[str | None]:
    found = await here.db.read(events.newest)
    return Counter(one.failure for one in found if one.status is EventStatus.FAILED)


async def same(here: Connected, server: FakeUpstream) -> None:
    async def alike() -> bool:
        return await here.mail() == upstream_mail(server)

    await here.until(alike, "the mail")


def while_lives(provider: Provider, count: int) -> Callable[[], bool]:
    return lambda: provider.made >= count


@pytest.mark.parametrize("kind", [MODERN, M365], ids=["modern", "m365"])
async def test_a_connection_outlives_its_tokens(db: Database, kind: object) -> None:
    async with FakeUpstream(kind, mailboxes={"INBOX": 12}) as server:  # type: ignore[arg-type]
        async with lasting(db, server) as (here, provider):
            await here.until(while_lives(provider, 1))
            for count in range(2, 5):
                await here.until(while_lives(provider, count), "the next token")
                server.account.deliver()
                await same(here, server)
                assert (await here.read_row()).state is ConnectorState.LIVE
            assert (await here.read_row()).epoch == 1, "one lease all the time"
            assert not provider.cut, "no session was ended by the server"
            await here.until(lambda: len(server.sessions) == 1, "the end of the one before")
        assert not await failures(here)
        assert server.connections == provider.made


async def test_where_no_later_token_comes_the_first_goes_on_until_the_server_ends_it(db: Database) -> None:
    async with FakeUpstream(MODERN, mailboxes={"INBOX": 3}) as server, lasting(db, server) as (here, provider):
        provider.later = False
        await here.until(lambda: provider.asked, "somebody who asks ahead")
        server.account.deliver()
        await same(here, server)
        assert server.connections == 1
        await here.until(lambda: provider.cut, "the end of the token")

        async def told() -> bool:
            return await failures(here) == {"bye": 1}

        await here.until(told, "the event of that")
        assert server.connections == 1, "no login without a later token"


async def test_an_account_that_allows_one_connection_changes_over_at_rest(db: Database) -> None:
    async with FakeUpstream(MODERN, mailboxes={"INBOX": 3}) as server:
        server.max_connections = 1
        async with lasting(db, server) as (here, provider):
            for count in range(2, 4):
                await here.until(while_lives(provider, count), "the next token")
                server.account.deliver()
                await same(here, server)
            assert not provider.cut
            assert not await failures(here)


async def test_a_login_that_was_withdrawn_is_not_tried_again_and_again(db: Database) -> None:
    async with FakeUpstream(MODERN, mailboxes={"INBOX": 3}) as server, lasting(db, server) as (here, provider):
        provider.withdrawn = True
        await here.until(lambda: provider.cut, "the end of the token")
        assert provider.asked == 1
        assert (await here.read_row()).epoch <= 2


async def test_a_second_cancellation_leaves_no_connection_open(db: Database) -> None:
    """While the task that asks ahead ends, which may take as long as a unit of the store."""
    async with FakeUpstream(MODERN, mailboxes={"INBOX": 3}) as server, lasting(db, server) as (here, provider):
        provider.slow = asyncio.Event()
        await here.until(lambda: provider.asked, "somebody who asks ahead")
        task = here.supervisor._tasks[here.row.id]
        (gate,) = here.supervisor._tools.gates._gates.values()
        assert gate.destination.open == 1
        session = here.supervisor._workers[here.row.id]._current
        assert session is not None
        renewal = session._work.line._renewal
        assert renewal is not None
        task.cancel()
        await here.until(renewal.cancelling, "the end of the line")
        task.cancel()
        await asyncio.wait([task], timeout=30)
        assert not gate.destination.open, "its place among those of the host is free"
        await here.until(lambda: not server.sessions, "the end of the connection")
        provider.slow.set()


async def test_older_mail_goes_on_over_the_next_connection(db: Database) -> None:
    async with FakeUpstream(MODERN, mailboxes={"INBOX": 200}) as server, lasting(db, server) as (here, provider):
        turn = here.supervisor._tools.backfills
        taken = [await turn.acquire() for _ in range(turn._value)]
        await here.until(while_lives(provider, 2), "the next token, while older mail waits")
        for _ in taken:
            turn.release()
        await same(here, server)
        assert not provider.cut
        assert (await here.read_row()).epoch == 1
        assert not await failures(here)
