"""Mailboxes that are made, renamed and deleted here; and what switches, modes and the mass guard keep from going up."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.connectors import accounts
from gateway.store.connectors.rows import ConnectorState
from gateway.store.db import Database
from tests.connectors.kit import connected, options, upstream_mail
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS, living, same, servers, settle, there, two_way
from tests.support.upstream import COURIER, DOVECOT, DOVECOT_BARE, PLAIN, Drop, FakeUpstream, Personality, Refuse


@servers
async def test_a_new_mailbox_is_a_new_folder_with_all_that_is_moved_there(
    db: Database, personality: Personality
) -> None:
    async with two_way(db, personality) as (server, here, local):
        await local.create("Lists/Gateway")
        await local.create("Entwürfe alt")
        await local.move("INBOX", [1, 2], "Lists/Gateway")
        await settle(here)
        delimiter, prefix = personality.delimiter, personality.prefix
        raw = f"{prefix}Lists{delimiter}Gateway"
        assert raw in server.account.mailboxes
        assert f"{prefix}Entw&APw-rfe alt" in server.account.mailboxes
        assert sum(upstream_mail(server, raw).values()) == 2
        assert sum((await here.mail("Lists/Gateway")).values()) == 2
        assert sum(living(server, "INBOX").values()) == 6
        found = await here.good_sync()
        assert (found.run.imported, found.run.pushed) == (0, 0)


@pytest.mark.parametrize("personality", [DOVECOT, DOVECOT_BARE, COURIER], ids=lambda one: one.name)
async def test_a_mailbox_that_is_renamed_here_is_renamed_there_with_what_is_below(
    db: Database, personality: Personality
) -> None:
    dot, prefix = personality.delimiter, personality.prefix
    boxes = {"INBOX": 1, f"{prefix}Work": 2, f"{prefix}Work{dot}Old": 3}
    async with two_way(db, personality, boxes) as (server, here, local):
        await local.rename("Work", "Job")
        await settle(here)
        assert {f"{prefix}Job", f"{prefix}Job{dot}Old"} <= server.account.mailboxes.keys()
        assert f"{prefix}Work" not in server.account.mailboxes
        assert "Work" not in await local.names()
        assert sum((await here.mail("Job")).values()) == 2
        found = await here.good_sync()
        assert (found.run.imported, found.run.pushed) == (0, 0)


@servers
async def test_a_mailbox_that_is_deleted_here_is_deleted_there_and_its_mail_is_in_trash(
    db: Database, personality: Personality
) -> None:
    async with two_way(db, personality) as (server, here, local):
        await local.delete("Work")
        await settle(here)
        if personality.name == "hmail":  # nothing can be expunged: what is left keeps the folder
            assert sum(living(server, "Work").values()) == 0
        else:
            with pytest.raises(KeyError):
                there(server, "Work")
            assert "Work" not in await local.names()
        assert sum(living(server, "Trash").values()) == 2
        assert sum((await here.mail("Trash")).values()) == 2


async def test_mail_that_was_moved_out_of_a_mailbox_before_it_was_deleted_is_moved(db: Database) -> None:
    async with two_way(db) as (server, here, local):
        emails = await local.emails("Work")
        await local.move("Work", await local.uids("Work"), "INBOX")
        await local.delete("Work")
        await settle(here)
        assert "Work" not in server.account.mailboxes
        assert emails <= await local.emails()
        await same(here, server, "INBOX", "Trash")
        assert not sum(upstream_mail(server, "Trash").values())


async def test_a_folder_that_got_mail_meanwhile_stays_and_comes_back(db: Database) -> None:
    async with two_way(db, DOVECOT, deletes=False) as (server, here, local):
        await local.delete("Work")
        server.account.deliver("Work")
        await settle(here)
        assert sum(upstream_mail(server, "Work").values()) == 3
        await same(here, server, "Work")


@pytest.mark.parametrize("command", ["CREATE", "RENAME", "DELETE"])
@pytest.mark.parametrize("when", ["before", "after", "told"])
async def test_changes_of_folders_that_are_cut_off(db: Database, command: str, when: str) -> None:
    async with two_way(db, mailboxes={"INBOX": 4, "Work": 2, "Old": 0}) as (server, here, local):
        await local.create("New")
        await local.move("INBOX", [1], "New")
        await local.rename("Work", "Job")
        await local.delete("Old")
        server.arm(Drop(command, when=when))
        for _ in range(5):
            await here.sync()
        await here.good_sync()
        assert {"New", "Job"} <= server.account.mailboxes.keys()
        assert not {"Work", "Old"} & server.account.mailboxes.keys()
        assert {"New", "Job"} <= await local.names()
        assert not {"Work", "Old"} & await local.names()
        await same(here, server, "INBOX", "New", "Job")


async def test_a_folder_that_cannot_be_made_costs_no_mail(db: Database) -> None:
    async with two_way(db, faults=[Refuse("CREATE", "NO [CANNOT] never", times=0)]) as (server, here, local):
        before = server.account.snapshot()
        await local.create("New")
        await local.move("INBOX", [1, 2], "New")
        await settle(here, 8)
        assert server.account.snapshot() == before
        assert sum((await here.mail("New")).values()) == 2


async def test_where_there_is_no_trash_one_is_made_for_what_is_deleted(db: Database) -> None:
    async with two_way(db, PLAIN, {"INBOX": 5}) as (server, here, local):
        assert "Trash" not in server.account.mailboxes
        await local.expunge("INBOX", [1])
        await settle(here)
        assert sum(living(server, "INBOX").values()) == 4
        await same(here, server, "Trash")
        assert sum(upstream_mail(server, "Trash").values()) == 1


async def test_where_no_trash_can_be_made_nothing_is_deleted_for_good(db: Database) -> None:
    async with two_way(db, PLAIN, {"INBOX": 5}, new_folders=False) as (server, here, local):
        await local.expunge("INBOX", [1])
        await settle(here)
        assert sum(upstream_mail(server).values()) == 5
        assert sum((await here.mail()).values()) == 4


@pytest.mark.parametrize(
    ("switch", "change"),
    [("flags", "flag"), ("moves", "move"), ("moves", "copy"), ("deletes", "expunge"), ("appended", "append"),
     ("new_folders", "create"), ("new_folders", "rename")],
)  # fmt: skip
async def test_each_kind_has_its_switch(db: Database, switch: str, change: str) -> None:
    async with two_way(db, **{switch: False}) as (server, here, local):
        before = {name: dict(box) for name, box in server.account.snapshot().items()}
        calls: dict[str, Any] = {
            "flag": lambda: local.flag("INBOX", [1], "add", "\\Seen"),
            "move": lambda: local.move("INBOX", [1], "Work"),
            "copy": lambda: local.copy("INBOX", [1], "Work"),
            "expunge": lambda: local.expunge("INBOX", [1]),
            "append": lambda: local.append("Work"),
            "create": lambda: local.create("New"),
            "rename": lambda: local.rename("Work", "Job"),
        }
        await calls[change]()
        mine = {name: await here.mail(name) for name in ("INBOX", "Work")}
        await settle(here)
        assert server.account.snapshot() == before
        assert {name: await here.mail(name) for name in ("INBOX", "Work")} == mine or change == "rename"


async def test_deleted_for_good_where_that_is_asked_for_and_out_of_trash(db: Database) -> None:
    async with two_way(db, mailboxes={"INBOX": 4, "Trash": 2}, permanent=True) as (server, here, local):
        await local.expunge("INBOX", [1])
        await local.expunge("Trash", [1])
        await settle(here)
        await same(here, server, "INBOX", "Trash")
        assert [sum(upstream_mail(server, name).values()) for name in ("INBOX", "Trash")] == [3, 1]


async def test_most_of_a_folder_is_deleted_there_only_when_somebody_says_so(db: Database) -> None:
    async with two_way(db, mailboxes={"INBOX": 80}) as (server, here, local):
        await local.expunge("INBOX", range(1, 71))
        await here.good_sync()
        row = await here.read_row()
        assert (row.state, "70 of 80" in (row.reason or "")) == (ConnectorState.CONFIRM, True)
        assert sum(upstream_mail(server).values()) == 80
        here.supervisor.confirm(here.row.id)
        await settle(here, 2)
        assert sum(upstream_mail(server).values()) == 10
        assert sum(upstream_mail(server, "Trash").values()) == 70
        await same(here, server, "INBOX", "Trash")


async def test_what_changed_here_before_it_became_two_way_stays_here(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 6}) as server,
        connected(db, server, settings=SETTINGS) as here,
    ):
        await here.good_sync()
        local = Local(here)
        await local.expunge("INBOX", [1])
        await local.append("INBOX")
        row = await here.read_row()
        await db.write(lambda tx: accounts.change(tx, row.id, row.version, {"mode": "two-way"}, now=int(here.clock())))
        here.given.options_ = options(mode="two-way")
        await local.flag("INBOX", [2], "add", "\\Seen")
        await settle(here)
        assert sum(upstream_mail(server).values()) == 6
        assert sorted(sorted(flags) for flags, _ in upstream_mail(server)) == [[], [], [], [], [], ["\\Seen"]]
