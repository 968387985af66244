"""Two-way: what changes here goes up, once, and both sides end the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.model.flags import SEEN
from gateway.store.db import Database
from tests.connectors.kit import QUICK, Connected, Content, connected, options, upstream_mail
from tests.connectors.local_changes import Local
from tests.support.upstream import (
    COURIER,
    CYRUS,
    DOVECOT,
    DOVECOT_BARE,
    EXCHANGE,
    FASTMAIL,
    HMAIL,
    YAHOO,
    FakeUpstream,
    Personality,
    example,
)

SERVERS = [DOVECOT, DOVECOT_BARE, YAHOO, EXCHANGE, HMAIL, COURIER, CYRUS, FASTMAIL]
SETTINGS = replace(QUICK, push_after=0.01, push_retry=0.0)
TWO_WAY = options(mode="two-way")
servers = pytest.mark.parametrize("personality", SERVERS, ids=lambda one: one.name)


@servers
async def test_flags_go_up(db: Database, personality: Personality) -> None:
    async with (
        FakeUpstream(personality, mailboxes={"INBOX": 12}) as server,
        connected(db, server, TWO_WAY, settings=SETTINGS) as here,
    ):
        await here.good_sync()
        local = Local(here)
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


async def same(here: Connected, server: FakeUpstream, *names: str) -> None:
    for name in names:
        assert await here.mail(name) == upstream_mail(server, there(server, name)), name


def there(server: FakeUpstream, name: str) -> str:
    """The folder upstream that our mailbox `name` stands for."""
    prefix = server.personality.prefix
    known = {box.upper(): box for box in server.account.mailboxes}
    renamed = {"TRASH": "DELETED ITEMS", "SENT": "SENT ITEMS", "DRAFTS": "DRAFT"}
    for wish in (name, prefix + name, renamed.get(name.upper(), name)):
        if wish.upper() in known:
            return known[wish.upper()]
    raise KeyError(name)


def living(server: FakeUpstream, name: str) -> Content:
    """Without what is only waiting to be expunged: where UIDPLUS is missing, moved mail stays behind as deleted."""
    mail = upstream_mail(server, there(server, name))
    return Counter({one: count for one, count in mail.items() if "\\Deleted" not in one[0]})


async def settle(here: Connected, times: int = 3) -> None:
    for _ in range(times):
        await here.good_sync()


@asynccontextmanager
async def two_way(
    db: Database, personality: Personality = DOVECOT, mailboxes: dict[str, Any] | None = None, **sync: Any
) -> AsyncIterator[tuple[FakeUpstream, Connected, Local]]:
    boxes = {"INBOX": 8, f"{personality.prefix}Work": 2} if mailboxes is None else mailboxes
    async with (
        FakeUpstream(personality, mailboxes=boxes) as server,
        connected(db, server, options(mode="two-way", **sync), settings=SETTINGS) as here,
    ):
        await here.good_sync()
        yield server, here, Local(here)


@servers
async def test_moves_go_up_and_keep_their_flags(db: Database, personality: Personality) -> None:
    async with two_way(db, personality) as (server, here, local):
        emails = await local.emails("INBOX")
        await local.flag("INBOX", [3], "add", "\\Flagged")
        await local.move("INBOX", [3, 4, 5], "Work")
        await local.flag("Work", [4], "add", "\\Seen")
        await settle(here)
        assert living(server, "INBOX") == await here.mail()
        assert living(server, "Work") == await here.mail("Work")
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
