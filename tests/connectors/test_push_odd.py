"""What goes up to servers that mix up UIDs, lie about what they can, renumber in between, or keep only some flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gateway.store.connectors import lease
from gateway.store.db import Database
from tests.connectors.kit import Connected, upstream_mail
from tests.connectors.push_kit import living, same, settle, two_way
from tests.support.upstream import DOVECOT, YAHOO, Do, Drop, FakeUpstream, Rewrite, digest, example


async def known_as(here: Connected, server: FakeUpstream, name: str) -> None:
    """Each place says which message it stands for: a flag on one of them arrives at that one."""
    from tests.connectors.local_changes import Local

    local = Local(here)
    for number, uid in enumerate(await local.uids(name)):
        await local.flag(name, [uid], "add", f"k{number}")
    await settle(here, 2)
    await same(here, server, name)


async def test_copyuid_that_is_permuted_mixes_up_no_messages(db: Database) -> None:
    async with two_way(db, YAHOO) as (server, here, local):
        await local.append("INBOX", example())
        await settle(here, 2)
        await local.move("INBOX", await local.uids("INBOX"), "Work")
        await settle(here)
        assert sum((await here.mail("Work")).values()) == 11
        await known_as(here, server, "Work")


@pytest.mark.parametrize("lies", [("MOVE",), ("CONDSTORE", "QRESYNC"), ("ESEARCH",)], ids=lambda one: one[0])
async def test_what_is_offered_and_refused_is_done_in_another_way(db: Database, lies: tuple[str, ...]) -> None:
    async with two_way(db, DOVECOT.lying(*lies)) as (server, here, local):
        await local.move("INBOX", [1, 2], "Work")
        await local.flag("INBOX", [3], "add", "\\Seen")
        await settle(here, 4)
        await same(here, server, "INBOX", "Work")
        assert sum(upstream_mail(server, "Work").values()) == 4


@pytest.mark.parametrize("command", ["MOVE", "STATUS", "STORE", "APPEND"])
async def test_a_folder_that_is_numbered_anew_in_between(db: Database, command: str) -> None:
    async with two_way(db) as (server, here, local):
        await local.flag("INBOX", [1], "add", "\\Flagged")
        await local.move("INBOX", [2, 3], "Work")
        await local.append("Work", example())
        before = Counter[str]()
        for name in ("INBOX", "Work"):
            before.update(one for _, one in await here.mail(name))
        server.arm(Do(command, lambda server: server.renumber("Work"), when="before"))
        for _ in range(5):
            await here.sync()
        await here.good_sync()
        await same(here, server, "INBOX", "Work")
        after = Counter(one for name in ("INBOX", "Work") for _, one in upstream_mail(server, name))
        assert after == before


async def test_only_flags_that_the_folder_keeps_go_up(db: Database) -> None:
    def limited(line: bytes) -> bytes:
        if b"PERMANENTFLAGS" not in line:
            return line
        return b"* OK [PERMANENTFLAGS (\\Seen \\Deleted)] limited\r\n"

    async with two_way(db, faults=[Rewrite("OPEN", limited, times=0)]) as (server, here, local):
        await local.flag("INBOX", await local.like(server, [1]), "add", "\\Seen", "\\Flagged", "mine")
        await settle(here)
        assert server.account.mailbox("INBOX").snapshot()[1][0] == {"\\Seen"}
        stored = [one.raw for one in server.log if one.name == "UID STORE"]
        assert len(stored) == 1, "what cannot be kept is not tried again"
        assert [flags for flags, _ in await here.mail() if flags] == [{"\\Seen", "\\Flagged", "mine"}], "here it stays"


@pytest.mark.parametrize(
    "change",
    [lambda local: local.move("INBOX", [1, 2], "Work"), lambda local: local.append("Work", example()),
     lambda local: local.flag("INBOX", [1], "add", "\\Seen")],
    ids=["move", "append", "flag"],
)  # fmt: skip
async def test_who_loses_the_lease_writes_nothing_more(db: Database, change: Callable[[Any], Any]) -> None:
    async with two_way(db) as (server, here, local):
        await change(local)

        async def taken(server: FakeUpstream) -> None:
            await db.write(lambda tx: lease.revoke(tx, here.row.id))

        for command in ("MOVE", "APPEND", "STORE"):
            server.arm(Do(command, taken, when="after"))
        for _ in range(4):
            while await here.supervisor.sync(here.row.id) is None:
                await taken(server)
        await here.good_sync()
        await same(here, server, "INBOX")
        assert living(server, "Work") == await here.mail("Work")
        assert sum(living(server, "INBOX").values()) + sum(living(server, "Work").values()) in (10, 11)


async def test_what_went_up_unseen_and_was_moved_here_meanwhile_is_known_again(db: Database) -> None:
    async with two_way(db, DOVECOT, faults=[Drop("APPEND", when="after")]) as (server, here, local):
        octets = await local.append("INBOX", example(message_id="<t@x.test>"))
        await here.sync()
        await local.move("INBOX", (await local.uids())[-1:], "Work")
        await settle(here)
        assert digest(octets) not in server.account.digests("INBOX")
        assert server.account.digests("Work")[digest(octets)] == 1
        await same(here, server, "INBOX", "Work")
