"""Pull: what is upstream is here, once, with its flags, whatever the server is like; and nothing changes there."""

from __future__ import annotations

import pytest

from gateway.store.connectors.rows import ConnectorState
from gateway.store.db import Database
from tests.connectors.conftest import both
from tests.connectors.kit import connected, options, upstream_mail
from tests.support.upstream import (
    COURIER,
    CYRUS,
    DOVECOT,
    DOVECOT_BARE,
    EXCHANGE,
    FASTMAIL,
    HMAIL,
    ICLOUD,
    NETEASE,
    PLAIN,
    YAHOO,
    ZOHO,
    FakeUpstream,
    Personality,
    example,
)
from tests.support.upstream.server import WRITES

SERVERS = [DOVECOT, DOVECOT_BARE, CYRUS, FASTMAIL, ICLOUD, YAHOO, ZOHO, NETEASE, EXCHANGE, COURIER, HMAIL, PLAIN]


@both
async def test_all_mail_comes_with_its_flags_and_nothing_changes_there(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 35, "Sent": 3, "Lists": 12}) as server:
        server.account.set_flags("INBOX", [3, 4], ["\\Seen", "work"])
        before = server.account.snapshot()
        async with connected(db, server) as here:
            result = await here.good_sync()
            for name in ("INBOX", "Sent", "Lists"):
                assert await here.mail(name) == upstream_mail(server, name)
            assert result.run.imported == 50
            assert len(result.run.email_ids) == 50
            assert any("LIST" in line for _, line in result.log), result.log
            assert (await here.read_row()).state is ConnectorState.POLLING
        assert server.account.snapshot() == before
        assert not [command.name for command in server.log if command.name.removeprefix("UID ") in WRITES]


@pytest.mark.parametrize("personality", SERVERS, ids=lambda one: one.name)
async def test_changes_come_from_every_kind_of_server(db: Database, personality: Personality) -> None:
    async with FakeUpstream(personality, mailboxes={"INBOX": 25}) as server, connected(db, server) as here:
        await here.good_sync()
        uids = sorted(server.account.mailbox("INBOX").places)
        server.account.set_flags("INBOX", uids[20], ["\\Flagged"])
        server.account.expunge("INBOX", [uids[3], uids[24]])
        server.account.deliver_many(4)
        await here.good_sync()
        expected = upstream_mail(server)
        found = await here.mail()
        assert expected - found == {}, "lost or stale"
        # pull keeps what is gone upstream
        assert sum((found - expected).values()) == 2
        assert (await here.folders())["Inbox" if personality is YAHOO else "INBOX"].live == 27


@pytest.mark.parametrize("personality", [DOVECOT, DOVECOT_BARE, ICLOUD, PLAIN], ids=lambda one: one.name)
async def test_what_is_gone_there_goes_here_where_that_is_wanted(db: Database, personality: Personality) -> None:
    async with (
        FakeUpstream(personality, mailboxes={"INBOX": 25}) as server,
        connected(db, server, options(vanished="delete")) as here,
    ):
        await here.good_sync()
        server.account.expunge("INBOX", [2, 3, 25])
        server.account.deliver_many(2)
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)


async def test_gone_mail_goes_to_trash_where_that_is_wanted(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 5}) as server,
        connected(db, server, options(vanished="trash")) as here,
    ):
        await here.good_sync()
        gone = upstream_mail(server)
        server.account.expunge("INBOX", [2, 3])
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
        assert await here.mail("Trash") == gone - upstream_mail(server)


async def test_a_second_sync_fetches_nothing_again(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 25}) as server, connected(db, server) as here:
        await here.good_sync()
        server.log.clear()
        result = await here.good_sync()
        assert result.run.imported == 0
        assert not [command for command in server.log if b"BODY" in command.raw.upper()]


async def test_mail_that_was_moved_there_is_moved_here(db: Database) -> None:
    """Though pull keeps what is gone."""
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 6, "Work": 0}) as server, connected(db, server) as here:
        await here.good_sync()
        server.account.move("INBOX", [2, 3], "Work")
        await here.good_sync()
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
        assert await here.mail("Work") == upstream_mail(server, "Work")


async def test_only_mail_since_a_date(db: Database) -> None:
    async with FakeUpstream(DOVECOT) as server:
        for year in (2020, 2021, 2022, 2023):
            server.account.deliver(date=int((year - 1970) * 31_556_952) + 86_400)
        async with connected(db, server, options(imap={"since": "2022-01-01"})) as here:
            await here.good_sync()
            assert sum((await here.mail()).values()) == 2
            server.account.deliver()
            await here.good_sync()
            assert sum((await here.mail()).values()) == 3


async def test_folders_are_chosen(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 1, "Lists/a": 2, "Lists/b": 3, "Other": 1}) as server:
        wanted = options(imap={"folders": ("INBOX", "Lists/*"), "exclude": ("Lists/b",)})
        async with connected(db, server, wanted) as here:
            await here.good_sync()
            assert sum((await here.mail("Lists/a")).values()) == 2
            assert not await here.mail("Lists/b")
            assert not await here.mail("Other")


async def test_a_large_message_streams_into_the_store(db: Database) -> None:
    big = b"Subject: big\r\n\r\n" + b"x" * 76 + b"\r\n"
    big += (b"y" * 76 + b"\r\n") * 60_000
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": [big]}) as server, connected(db, server) as here:
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)


async def test_a_one_shot_import_ends(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 12}) as server,
        connected(db, server, options(mode="import")) as here,
    ):
        await here.until(lambda: _done(here))
        assert await here.mail() == upstream_mail(server)
        row = await here.read_row()
        assert not row.enabled


async def _done(here: object) -> bool:
    return (await here.read_row()).state is ConnectorState.DONE  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("personality", [DOVECOT, PLAIN], ids=lambda one: one.name)
async def test_only_what_the_search_terms_find(db: Database, personality: Personality) -> None:
    """Of old and new mail alike, whatever else happens in the folder; what was taken in stays, whatever it is now."""
    mail = [example(number, subject=f"{'invoice' if number % 3 == 0 else 'news'} {number}") for number in range(12)]
    async with FakeUpstream(personality, mailboxes={"INBOX": mail}) as server:
        wanted = options(imap={"search": "SUBJECT invoice NOT FLAGGED"})
        async with connected(db, server, wanted) as here:
            assert (await here.good_sync()).run.imported == 4
            server.deliver("INBOX", example(20, subject="news 20"))
            uid = server.deliver("INBOX", example(21, subject="invoice 21"))
            assert (await here.good_sync()).run.imported == 1
            server.set_flags("INBOX", [uid], ["\\Flagged"])
            assert (await here.good_sync()).run.vanished == 0
            assert sum((await here.mail()).values()) == 5


async def test_a_folder_that_is_not_there_is_named(db: Database) -> None:
    wanted = options(imap={"folders": ("INBOX", "Lists/*", "Typo"), "exclude": ("\\Junk",)})
    mailboxes = {"INBOX": 2, "Lists/a": 1, "Other": 1}
    async with FakeUpstream(DOVECOT, mailboxes=mailboxes) as server, connected(db, server, wanted) as here:
        result = await here.good_sync()
        assert result.run.imported == 3
        said = [note for note in result.run.notes if "is meant by" in note]
        assert any(note.endswith("Typo") for note in said)
        assert not any("INBOX" in note or "Lists" in note for note in said)
