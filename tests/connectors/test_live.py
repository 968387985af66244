"""A connector that stays: IDLE, other folders, requests in between, ends and new beginnings."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.connectors.progress import SyncRun
from gateway.connectors.worker import ENDED
from gateway.store.connectors import accounts, lease
from gateway.store.connectors.rows import ConnectorState
from gateway.store.db import Database, Tx
from tests.connectors.conftest import both
from tests.connectors.kit import QUICK, Connected, connected, options, upstream_mail
from tests.support.upstream import (
    DOVECOT,
    DOVECOT_BARE,
    EXCHANGE,
    ICLOUD,
    NETEASE,
    PLAIN,
    YAHOO,
    Deaf,
    Drop,
    FakeUpstream,
    Personality,
    Refuse,
    Stall,
)

PUSH = options(push=True)


async def live(here: Connected) -> bool:
    return (await here.read_row()).state is ConnectorState.LIVE


async def same(here: Connected, server: FakeUpstream, name: str = "INBOX") -> bool:
    return await here.mail(name) == upstream_mail(server, name)


@both
async def test_new_mail_and_flags_come_at_once(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 5}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        assert await same(here, server)
        await here.until(lambda: any(command.name == "IDLE" for command in server.log), "IDLE")
        server.account.deliver()
        await here.until(lambda: same(here, server), "the new message")
        server.account.set_flags("INBOX", 3, ["\\Flagged", "work"])
        await here.until(lambda: same(here, server), "the flags")


async def test_what_goes_there_goes_here_while_it_listens(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 5, "Work": 1}) as server,
        connected(db, server, options(push=True, vanished="delete")) as here,
    ):
        await here.until(lambda: live(here), "live")
        server.account.expunge("INBOX", 2)
        await here.until(lambda: same(here, server), "the removal")
        server.account.move("INBOX", 3, "Work")
        await here.until(lambda: same(here, server), "the move")
        await here.until(lambda: same(here, server, "Work"), "its arrival")


@pytest.mark.parametrize("personality", [PLAIN, NETEASE, YAHOO], ids=lambda one: one.name)
async def test_servers_that_cannot_push_are_asked(db: Database, personality: Personality) -> None:
    async with FakeUpstream(personality, mailboxes={"INBOX": 5}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        server.account.deliver()
        await here.until(lambda: same(here, server), "the new message")


async def test_other_folders_follow(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 1, "Lists": 3}) as server,
        connected(db, server, PUSH) as here,
    ):
        await here.until(lambda: live(here), "live")
        server.account.deliver("Lists")
        await here.until(lambda: same(here, server, "Lists"), "the other folder")
        server.account.create("New one")
        server.account.deliver("New one")
        await here.until(lambda: same(here, server, "New one"), "the new folder")


async def test_a_sync_that_somebody_wants_is_done_by_who_listens(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 5}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        server.account.mailbox("INBOX").place(server.account._mail(b"Subject: quiet\r\n\r\nx\r\n", (), None))
        told: list[int] = []

        def tell(run: SyncRun) -> None:
            told.append(run.imported)

        result = await here.supervisor.sync(here.row.id, tell)
        assert result is not None
        assert result.failure is None
        assert await same(here, server)
        assert told
        assert server.connections == 1, "it did not connect again"


async def test_a_request_in_the_store_is_heard(db: Database) -> None:
    """As the command line makes it, beside a running server."""
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 5}) as server, connected(db, server) as here:
        await here.good_sync()
        server.account.deliver()
        now = int(here.clock()) + 1
        await db.write(lambda tx: accounts.ask_sync(tx, here.row.id, now=now))
        await here.until(lambda: same(here, server), "the sync")


async def test_a_lost_connection_is_made_again(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 5}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        server.arm(Drop("IDLE", when="told"))
        await server.stop()
        await here.until(lambda: _is(here, ConnectorState.BACKOFF), "backoff")
        server.disarm()
        await server.start()
        server.account.deliver()
        await here.until(lambda: same(here, server), "the message after the outage")


async def _is(here: Connected, state: ConnectorState) -> bool:
    return (await here.read_row()).state is state


async def test_a_server_that_hears_idle_and_says_nothing_is_asked(db: Database) -> None:
    settings = replace(QUICK, deaf_after=0.5)
    async with (
        FakeUpstream(DOVECOT.without("LIST-STATUS"), mailboxes={"INBOX": 5}, faults=[Deaf("IDLE", times=0)]) as server,
        connected(db, server, PUSH, settings=settings) as here,
    ):
        await here.until(lambda: live(here), "live")
        server.account.deliver()
        await here.until(lambda: same(here, server), "the message that nobody told of")


async def test_a_server_that_refuses_idle_is_polled(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 5}, faults=[Refuse("IDLE", "NO not now", times=0)]) as server,
        connected(db, server, PUSH) as here,
    ):
        await here.until(lambda: live(here), "live")
        server.account.deliver()
        await here.until(lambda: same(here, server), "the new message")


async def test_switched_off_it_hangs_up(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 5}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        await db.write(lambda tx: accounts.set_enabled(tx, here.row.id, False, now=int(here.clock())))
        await here.until(lambda: not server.sessions and not here.supervisor.running, "the end")
        await db.write(lambda tx: accounts.set_enabled(tx, here.row.id, True, now=int(here.clock())))
        await here.until(lambda: len(server.sessions) == 1, "the new beginning")


async def test_a_mailbox_that_was_deleted_here_is_made_anew(db: Database) -> None:
    from gateway.store import mailboxes

    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 2, "Lists": 3}) as server,
        connected(db, server) as here,
    ):
        await here.good_sync()
        await db.write(
            lambda tx: mailboxes.delete(tx, here.inbox.id, "Lists", now=int(here.clock())), inboxes=(here.inbox.id,)
        )
        server.account.deliver("Lists")
        await here.sync()
        await here.good_sync()
        assert sum((await here.mail("Lists")).values()) >= 1


async def test_two_processes_share_the_connectors(db: Database) -> None:
    """Each connector is one node's at a time; what a node leaves another one takes."""
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        held = await db.read(lambda rx: lease.nodes(rx, int(here.clock())))
        assert [(node.node_id, node.connectors) for node in held] == [("node", 1)]
        taken = await db.write(
            lambda tx: lease.claim(tx, "node", held[0].incarnation, 10, int(here.clock()))
        )
        assert taken == []


