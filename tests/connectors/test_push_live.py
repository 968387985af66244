"""A two-way connector that listens: what changes here is there at once, and its own echo costs nothing."""

from __future__ import annotations

import pytest

from gateway.store.connectors.rows import ConnectorState
from gateway.store.db import Database
from tests.connectors.conftest import both
from tests.connectors.kit import Connected, connected, options, upstream_mail
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS
from tests.support.upstream import DOVECOT, DOVECOT_BARE, NETEASE, FakeUpstream, Personality

PUSH = options(push=True, mode="two-way")


async def same(here: Connected, server: FakeUpstream, *names: str) -> bool:
    for name in names or ("INBOX",):
        if await here.mail(name) != upstream_mail(server, name):
            return False
    return True


async def live(here: Connected) -> bool:
    return (await here.read_row()).state is ConnectorState.LIVE


@both
async def test_changes_of_both_sides_meet_while_it_listens(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 8, "Work": 1}) as server,
        connected(db, server, PUSH, settings=SETTINGS) as here,
    ):
        await here.until(lambda: live(here), "live")
        await server.until_idle()
        local = Local(here)
        await local.flag("INBOX", [1, 2], "add", "\\Flagged")
        await here.until(lambda: same(here, server), "the flags there")
        await local.move("INBOX", [3], "Work")
        await here.until(lambda: same(here, server, "INBOX", "Work"), "the move there")
        server.account.deliver()
        await local.append("Work")
        await here.until(lambda: same(here, server, "INBOX", "Work"), "the append there, and the news here")
        assert sum(upstream_mail(server, "Work").values()) == 3
        await local.create("New")
        await local.move("INBOX", [4], "New")
        await here.until(lambda: "New" in server.account.mailboxes and same(here, server, "INBOX", "New"), "the folder")
        assert server.connections == 1


@pytest.mark.parametrize("personality", [DOVECOT_BARE, NETEASE], ids=lambda one: one.name)
async def test_a_server_without_idle_or_condstore_gets_them_too(db: Database, personality: Personality) -> None:
    async with (
        FakeUpstream(personality, mailboxes={"INBOX": 4}) as server,
        connected(db, server, PUSH, settings=SETTINGS) as here,
    ):
        await here.until(lambda: live(here), "live")
        await Local(here).flag("INBOX", [1, 2], "add", "\\Seen")
        await here.until(lambda: same(here, server), "the flags there")


async def test_an_echo_comes_to_rest(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 4, "Work": 0}) as server,
        connected(db, server, PUSH, settings=SETTINGS) as here,
    ):
        await here.until(lambda: live(here), "live")
        local = Local(here)
        await local.move("INBOX", [1], "Work")
        await local.flag("INBOX", [2], "add", "\\Seen")
        await here.until(lambda: same(here, server, "INBOX", "Work"), "both there")
        await server.until_idle()
        server.log.clear()
        await local.flag("INBOX", [3], "add", "\\Seen")
        await here.until(lambda: same(here, server), "the flag")
        await server.until_idle()
        assert len([one for one in server.log if one.name.removeprefix("UID ") in ("STORE", "MOVE", "APPEND")]) == 1
