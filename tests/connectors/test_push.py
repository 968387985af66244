"""Two-way: what changes here goes up, once, and both sides end the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.store.db import Database
from tests.connectors.kit import QUICK, connected, options, upstream_mail
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
