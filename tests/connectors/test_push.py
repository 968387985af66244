"""Two-way: what changes here goes up, once, and both sides end the same."""

from __future__ import annotations

from gateway.model.flags import SEEN
from gateway.store.db import Database
from tests.connectors.kit import upstream_mail
from tests.connectors.push_kit import alike, living, same, servers, settle, two_way
from tests.support.upstream import Personality, example


@servers
async def test_flags_go_up(db: Database, personality: Personality) -> None:
    async with two_way(db, personality) as (server, here, local):
        await local.flag("INBOX", [2, 3, 4], "add", "\\Seen", "work")
        await local.flag("INBOX", [5], "add", "\\Flagged")
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
        await local.flag("INBOX", [3], "remove", "\\Seen", "work")
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
        server.log.clear()
        await here.good_sync()
        assert not [one for one in server.log if "STORE" in one.name], "our own change is no news"


@servers
async def test_moves_go_up_and_keep_their_flags(db: Database, personality: Personality) -> None:
    async with two_way(db, personality) as (server, here, local):
        emails = await local.emails("INBOX")
        await local.flag("INBOX", [3], "add", "\\Flagged")
        await local.move("INBOX", [3, 4, 5], "Work")
        await local.flag("Work", [4], "add", "\\Seen")
        await settle(here)
        assert living(server, "INBOX") == await here.mail()
        assert alike(server, living(server, "Work")) == alike(server, await here.mail("Work"))
        assert sum((await here.mail("Work")).values()) == 5
        assert await local.emails("Work") >= emails - await local.emails("INBOX"), "nothing came back as another one"
        found = await here.good_sync()
        assert (found.run.imported, found.run.pushed) == (0, 0)


@servers
async def test_copies_go_up(db: Database, personality: Personality) -> None:
    async with two_way(db, personality) as (server, here, local):
        await local.copy("INBOX", [1, 2], "Work")
        await settle(here)
        await same(here, server, "INBOX")
        assert sum(living(server, "Work").values()) == 4
        assert sum((await here.mail("Work")).values()) == 4


@servers
async def test_deletions_go_to_trash(db: Database, personality: Personality) -> None:
    async with two_way(db, personality) as (server, here, local):
        await local.expunge("INBOX", [1, 2, 3])
        await settle(here)
        assert living(server, "INBOX") == await here.mail()
        assert sum(living(server, "INBOX").values()) == 5
        assert sum(living(server, "Trash").values()) == 3
        assert sum((await here.mail("Trash")).values()) == 3


@servers
async def test_what_is_filed_here_is_appended_once(db: Database, personality: Personality) -> None:
    async with two_way(db, personality) as (server, here, local):
        await local.append("Work", flags=SEEN)
        await local.append("Drafts")
        big = example(body="x" * 70 + "\r\n") * 5_000
        await local.append("INBOX", b"X: y\r\n" + big)
        await settle(here)
        await same(here, server, "INBOX", "Work", "Drafts")
        assert sum((await here.mail("Work")).values()) == 3
        assert len([one for one in server.log if one.name == "APPEND"]) == 3
