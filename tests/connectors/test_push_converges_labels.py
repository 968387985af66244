"""Gmail: random changes on both sides, labels renamed and deleted among them, All Mail shown and hidden, with faults
and sessions that are cut anywhere: after quiet each message is here where its labels say, once; none is lost that
nobody deleted for good.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.store.connectors import ops
from gateway.store.db import Database
from tests.connectors.kit import Content, all_mail, connected, options
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS
from tests.connectors.test_push_converges import FLAGS, World, opened, rounds_of
from tests.support.soak import SOAK
from tests.support.upstream import GMAIL, Do, FakeUpstream, Fault, digest
from tests.support.upstream import example as octets_of
from tests.support.upstream.mail import Mailbox

ALL, TRASH = "[Gmail]/All Mail", "[Gmail]/Trash"
OWN: Final = {"\\Inbox": "INBOX", "\\Sent": "Sent", "\\Draft": "Drafts"}
COMMANDS: Final = ["STORE", "MOVE", "COPY", "APPEND", "SELECT", "SEARCH", "FETCH", "LIST", "CREATE", "RENAME", "DELETE"]
HERE: Final = ["flag", "unflag", "move", "copy", "delete", "add", "move", "create", "rename", "remove"]
THERE: Final = ["flag", "unflag", "label", "unlabel", "trash", "add", "label", "rename", "remove", "restore"]
RENAMED: Final = [("here", "rename", 4, 0, 0), ("there", "label", 0, 0, 1)]
REMOVED: Final = [("here", "remove", 4, 0, 0), ("there", "label", 0, 0, 2)]
HISTORIES: Final = 100 if SOAK else 10

change = st.one_of(
    st.tuples(st.just("here"), st.sampled_from(HERE), st.integers(0, 5), st.integers(0, 30), st.integers(0, 5)),
    st.tuples(st.just("there"), st.sampled_from(THERE), st.integers(0, 5), st.integers(0, 30), st.integers(0, 5)),
)


class LabelWorld(World):
    """`deleted`: contents that somebody took out of Trash. `shows`: whether All Mail is shown, step by step."""

    names = 0
    shows: Sequence[bool] = (True,)

    def begins(self, number: int) -> None:
        self._show(self.shows[number % len(self.shows)])

    def _show(self, shown: bool) -> None:
        self.server.account.mailbox(ALL).attributes = ("\\All",) if shown else ("\\All", "\\Noselect")
        self.server.account.notify()

    async def quiet(self) -> None:
        self._show(True)
        await super().quiet()

    def fresh(self) -> str:
        self.names += 1
        return f"New{self.names}"

    async def _boxes(self) -> list[str]:
        """Mailboxes here that a client changes: INBOX, Trash, Archive, and those that stand for labels."""
        return sorted(await self.local.names() - {"Sent", "Drafts", "Spam"})

    async def take(self, one: tuple[str, str, int, int, int]) -> None:
        side, what, box, pick, other = one
        if side == "here":
            names = await self._boxes()
            await self._here(what, names[box % len(names)], names[other % len(names)], pick, FLAGS[other % 3])
        else:
            labels = ["\\Inbox", *sorted(self._labels())]
            label = labels[box % len(labels)]
            self._there(what, label, labels[other % len(labels)], pick, FLAGS[other % 3])
            self.server.account.notify()

    async def _here(self, what: str, name: str, to: str, pick: int, flag: str) -> None:
        special = name in ("INBOX", "Trash", "Archive")
        if what == "create":
            await self.local.create(self.fresh())
        elif what == "rename":
            await self.local.rename(name, self.fresh()) if not special else None
        elif what == "remove":
            if not special:
                inside = {content for _, content in await self.here.mail(name)}
                # It never went up; or it was only just taken out of Trash, and is gone from there as it is here.
                self.deleted |= inside - self.server.account.digests(ALL).keys()
                await self.local.delete(name)
        elif what == "delete" and name == "Trash":
            return  # `deleted` is not known before it went up
        else:
            await super()._here(what, name, to, pick, flag)

    def _labels(self) -> list[str]:
        return [raw for raw in self.server.account.mailboxes if raw != "INBOX" and not raw.startswith("[Gmail]")]

    def _there(self, what: str, name: str, to: str, pick: int, flag: str) -> None:
        account = self.server.account
        if what == "add":
            octets = octets_of()
            self.all.add(digest(octets))
            account.deliver(ALL, octets, labels=[name])
            return
        if what in ("rename", "remove"):
            if not name.startswith("\\"):
                account.rename(name, self.fresh()) if what == "rename" else account.delete(name)
            return
        raw = TRASH if what == "restore" else ALL
        places = account.mailbox(raw).places
        if not places:
            return
        uid = list(places)[pick % len(places)]
        if what == "flag":
            account.add_flags(raw, uid, flag)
        elif what == "unflag":
            account.remove_flags(raw, uid, flag)
        elif what == "label":
            account.set_labels(raw, uid, places[uid].mail.labels | {to})
        elif what == "unlabel":
            account.set_labels(raw, uid, places[uid].mail.labels - {name})
        elif what == "trash":
            # What went up just now and is not known to have is looked for in All Mail, and put there again.
            self.copies[digest(places[uid].mail.octets)] += 1
            account.move(ALL, uid, TRASH)
        elif what == "restore":
            account.set_labels(raw, uid, {to})

    def meanwhile(self, one: tuple[str, str, int, int, int]) -> Fault:
        return Do(COMMANDS[one[3] % len(COMMANDS)], lambda server: self.take(one), nth=1 + one[2] % 3)

    async def _expected(self) -> dict[str, Content]:
        """What is to be in each mailbox here, by what its folder's row says that it stands for."""
        names = await self.local.names_by_id()
        rows = await self.here.folders()
        found: dict[str, Content] = {"Trash": Counter(self.server.account.mailbox(TRASH).snapshot().values())}
        for placed in self.server.account.mailbox(ALL).places.values():
            labels = placed.mail.labels - {"\\Starred", "\\Important"}
            for label in labels or {""}:
                row = rows.get(label)
                box = OWN.get(label) if label.startswith("\\") else names.get(row.mailbox_id or 0) if row else "Archive"
                mail = frozenset(placed.mail.flags), digest(placed.mail.octets)
                found.setdefault(box or f"no mailbox for {label}", Counter())[mail] += 1
        return {name: mail for name, mail in found.items() if mail}

    async def agrees(self) -> bool:
        """What was copied into Archive here may lie there beside its labels: who then takes these off archives it."""
        found, expected = await self.found(), await self._expected()
        every = Counter(self.server.account.mailbox(ALL).snapshot().values())
        more = found.get("Archive", Counter()) - expected.get("Archive", Counter())
        if more - every or (expected.pop("Archive", Counter()) - found.pop("Archive", Counter())):
            return False
        return found == expected

    async def found(self) -> dict[str, Content]:
        return {name: mail for name, mail in (await all_mail(self.here.db, self.here.inbox.id)).items() if mail}

    def _counted(self) -> Counter[str]:
        account = self.server.account
        return Counter(account.digests(ALL)) + Counter(account.digests(TRASH))

    async def prove(self) -> None:
        assert await self.agrees(), (await self.found(), await self._expected())
        counts = self._counted()
        assert not self.all - counts.keys() - self.deleted, "lost"
        more = {one: count for one, count in counts.items() if count > 1 + self.copies[one]}
        assert not more, "doubled"  # a copy in Trash is a message of its own
        assert not await self.here.db.read(lambda rx: ops.open_ops(rx, self.here.row.id))


