"""What goes up while servers refuse, and connections end before, after and behind each command: once, and all of it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.store.connectors import lease, ops
from gateway.store.connectors.ops import OpState
from gateway.store.db import Database
from tests.connectors.kit import Connected
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import living, same, settle, two_way
from tests.support.upstream import DOVECOT, EXCHANGE, HMAIL, YAHOO, Do, Drop, FakeUpstream, Personality, Refuse, example

KINDS = {
    "dovecot": (DOVECOT, ["STORE", "MOVE", "APPEND", "COPY", "SELECT", "SEARCH", "STATUS"]),
    "hmail": (HMAIL, ["STORE", "COPY", "APPEND", "SEARCH"]),
    "yahoo": (YAHOO, ["STORE", "MOVE", "APPEND", "COPY"]),
    "no-move": (DOVECOT.without("MOVE"), ["COPY", "STORE", "EXPUNGE"]),
    "no-uidplus": (DOVECOT.without("UIDPLUS"), ["MOVE", "APPEND", "COPY"]),
}
CASES = [
    pytest.param(personality, command, when, nth, id=f"{name}-{command}-{when}-{nth}")
    for name, (personality, commands) in KINDS.items()
    for command in commands
    for when in ("before", "after", "told")
    for nth in (1, 2)
]


async def change_much(local: Local) -> None:
    """One of each kind."""
    await local.flag("INBOX", [1, 2], "add", "\\Flagged", "work")
    await local.flag("INBOX", [3], "add", "\\Seen")
    await local.move("INBOX", [4, 5], "Work")
    await local.copy("INBOX", [6], "Work")
    await local.expunge("INBOX", [7])
    await local.append("Work", example())
    await local.append("Drafts", example())


async def agreed(here: Connected, server: FakeUpstream) -> None:
    for name in ("INBOX", "Work", "Drafts", "Trash"):
        assert living(server, name) == await here.mail(name), name
    expected = Counter({"INBOX": 5, "Work": 6, "Drafts": 1, "Trash": 1})
    assert Counter({name: sum(living(server, name).values()) for name in expected}) == expected
    assert not await here.db.read(lambda rx: ops.open_ops(rx, here.row.id))


@pytest.mark.parametrize(("personality", "command", "when", "nth"), CASES)
async def test_a_connection_that_ends_in_the_middle_of_it(
    db: Database, personality: Personality, command: str, when: str, nth: int
) -> None:
    async with two_way(db, personality) as (server, here, local):
        await change_much(local)
        server.arm(Drop(command, when=when, nth=nth))
        for _ in range(5):
            result = await here.sync()
        assert result.failure is None, result
        await agreed(here, server)


@pytest.mark.parametrize("answer", ["NO not now", "NO [UNAVAILABLE] later", "BAD what", "NO [LIMIT] no more"])
@pytest.mark.parametrize("command", ["STORE", "MOVE", "COPY", "APPEND"])
async def test_what_is_refused_once_is_done_later(db: Database, command: str, answer: str) -> None:
    async with two_way(db) as (server, here, local):
        await change_much(local)
        server.arm(Refuse(command, answer))
        for _ in range(5):
            await here.sync()
        await here.good_sync()
        await agreed(here, server)


@pytest.mark.parametrize("command", ["MOVE", "COPY", "APPEND"])
async def test_what_is_refused_for_ever_is_given_up_and_both_sides_stay(db: Database, command: str) -> None:
    async with two_way(db) as (server, here, local):
        before = server.account.snapshot()
        if command == "MOVE":
            await local.move("INBOX", [4], "Work")
        elif command == "COPY":
            await local.copy("INBOX", [4], "Work")
        else:
            await local.append("Work")
        mine = await here.mail("Work")
        fault = Refuse(command, "NO never", times=0)
        server.arm(fault)
        notes: list[str] = []
        for _ in range(8):
            notes += (await here.good_sync()).run.notes
        assert fault.fired == 5, "tried five times"
        assert any("given up" in note for note in notes), notes
        failed = await here.db.read(lambda rx: ops.page(rx, here.row.id, OpState.FAILED))
        assert [op.reason for op in failed] == ["never"]
        assert server.account.snapshot() == before
        assert await here.mail("Work") == mine


async def test_one_message_that_cannot_be_moved_holds_up_no_other(db: Database) -> None:
    async with two_way(db, mailboxes={"INBOX": 9, "Work": 0}) as (server, here, local):
        bad = Refuse("MOVE", "NO not this one", times=0, where=lambda one: _names(one.raw, 5))
        server.arm(bad)
        await local.move("INBOX", await local.like(server, range(1, 9)), "Work")
        await settle(here, 7)
        assert sum(living(server, "Work").values()) == 7
        assert sorted(server.account.mailbox("INBOX").places) == [5, 9]
        assert sum((await here.mail("Work")).values()) == 8


def _names(raw: bytes, uid: int) -> bool:
    words = raw.split()
    at = next(index for index, word in enumerate(words) if word.upper() == b"MOVE")
    for part in words[at + 1].split(b","):
        low, _, high = part.partition(b":")
        if int(low) <= uid <= int(high or low):
            return True
    return False


@pytest.mark.parametrize("personality", [DOVECOT, EXCHANGE, HMAIL], ids=lambda one: one.name)
async def test_a_flag_that_changes_on_both_sides_at_once(db: Database, personality: Personality) -> None:
    async with two_way(db, personality) as (server, here, local):
        server.account.set_flags("INBOX", [1, 2], ["\\Flagged"])
        await here.good_sync()
        await local.flag("INBOX", await local.like(server, [1, 2]), "add", "\\Seen")
        await local.flag("INBOX", await local.like(server, [1]), "remove", "\\Flagged")
        server.account.set_flags("INBOX", [1, 2], ["\\Flagged", "\\Answered"])
        server.account.remove_flags("INBOX", 2, "\\Flagged")
        await settle(here, 2)
        await same(here, server, "INBOX")
        found = server.account.mailbox("INBOX").snapshot()
        assert found[1][0] == found[2][0] == {"\\Seen", "\\Answered"}


@pytest.mark.parametrize("when", ["before", "after", "told"])
@pytest.mark.parametrize("command", ["STORE", "MOVE", "COPY", "APPEND", "STATUS"])
async def test_a_session_that_is_cut_off_like_a_crash(db: Database, command: str, when: str) -> None:
    async with two_way(db) as (server, here, local):
        await change_much(local)

        def kill(server: FakeUpstream) -> None:
            for task in here.supervisor._tasks.values():
                task.cancel()

        server.arm(*(Do(command, kill, when=when, nth=nth) for nth in (1, 2)))
        for _ in range(4):
            async with asyncio.timeout(30):
                while await here.supervisor.sync(here.row.id) is None:
                    await here.db.write(lambda tx: lease.revoke(tx, here.row.id))
        await here.good_sync()
        await agreed(here, server)
