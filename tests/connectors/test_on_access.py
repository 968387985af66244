"""Looks at an account because somebody reads its mail here: `Supervisor.look`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.connectors.on_access import ASK_OWNER_S
from gateway.model.flags import SYSTEM_FLAGS
from gateway.store import mailboxes, messages
from gateway.store.connectors import accounts, lease, removal
from gateway.store.connectors.rows import ConnectorState
from gateway.store.db import Database, Tx
from gateway.store.statements import Stmt
from tests.connectors.conftest import both
from tests.connectors.kit import QUICK, Connected, connected, options, upstream_mail
from tests.support.upstream import (
    DOVECOT,
    GMAIL,
    PLAIN,
    Do,
    FakeUpstream,
    Personality,
    Refuse,
    Stall,
)

PUSH = options(push=True)
CALM = replace(QUICK, others_every=3600.0, look_every=0.0)
"""Nothing is looked at by itself, and whatever is asked for is."""
BRIEF = replace(CALM, look_linger=0.0)


async def live(here: Connected) -> bool:
    return (await here.read_row()).state is ConnectorState.LIVE


async def idle(here: Connected) -> bool:
    return not here.supervisor.running


async def same(here: Connected, server: FakeUpstream, name: str = "INBOX") -> bool:
    return await here.mail(name) == upstream_mail(server, name)


async def polled(here: Connected) -> None:
    """It has synced once, and nobody works on it now; the next sync is an hour away."""
    await here.good_sync()
    await here.until(lambda: idle(here), "the end of the sync")
    await here.db.write(lambda tx: _put_off(tx, here), inboxes=(here.inbox.id,))


def _put_off(tx: Tx, here: Connected) -> None:
    tx.run(Stmt("UPDATE connector SET not_before = :at"), at=int(here.clock()) + 3600)


async def look(here: Connected, mailbox: str | None = None) -> bool:
    number = None
    if mailbox is not None:
        row = await here.db.read(lambda rx: mailboxes.by_name(rx, here.inbox.id, mailbox))
        assert row is not None
        number = row.id
    async with asyncio.timeout(30):
        return await here.supervisor.look(here.row.id, number)


def quiet(server: FakeUpstream, name: str = "INBOX") -> None:
    """A message that nobody is told of."""
    server.account.mailbox(name).place(server.account._mail(b"Subject: quiet\r\n\r\nx\r\n", (), None))


@both
async def test_who_listens_looks_at_once(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3, "Lists": 1}) as server,
        connected(db, server, PUSH, settings=CALM) as here,
    ):
        await here.until(lambda: live(here), "live")
        quiet(server)
        quiet(server, "Lists")
        assert await look(here, "INBOX")
        assert await same(here, server)
        assert await same(here, server, "Lists"), "the others are looked at too"
        assert server.connections == 1


@pytest.mark.parametrize("personality", [DOVECOT, PLAIN], ids=lambda one: one.name)
async def test_the_folder_that_is_read_is_looked_at_where_there_is_no_list_status(
    db: Database, personality: Personality
) -> None:
    async with (
        FakeUpstream(personality, mailboxes={"INBOX": 3, "Lists": 1, "Work": 2}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        quiet(server, "Lists")
        assert await look(here, "Lists")
        assert await same(here, server, "Lists")


async def test_who_reads_several_mailboxes_has_all_looked_at(db: Database) -> None:
    async with (
        FakeUpstream(PLAIN, mailboxes={"INBOX": 3, "Lists": 1, "Work": 2}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        quiet(server, "Lists")
        quiet(server, "Work")
        assert await look(here)
        assert await same(here, server, "Lists")
        assert await same(here, server, "Work")


@both
async def test_a_connector_that_polls_is_claimed_for_it_and_keeps_its_hour(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        before = await here.read_row()
        server.account.deliver()
        assert await look(here, "INBOX")
        assert await same(here, server)
        await here.until(lambda: idle(here), "its end")
        after = await here.read_row()
        assert (after.not_before, after.state, after.last_sync_at) == (
            before.not_before, before.state, before.last_sync_at,
        )  # fmt: skip
        assert after.node_id is None


async def test_its_connection_serves_the_next_reader(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=CALM) as here,
    ):
        await polled(here)
        assert await look(here)
        made = server.connections
        for _ in range(3):
            server.account.deliver()
            assert await look(here)
            assert await same(here, server)
        assert server.connections == made


async def test_a_sync_that_is_wanted_ends_the_light_session(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=CALM) as here,
    ):
        await polled(here)
        assert await look(here)
        made = server.connections
        server.account.deliver()
        await here.good_sync()
        assert await same(here, server)
        assert server.connections == made


async def test_readers_at_once_share_a_look(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=replace(CALM, look_every=3600.0)) as here,
    ):
        await polled(here)
        here.supervisor._recalls.clear()  # the sync was a look
        made = server.connections
        server.account.deliver()
        assert await asyncio.gather(*(look(here) for _ in range(5))) == [True] * 5
        assert await same(here, server)
        looks = [command for command in server.log if command.name in ("SELECT", "EXAMINE")]
        assert server.connections == made + 1
        assert await look(here), "and who asks right behind them"
        assert [command for command in server.log if command.name in ("SELECT", "EXAMINE")] == looks


async def test_who_asks_while_one_runs_has_the_next(db: Database) -> None:
    """What came after the first look had passed is in the answer of the second."""
    stall = Stall("EXAMINE", octets=0)
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, PUSH, settings=CALM) as here,
    ):
        await here.until(lambda: live(here), "live")
        await here.until(lambda: bool(server.log) and server.log[-1].name == "IDLE", "IDLE")
        server.arm(stall)
        first = asyncio.ensure_future(look(here))
        await stall.reached.wait()
        second = asyncio.ensure_future(look(here))
        await asyncio.sleep(0)  # one turn of the loop, in which it asks
        quiet(server)
        stall.released.set()
        assert await first
        assert await second
        assert await same(here, server)


async def test_labels_are_one_folder(db: Database) -> None:
    async with (
        FakeUpstream(GMAIL, mailboxes={"INBOX": 2, "Work": 1}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        server.account.deliver("INBOX")
        assert await look(here, "INBOX")
        assert sum((await here.mail("INBOX")).values()) == 3


async def test_older_mail_makes_room_for_a_reader(db: Database) -> None:
    stall = Stall("FETCH", nth=3, octets=0)
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 60, "Lists": 1}, faults=[stall]) as server,
        connected(db, server, PUSH, settings=CALM) as here,
    ):
        await stall.reached.wait()
        asked = asyncio.ensure_future(here.supervisor.look(here.row.id))
        await asyncio.sleep(0)  # one turn of the loop, in which it asks
        quiet(server, "Lists")
        stall.released.set()
        await asked
        await here.until(lambda: live(here), "live")
        assert await same(here, server)


@pytest.mark.parametrize("how", ["disabled", "auth_failed", "backoff", "new", "gone"])
async def test_where_there_is_none(db: Database, how: str) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        made = server.connections
        if how == "disabled":
            await db.write(lambda tx: accounts.set_enabled(tx, here.row.id, False, now=int(here.clock())))
        elif how == "gone":
            await db.write(lambda tx: removal.remove(tx, here.row.id, now=int(here.clock())))
        else:
            await db.write(lambda tx: _become(tx, how), inboxes=(here.inbox.id,))
        assert not await look(here)
        assert not await look(here), "who asks again at once is answered too"
        assert server.connections == made


async def test_who_waits_is_answered_when_the_process_ends_at_that_moment(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        asked = asyncio.ensure_future(here.supervisor.look(here.row.id))
        await asyncio.sleep(0)  # one turn of the loop, in which it asks
        assert here.supervisor._access._calls, "somebody is to find out whom to ask, and has not begun"
        await here.supervisor._access.close()
        assert not await asyncio.wait_for(asked, 30)
        assert not await here.supervisor.look(here.row.id)
        async with asyncio.timeout(30):
            assert await here.supervisor.sync(here.row.id) is None, "nobody would end who is started now"


def _become(tx: Tx, state: str) -> None:
    text = "UPDATE connector SET state = :state" + (", last_success_at = NULL" if state == "new" else "")
    tx.run(Stmt(text), state=state)


async def test_an_error_is_an_answer_and_is_waited_out(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        server.arm(Refuse("LOGIN", "NO [UNAVAILABLE] not now", times=0))
        server.arm(Refuse("AUTHENTICATE", "NO [UNAVAILABLE] not now", times=0))
        assert not await look(here)
        await here.until(lambda: idle(here), "its end")
        made = server.connections
        assert not await look(here), "it is in backoff"
        assert server.connections == made


async def test_the_account_is_lost_in_the_middle_of_a_look(db: Database) -> None:
    async def away(server: FakeUpstream) -> None:
        server.hang_up()

    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, PUSH, settings=CALM) as here,
    ):
        await here.until(lambda: live(here), "live")
        server.arm(Do("EXAMINE", away, when="before"))
        assert not await look(here)


async def test_what_another_node_has_is_asked_for_and_not_waited_for(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, settings=BRIEF) as here,
    ):
        await polled(here)
        now = int(here.clock())

        def taken(tx: Tx) -> None:
            tx.run(
                Stmt("INSERT INTO node (node_id, incarnation, alive_until, started_at) VALUES ('b', 'x', :until, 0)"),
                until=2**41,
            )
            assert lease.claim_one(tx, here.row.id, "b", "x", now) is not None

        await db.write(taken, inboxes=(here.inbox.id,))
        assert not await look(here)
        asked = (await here.read_row()).sync_asked_at
        assert asked is not None
        await db.write(lambda tx: _forget_request(tx), inboxes=(here.inbox.id,))
        assert not await look(here)
        assert (await here.read_row()).sync_asked_at is None, f"once in {ASK_OWNER_S} s"


def _forget_request(tx: Tx) -> None:
    tx.run(Stmt("UPDATE connector SET sync_asked_at = NULL"))


async def test_a_reader_who_gives_up_leaves_nothing_behind(db: Database) -> None:
    stall = Stall("EXAMINE", octets=0)
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, PUSH, settings=CALM) as here,
    ):
        await here.until(lambda: live(here), "live")
        server.arm(stall)
        asked = asyncio.ensure_future(look(here))
        await stall.reached.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        stall.released.set()
        quiet(server)
        await here.until(lambda: look(here), "the next look")
        assert await same(here, server)


async def test_changes_here_neither_go_up_by_a_look_nor_keep_it_from_resting(db: Database) -> None:
    """A two-way account that polls: a session for readers hears of changes here, and leaves them to the next sync."""
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server,
        connected(db, server, options(mode="two-way"), settings=CALM) as here,
    ):
        await polled(here)
        assert await look(here)
        box = await db.read(lambda rx: mailboxes.by_name(rx, here.inbox.id, "INBOX"))
        assert box is not None
        number = box.id
        await db.write(
            lambda tx: messages.store_flags(tx, here.inbox.id, number, ((1, 1),), "add", SYSTEM_FLAGS["\\Flagged"]),
            inboxes=(here.inbox.id,),
        )
        server.account.deliver()
        assert await look(here)
        assert sum((await here.mail()).values()) == 4
        requests = here.supervisor._workers[here.row.id].requests
        await here.until(lambda: not (requests.push or requests.event.is_set()), "it to wait until it is asked")
        assert not any(command.name == "UID STORE" for command in server.log)
        await here.good_sync()
        assert await same(here, server)
