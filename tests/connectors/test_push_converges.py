"""Random changes on both sides, with random faults and sessions that are cut anywhere: after quiet both sides agree.

Nothing that nobody deleted is lost, nothing is doubled that nobody copied, and no operation is left over.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.store.connectors import lease, ops
from gateway.store.db import Database, StoreSettings, open_database
from tests.connectors.kit import Connected
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import living, there, two_way
from tests.store.helpers import assert_consistent
from tests.support.soak import SOAK
from tests.support.upstream import (
    COURIER,
    DOVECOT,
    DOVECOT_BARE,
    HMAIL,
    YAHOO,
    Bye,
    Do,
    Drop,
    FakeUpstream,
    Fault,
    Refuse,
    digest,
)
from tests.support.upstream import example as octets_of

SERVERS: Final = [DOVECOT, DOVECOT_BARE, YAHOO, DOVECOT.without("MOVE"), HMAIL, COURIER]
BOXES: Final = ["INBOX", "Work", "Trash"]
COMMANDS: Final = ["STORE", "MOVE", "COPY", "APPEND", "EXPUNGE", "SELECT", "SEARCH", "FETCH", "STATUS", "LIST"]
FLAGS: Final = ["\\Seen", "\\Flagged", "work"]
HISTORIES: Final = 100 if SOAK else 12

change = st.tuples(
    st.sampled_from(["here", "there"]),
    st.sampled_from(["flag", "unflag", "move", "copy", "delete", "add", "move", "flag"]),
    st.integers(0, 2), st.integers(0, 30), st.integers(0, 2),
)  # fmt: skip


def rounds_of(change: st.SearchStrategy[Any], commands: Sequence[str]) -> st.SearchStrategy[list[Any]]:
    """Each a sync: changes before it, faults in it, and changes while one of `commands` is done."""
    fault = st.tuples(
        st.sampled_from(["drop", "bye", "refuse", "kill"]), st.sampled_from(commands),
        st.sampled_from(["before", "after", "told"]), st.integers(1, 3),
    )  # fmt: skip
    one = st.tuples(st.lists(change, max_size=6), st.lists(fault, max_size=2), st.lists(change, max_size=2))
    return st.lists(one, min_size=1, max_size=4)


rounds = rounds_of(change, COMMANDS)


@dataclass
class World:
    """`deleted`: contents that somebody deleted; `copies`: how often somebody copied one."""

    server: FakeUpstream
    here: Connected
    local: Local
    all: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    copies: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)

    async def take(self, one: tuple[str, str, int, int, int]) -> None:
        side, what, box, pick, other = one
        name, to = BOXES[box], BOXES[other]
        if side == "here":
            await self._here(what, name, to, pick, FLAGS[other])
        else:
            self._there(what, there(self.server, name), there(self.server, to), pick, FLAGS[other])

    async def _here(self, what: str, name: str, to: str, pick: int, flag: str) -> None:
        if what == "add":
            self.all.add(digest(await self.local.append(name, octets_of())))
            return
        uids = await self.local.uids(name)
        if not uids:
            return
        uid = uids[pick % len(uids)]
        content = await self.local.digest(name, uid)
        if what in ("flag", "unflag"):
            await self.local.flag(name, [uid], "add" if what == "flag" else "remove", flag)
        elif what == "move" and name != to:
            await self.local.move(name, [uid], to)
        elif what == "copy" and name != to:
            self.copies[content] += 1
            await self.local.copy(name, [uid], to)
        elif what == "delete":
            self.deleted.add(content)
            await self.local.expunge(name, [uid])

    def _there(self, what: str, name: str, to: str, pick: int, flag: str) -> None:
        account = self.server.account
        if what == "add":
            octets = octets_of()
            self.all.add(digest(octets))
            account.deliver(name, octets)
            return
        places = account.mailbox(name).places
        uids = [uid for uid, place in places.items() if "\\Deleted" not in place.mail.flags]
        if not uids:
            return
        uid = uids[pick % len(uids)]
        content = digest(places[uid].mail.octets)
        if what == "flag":
            account.add_flags(name, uid, flag)
        elif what == "unflag":
            account.remove_flags(name, uid, flag)
        elif what == "move" and name != to:
            account.move(name, uid, to)
        elif what == "copy" and name != to:
            self.copies[content] += 1
            account.copy(name, uid, to)
        elif what == "delete":
            self.deleted.add(content)
            account.expunge(name, uid)

    def fault(self, kind: str, command: str, when: str, nth: int) -> Fault:
        if kind == "drop":
            return Drop(command, when=when, nth=nth)
        if kind == "bye":
            return Bye(command, nth=nth, done=when != "before")
        if kind == "refuse":
            return Refuse(command, ["NO no", "NO [UNAVAILABLE] later", "NO [LIMIT] x"][nth % 3], nth=nth)
        return Do(command, lambda server: self.kill(), when=when, nth=nth)

    def meanwhile(self, one: tuple[str, str, int, int, int]) -> Fault:
        """A change in the middle of the sync."""
        return Do(COMMANDS[one[3] % len(COMMANDS)], lambda server: self.take(one), nth=1 + one[2])

    def kill(self) -> None:
        """As a crash: nothing of the session runs any more."""
        for task in list(self.here.supervisor._tasks.values()):
            task.cancel()

    async def sync(self) -> None:
        """However it ends; after a crash the lease is over, and somebody else begins."""
        number = self.here.row.id
        async with asyncio.timeout(60):
            while await self.here.supervisor.sync(number) is None:
                await self.here.db.write(lambda tx: lease.revoke(tx, number))

    async def through(self, steps: list[Any]) -> None:
        """A history, and what holds after it."""
        for number, (before, faults, during) in enumerate(steps):
            self.begins(number)
            for one in before:
                await self.take(one)
            self.server.disarm()
            self.server.arm(*(self.fault(*one) for one in faults), *(self.meanwhile(one) for one in during))
            await self.sync()
        await self.quiet()
        await self.prove()

    def begins(self, number: int) -> None:
        """A step of the history, from 0 on."""

    async def quiet(self) -> None:
        """Until two syncs in a row change nothing."""
        self.server.disarm()
        last: Any = None
        for _ in range(14):
            self.here.supervisor.confirm(self.here.row.id)  # a folder that was emptied waits for somebody
            await self.sync()
            now = self.server.account.snapshot(), await self.found()
            if now == last and await self.agrees():
                return
            last = now

    async def found(self) -> Any:
        """What is here."""
        return [await self.here.mail(name) for name in BOXES]

    async def agrees(self) -> bool:
        for name in BOXES:
            if living(self.server, name) != await self.here.mail(name):
                return False
        return True

    async def prove(self) -> None:
        for name in BOXES:
            assert living(self.server, name) == await self.here.mail(name), name
        counts: Counter[str] = Counter()
        for name in BOXES:
            for (_, content), count in living(self.server, name).items():
                counts[content] += count
        assert not [one for one in self.all - self.deleted if not counts[one]], "lost"
        assert not {one: count for one, count in counts.items() if count > 1 + self.copies[one]}, "doubled"
        assert not await self.here.db.read(lambda rx: ops.open_ops(rx, self.here.row.id))


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    """The store of one history, which is consistent after it."""
    db = open_database(f"sqlite:///{path}", StoreSettings(mail_poll_seconds=0.5, revocation_poll_seconds=0.2))
    await db.start()
    try:
        yield db
        await assert_consistent(db)
    finally:
        await db.close()


async def history(db: Database, kind: int, steps: list[Any]) -> None:
    boxes = {"INBOX": 4, f"{SERVERS[kind].prefix}Work": 2, f"{SERVERS[kind].prefix}Trash": 1}
    async with two_way(db, SERVERS[kind], boxes) as (server, here, local):
        world = World(server, here, local)
        world.all = {content for name in BOXES for _, content in living(server, name)}
        await world.through(steps)


def test_both_sides_agree_after_whatever_happens(
    runner: asyncio.Runner, sqlite_template: Path, tmp_path: Path
) -> None:
    numbers = itertools.count()

    @settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
    @example(0, [([("here", "move", 0, 1, 1), ("there", "move", 0, 1, 2)], [], [])])
    @example(0, [([("here", "move", 0, 1, 1), ("there", "delete", 0, 1, 2)], [], [])])
    @example(3, [([("here", "move", 0, 1, 1), ("here", "delete", 0, 1, 2)], [("kill", "COPY", "after", 1)], [])])
    @example(0, [([("there", "move", 1, 0, 0), ("there", "move", 1, 0, 0)], [], [])])
    @example(0, [([("there", "move", 1, 0, 0), ("here", "copy", 1, 0, 0)], [], [])])
    @given(st.integers(0, len(SERVERS) - 1), rounds)
    def histories(kind: int, steps: list[Any]) -> None:
        path = tmp_path / f"{next(numbers)}.db"
        path.write_bytes(sqlite_template.read_bytes())

        async def run() -> None:
            async with opened(path) as db:
                await history(db, kind, steps)

        runner.run(run())

    histories()
