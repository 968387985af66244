"""A sync of one folder, or of the latest mail: that alone is had when it is answered, and the rest comes as ever."""

from __future__ import annotations

import pytest

from gateway.connectors.askers import SyncResult
from gateway.connectors.scope import EVERYTHING, Scope, joined
from gateway.store.connectors.rows import ConnectorState
from gateway.store.db import Database
from tests.connectors.kit import Connected, connected, options, upstream_mail
from tests.support.upstream import DOVECOT, GMAIL, PLAIN, FakeUpstream, Personality

DAY = 86_400
servers = pytest.mark.parametrize("personality", [DOVECOT, PLAIN], ids=lambda one: one.name)


async def only(here: Connected, scope: Scope) -> SyncResult:
    found = await here.supervisor.sync(here.row.id, scope=scope)
    assert found is not None
    assert found.failure is None, found
    return found


async def count(here: Connected, name: str) -> int:
    return sum((await here.mail(name)).values())


@servers
async def test_one_folder_is_synced_and_no_other(db: Database, personality: Personality) -> None:
    async with (
        FakeUpstream(personality, mailboxes={"INBOX": 5, "Lists/a": 3, "Lists/b": 2}) as server,
        connected(db, server) as here,
    ):
        await here.good_sync()
        await here.until(lambda: idle(here))  # else it is asked of one that ends, and is due again
        for name in ("INBOX", "Lists/a", "Lists/b"):
            server.account.deliver_many(2, name)
        server.account.set_flags("Lists/a", [1], ["\\Flagged"])
        server.log.clear()
        result = await only(here, Scope("lists/A"))
        assert (result.run.folders, result.run.imported, result.run.flags) == (1, 2, 1)
        assert await here.mail("Lists/a") == upstream_mail(server, "Lists/a")
        assert (await count(here, "INBOX"), await count(here, "Lists/b")) == (5, 2)
        assert len([one for one in server.log if one.name in {"SELECT", "EXAMINE"}]) == 1
        await here.until(lambda: idle(here))
        assert (await only(here, Scope("Lists/*"))).run.folders == 2
        assert await here.mail("Lists/b") == upstream_mail(server, "Lists/b")
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)


async def test_what_was_moved_out_of_it_is_the_same_message(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 5, "Work": 1}) as server,
        connected(db, server, options(vanished="delete")) as here,
    ):
        first = await here.good_sync()
        server.account.move("INBOX", [2], "Work")
        result = await only(here, Scope("INBOX"))
        assert not set(result.run.email_ids) - set(first.run.email_ids), "it keeps its EMAILID"
        assert await here.mail("Work") == upstream_mail(server, "Work")
        assert await here.mail() == upstream_mail(server)


async def test_only_mail_since_a_date_and_the_rest_afterwards(db: Database) -> None:
    """Of an account that was never synced: older mail follows, and nothing comes twice."""
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 0, "Sent": 4}) as server:
        for day in range(100, 140):
            server.account.deliver(date=day * DAY + 60)
        async with connected(db, server) as here:
            result = await only(here, Scope("INBOX", 130))
            assert result.run.imported == 10
            assert result.run.expected == 10
            await here.until(lambda: whole(here))
            assert await here.mail() == upstream_mail(server)
            assert await here.mail("Sent") == upstream_mail(server, "Sent")
            assert (await here.good_sync()).run.imported == 0


async def whole(here: Connected) -> bool:
    row = await here.read_row()
    return row.state is ConnectorState.POLLING and all(one.phase == "live" for one in (await here.folders()).values())


async def test_of_one_that_is_not_due_the_rest_stays(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 2, "Lists": 2}) as server,
        connected(db, server) as here,
    ):
        await here.good_sync()
        await here.until(lambda: idle(here))
        due = (await here.read_row()).not_before
        server.account.set_flags("Lists", [1], ["\\Flagged"])
        server.account.deliver()
        assert (await only(here, Scope("INBOX"))).run.imported == 1
        await here.until(lambda: idle(here))
        row = await here.read_row()
        assert (row.state, row.not_before) == (ConnectorState.POLLING, due)
        assert await here.mail("Lists") != upstream_mail(server, "Lists")


async def idle(here: Connected) -> bool:
    return here.supervisor.running == 0


async def test_a_session_that_listens_does_it_at_once(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 2, "Lists": 2}) as server,
        connected(db, server, options(push=True)) as here,
    ):
        await here.good_sync()
        server.account.set_flags("Lists", [1], ["\\Flagged"])
        assert (await only(here, Scope("Lists"))).run.flags == 1
        assert (await here.read_row()).state is ConnectorState.LIVE
        server.account.deliver()
        await here.until(lambda: same(here, server))


async def same(here: Connected, server: FakeUpstream) -> bool:
    return await here.mail() == upstream_mail(server)


async def test_a_one_shot_import_is_done_when_all_is_there(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 12, "Lists": 3}) as server,
        connected(db, server, options(mode="import")) as here,
    ):
        await only(here, Scope("Lists"))
        await here.until(lambda: finished(here))
        for name in ("INBOX", "Lists"):
            assert await here.mail(name) == upstream_mail(server, name)


async def finished(here: Connected) -> bool:
    return not (await here.read_row()).enabled


@pytest.mark.parametrize("personality", [DOVECOT, GMAIL], ids=lambda one: one.name)
async def test_a_folder_that_is_not_there_is_said_to_be_missing(db: Database, personality: Personality) -> None:
    async with FakeUpstream(personality, mailboxes={"INBOX": 2}) as server, connected(db, server) as here:
        found = await here.supervisor.sync(here.row.id, scope=Scope("Nowhere"))
        assert found is not None
        assert (found.failure, found.run.imported) == ("folder_missing", 0)
        assert "Nowhere" in found.message
        assert (await here.good_sync()).run.poisoned == 0


def test_one_sync_for_all_who_asked() -> None:
    assert joined([]) is EVERYTHING
    assert joined([Scope("a", 5), Scope("a", 3)]) == Scope("a", 3)
    assert joined([Scope("a", 5), Scope("b", 3)]) == Scope("", 3)
    assert joined([Scope("a", 5), Scope("a")]) == Scope("a")
    assert joined([Scope("a", 5), EVERYTHING]).everything