def in_all_mail(box: Mailbox) -> bool:
    """What `GmailAccount._holds` says, and All Mail where it is hidden: it has its mail all the same."""
    return not {"\\Trash", "\\Junk"} & set(box.attributes) and (box.selectable or "\\All" in box.attributes)


async def history(db: Database, shows: list[bool], steps: list[Any]) -> None:
    async with FakeUpstream(GMAIL) as server, connected(db, server, options(mode="two-way"), settings=SETTINGS) as here:
        for labels in (["\\Inbox"], ["\\Inbox", "Work"], ["\\Inbox", "Play"], ["Work"], ["Work", "Play"], []):
            server.account.deliver(ALL, labels=labels)
        await here.good_sync()
        server.account._holds = in_all_mail  # type: ignore[attr-defined]
        world = LabelWorld(server, here, Local(here))
        world.shows = shows
        world.all = set(server.account.digests(ALL))
        await world.through(steps)


def test_labels_agree_after_whatever_happens(
    runner: asyncio.Runner, sqlite_template: Path, tmp_path: Path
) -> None:
    numbers = itertools.count()

    @settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
    @example([True], [(RENAMED, [("kill", "RENAME", "after", 1)], [])])
    @example([True], [(REMOVED, [("kill", "DELETE", "after", 1)], [])])
    @example([False], [([("here", "flag", 0, 0, 0)], [], [])])
    @example([False], [([("here", "move", 0, 28, 3)], [], [])])
    @given(st.lists(st.booleans(), min_size=1, max_size=3), rounds_of(change, COMMANDS))
    def histories(shows: list[bool], steps: list[Any]) -> None:
        path = tmp_path / f"{next(numbers)}.db"
        path.write_bytes(sqlite_template.read_bytes())

        async def run() -> None:
            async with opened(path) as db:
                await history(db, shows, steps)

        runner.run(run())

    histories()
