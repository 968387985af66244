"""A client here and an account elsewhere: SELECT, STATUS and searches wait for a look, as long as the setting says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.app.freshness import OnAccess, Watched, watched
from gateway.store import mailboxes
from gateway.store.connectors import accounts
from gateway.store.connectors.rows import ConnectorState
from tests.connectors.kit import Connected, connected, options
from tests.connectors.test_on_access import BRIEF, CALM, polled, quiet
from tests.support.upstream import DOVECOT, FakeUpstream, Refuse, Stall
from tests.transcripts.harness import Client, Harness, template

USER = "w@example.org"


@dataclass
class Reading:
    """`looks`: how often the account was asked for one."""

    harness: Harness
    here: Connected
    server: FakeUpstream
    on_access: OnAccess
    looks: list[int]

    async def client(self) -> Client:
        return await self.harness.logged_in(user=USER)


@asynccontextmanager
async def reading(
    directory: Path, *, seconds: int = 30, push: bool = False, settings: object = BRIEF, url: str = ""
) -> AsyncIterator[Reading]:
    wanted = options(push=push, on_access=seconds)
    async with (
        Harness(directory, url=url) as harness,
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3, "Lists": 1}) as server,
        connected(harness.db, server, wanted, settings=settings) as here,  # type: ignore[arg-type]
    ):
        looks: list[int] = []

        async def look(number: object, mailbox: object) -> bool:
            looks.append(1)
            return await here.supervisor.look(number, mailbox)  # type: ignore[arg-type]

        on_access = OnAccess(look)
        one = watched(here.row, wanted)
        assert one is not None
        on_access.take([one])
        harness.inboxes[USER] = here.inbox.id
        harness.services = replace(harness.services, freshness=on_access)
        if push:
            await here.until(lambda: _live(here), "live")
        else:
            await polled(here)
        try:
            yield Reading(harness, here, server, on_access, looks)
        finally:
            await harness._stop()


async def _live(here: Connected) -> bool:
    return (await here.read_row()).state is ConnectorState.LIVE


@pytest.fixture(autouse=True)
def ready(runner: asyncio.Runner) -> None:
    template()  # it runs a loop of its own


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.mark.parametrize("push", [True, False], ids=["listens", "polls"])
async def test_a_fast_account_is_in_the_answer(tmp_path: Path, url: str, push: bool) -> None:
    async with reading(tmp_path, push=push, settings=CALM, url=url) as the:
        one, other = await the.client(), await the.client()
        quiet(the.server)
        assert b"* 4 EXISTS" in await one.run(b"SELECT INBOX")
        assert b"* 4 EXISTS" in await other.run(b"EXAMINE INBOX")
        quiet(the.server)
        assert (await one.run(b"UID SEARCH SUBJECT quiet"))[:2] == [b"* 5 EXISTS", b"* SEARCH 4 5"]
        assert (await other.run(b"FETCH 1 UID"))[-2:] == [b"* 5 EXISTS", b"x OK FETCH completed"]
        quiet(the.server, "Lists")
        assert (await one.run(b"STATUS Lists (MESSAGES)"))[0] == b"* STATUS Lists (MESSAGES 2)"
        quiet(the.server, "Lists")
        found = await one.run(b"ESEARCH IN (personal) RETURN (COUNT) SUBJECT quiet")
        assert any(b"MAILBOX Lists" in line and line.endswith(b"COUNT 2") for line in found), found


async def test_an_account_that_stalls_costs_its_setting_once(tmp_path: Path, url: str) -> None:
    async with reading(tmp_path, seconds=1, push=True, settings=CALM, url=url) as the:
        client = await the.client()
        stall = Stall("EXAMINE", octets=0, times=0)
        the.server.arm(stall)
        async with asyncio.timeout(10):  # far more than the setting, and the stall has no end
            client.send(b"a SELECT INBOX\r\nb UID SEARCH ALL\r\nc STATUS INBOX (MESSAGES)\r\n")
            lines = await client.until(b"c")
        assert stall.reached.is_set()
        assert b"* 3 EXISTS" in lines
        assert b"b OK SEARCH completed" in lines
        assert len(the.looks) == 1, "the others did not wait again"
        the.server.disarm()


async def test_two_readers_at_once_are_one_look(tmp_path: Path) -> None:
    settings = replace(CALM, look_every=3600.0)
    async with reading(tmp_path, settings=settings) as the:
        the.here.supervisor._recalls.clear()  # the sync was a look
        one, other = await the.client(), await the.client()
        quiet(the.server)
        before = the.server.connections
        results = await asyncio.gather(one.run(b"SELECT INBOX"), other.run(b"SELECT INBOX"))
        assert all(b"* 4 EXISTS" in lines for lines in results)
        assert the.server.connections == before + 1
        quiet(the.server)
        assert (await one.run(b"SEARCH ALL"))[0] == b"* SEARCH 1 2 3 4", "it was seen just now"


@pytest.mark.parametrize("how", ["refused", "disabled", "gone"])
async def test_an_account_that_cannot_be_read_holds_up_nobody(tmp_path: Path, how: str) -> None:
    async with reading(tmp_path) as the:
        client, here = await the.client(), the.here
        if how == "refused":
            the.server.arm(Refuse("AUTH", "NO [UNAVAILABLE] not now", times=0))
        elif how == "disabled":
            await here.db.write(lambda tx: accounts.set_enabled(tx, here.row.id, False, now=int(here.clock())))
        else:
            await the.server.stop()
        async with asyncio.timeout(10):
            assert b"* 3 EXISTS" in await client.run(b"SELECT INBOX")
            assert (await client.run(b"SEARCH ALL"))[0] == b"* SEARCH 1 2 3"


async def test_a_mailbox_that_is_deleted_while_a_search_waits(tmp_path: Path) -> None:
    async with reading(tmp_path, push=True, settings=CALM) as the:
        client, here = await the.client(), the.here
        await client.run(b"SELECT Lists")
        stall = Stall("EXAMINE", octets=0)
        the.server.arm(stall)
        client.send(b"a SEARCH ALL\r\n")
        await stall.reached.wait()
        await here.db.write(
            lambda tx: mailboxes.delete(tx, here.inbox.id, "Lists", now=int(here.clock())), inboxes=(here.inbox.id,)
        )
        stall.released.set()
        assert (await client.line()).startswith(b"* BYE")
        await client.wait_closed()


async def test_a_defect_is_no_error_of_the_reader() -> None:
    def broken(number: object, mailbox: object) -> object:
        raise RuntimeError("a defect")

    on_access = OnAccess(broken)  # type: ignore[arg-type]
    on_access.take([Watched(1, 2, 5)])  # type: ignore[arg-type]
    assert on_access.wanted(1)  # type: ignore[arg-type]
    assert not on_access.wanted(2)  # type: ignore[arg-type]
    await on_access.look(1, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "awaited"),
    [
        (lambda row, found: (row, found), True),
        (lambda row, found: (replace(row, enabled=False), found), False),
        (lambda row, found: (row, replace(found, sync=replace(found.sync, on_access=0))), False),
        (lambda row, found: (row, replace(found, sync=replace(found.sync, enabled=False))), False),
        (lambda row, found: (row, replace(found, sync=replace(found.sync, mode="import"))), False),
        (lambda row, found: (row, replace(found, imap=replace(found.imap, enabled=False))), False),
    ],
)
async def test_for_which_connectors_readers_wait(tmp_path: Path, change: Callable[..., object], awaited: bool) -> None:
    async with (
        Harness(tmp_path) as harness,
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}) as server,
        connected(harness.db, server) as here,
    ):
        row, found = change(here.row, options(on_access=7))  # type: ignore[misc]
        assert (watched(row, found) is not None) is awaited