YAHOO_IN_PART = YAHOO.quirk(visible=4, message_limit=7).replace(
    after=YAHOO.after.replace("MESSAGELIMIT=1000", "MESSAGELIMIT=7")
)


@pytest.mark.parametrize(
    "personality", [YAHOO_IN_PART, YAHOO_IN_PART.without("UIDONLY"), ICLOUD, EXCHANGE, DOVECOT, DOVECOT_BARE],
    ids=lambda one: one.name,
)  # fmt: skip
async def test_where_nothing_happens_nothing_is_asked_again(db: Database, personality: Personality) -> None:
    """Also where counts never agree: EXISTS that is a part, HIGHESTMODSEQ that nobody uses."""
    async with FakeUpstream(personality, mailboxes={"INBOX": 9}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        await here.until(lambda: any(command.name in ("IDLE", "NOOP") for command in server.log), "quiet")
        await asyncio.sleep(0.3)
        server.log.clear()
        await asyncio.sleep(1.0)
        asked = [command.name for command in server.log]
        assert asked.count("EXAMINE") <= 2, asked
        assert asked.count("UID SEARCH") <= 2, asked


async def test_who_asks_during_a_sync_sees_all_that_came_since(db: Database) -> None:
    """A first sync takes long: its rest is shown, and counted with the sync that follows it."""
    stall = Stall("FETCH", nth=4)
    faults, mailboxes = [stall], {"INBOX": 250}
    async with FakeUpstream(DOVECOT, mailboxes=mailboxes, faults=faults) as server, connected(
        db, server, options(push=True)
    ) as here:
        await stall.reached.wait()
        seen: list[int] = []
        asked = asyncio.ensure_future(
            here.supervisor.sync(here.row.id, lambda run: seen.append(run.imported))
        )
        await here.until(lambda: here.supervisor._workers[here.row.id]._askers.waiting, "the question")
        stall.released.set()
        result = await asked
        assert result is not None
        assert result.failure is None
        assert 0 < result.run.imported <= 250
        assert len(result.run.email_ids) == result.run.imported
        assert max(seen) == 250
        again = await here.good_sync()
        assert again.run.imported == 0


async def test_who_asks_a_worker_that_ends_before_its_first_step_is_answered(db: Database) -> None:
    """Its options were changed just then: it runs nothing, not even what it would do at its end."""
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server, connected(db, server, options()) as here:
        await here.good_sync()
        claim = lease.Claim(here.row.id, here.inbox.id, "another", "x", 1)
        worker = here.supervisor._start(claim)
        asked = worker.sync()
        here.supervisor._tasks[here.row.id].cancel()
        assert (await asyncio.wait_for(asked, 30)).failure == ENDED


async def test_who_asks_while_a_session_ends_has_the_next(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        before = here.supervisor._workers[here.row.id]
        before.requests.ask(stop=True)
        await here.until(lambda: before.ending, "its end")
        assert (await here.good_sync()).run.imported == 0
        assert here.supervisor._workers[here.row.id] is not before


async def test_an_import_that_is_asked_to_end_is_not_done_before_its_last_message(db: Database) -> None:
    """By a node that gives it away, or for a connection with another token."""
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 30, "Work": 20}) as server,
        connected(db, server, options(mode="import")) as here,
    ):
        turn = here.supervisor._tools.backfills
        taken = [await turn.acquire() for _ in range(turn._value)]
        await here.until(
            lambda: any(one.older_since is not None for one in here.supervisor._workers.values()), "older mail's turn"
        )
        here.supervisor._workers[here.row.id].requests.ask(stop=True)
        for _ in taken:
            turn.release()

        async def done() -> bool:
            return (await here.read_row()).state is ConnectorState.DONE

        await here.until(done, "the end of the import")
        for name in ("INBOX", "Work"):
            assert await same(here, server, name)


async def test_an_account_that_is_claimed_anew_has_one_worker(db: Database) -> None:
    """Its lease was lost after the supervisor looked what it holds, and before it claimed what is due."""
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server, connected(db, server, PUSH) as here:
        await here.until(lambda: live(here), "live")
        before = here.supervisor._tasks[here.row.id]
        held = here.supervisor._workers[here.row.id].claim

        def again(tx: Tx) -> lease.Claim | None:
            lease.revoke(tx, here.row.id)
            return lease.claim_one(tx, here.row.id, held.node_id, held.incarnation, int(here.clock()))

        async with here.supervisor._claiming:
            claim = await db.write(again, inboxes=(here.inbox.id,))
            assert claim is not None
            here.supervisor._start(claim)
        await asyncio.wait([before], timeout=30)
        assert before.cancelled()
        await here.until(lambda: live(here), "live again")
        assert here.supervisor.running == 1
        await here.until(lambda: len(server.sessions) == 1, "one connection")
