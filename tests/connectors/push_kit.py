"""Two connectors' sides in tests of what goes up: an account there, its mailboxes here, and whether they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

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
    Fault,
    Personality,
)

SERVERS = [DOVECOT, DOVECOT_BARE, YAHOO, EXCHANGE, HMAIL, COURIER, CYRUS, FASTMAIL]
SETTINGS = replace(QUICK, push_after=0.01, push_retry=0.0)
servers = pytest.mark.parametrize("personality", SERVERS, ids=lambda one: one.name)


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


def alike(server: FakeUpstream, mail: Content) -> Counter[Any]:
    """Exchange writes a message that is moved anew: its flags are all that can be compared."""
    if not server.personality.quirks.regenerates:
        return mail
    found: Counter[Any] = Counter()
    for (flags, _), count in mail.items():
        found[flags] += count
    return found


async def settle(here: Connected, times: int = 3) -> None:
    for _ in range(times):
        await here.good_sync()


@asynccontextmanager
async def two_way(
    db: Database, personality: Personality = DOVECOT, mailboxes: dict[str, Any] | None = None, *,
    faults: Sequence[Fault] = (), imap: dict[str, Any] | None = None, **sync: Any,
) -> AsyncIterator[tuple[FakeUpstream, Connected, Local]]:  # fmt: skip
    """A connector in step with an account; `faults` are armed from then on."""
    boxes = {"INBOX": 8, f"{personality.prefix}Work": 2} if mailboxes is None else mailboxes
    async with (
        FakeUpstream(personality, mailboxes=boxes) as server,
        connected(db, server, options(mode="two-way", imap=imap, **sync), settings=SETTINGS) as here,
    ):
        await here.good_sync()
        server.arm(*faults)
        yield server, here, Local(here)
