"""Random histories of two folders and their mailboxes against a dictionary: windows, flags, removals, moves, remaps.

Each unit may be run twice, as after a crash that hid its commit. After each step mail, bases, places and counts are
what the dictionary says, and at the end of each history the consistency check finds nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.model.flags import ANSWERED, FLAGGED, SEEN
from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.connectors import accounts, lease, local, moves, remap, upstream
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.local import Agreed
from gateway.store.connectors.moves import Key, Moved
from gateway.store.connectors.remap import Pair
from gateway.store.connectors.rows import ContentNeeded, Flags, Gone, RemoteFolder
from gateway.store.connectors.upstream import FlagChange
from gateway.store.connectors.window import Cursor
from gateway.store.db import Database
from tests.store.helpers import NOW, assert_consistent, make_inbox

from .kit import LIFE, NODE, Account, arrival

LOCAL: Final = ("INBOX", "Spam")
FLAGS: Final[tuple[Flags, ...]] = ((0, ()), (SEEN, ()), (FLAGGED, ("a",)), (SEEN | ANSWERED, ("a", "b")))
HISTORIES: Final = 400 if os.environ.get("GATEWAY_SOAK") else 20
_inboxes = itertools.count()


@dataclass
class Known:
    """A message upstream as the store should know it. `here`: the local UID that stands for it, though it be gone."""

    base: Flags
    text: str
    here: int | None
    gone: Gone | None = None


@dataclass
class Side:
    """One folder upstream with its local mailbox."""

    row: RemoteFolder
    box: MailboxId
    validity: int
    there: dict[int, tuple[str, Flags]] = field(default_factory=dict)
    uidnext: int = 1
    cursor: int = 1
    known: dict[tuple[int, int], Known] = field(default_factory=dict)
    mail: dict[int, tuple[str, Flags]] = field(default_factory=dict)
    local_next: int = 1

    def current(self) -> dict[int, Known]:
        return {uid: each for (validity, uid), each in self.known.items() if validity == self.validity}


@dataclass(frozen=True)
class Step:
    what: str
    side: int
    pick: int
    flags: int
    text: int
    twice: bool


STEPS = st.builds(
    Step,
    st.sampled_from(
        ["deliver", "deliver", "pull", "pull", "flags", "late", "mark", "remove", "keep", "delete", "move", "remap",
         "agree"]
    ),
    st.integers(0, 1), st.integers(0, 50), st.integers(0, len(FLAGS) - 1), st.integers(0, 2), st.booleans(),
)  # fmt: skip


class World:
    def __init__(self, account: Account, sides: Sequence[Side]) -> None:
        self.account = account
        self.sides = sides

    async def unit(self, step: Step, call: Any) -> Any:
        found = await self.account.write(call)
        if step.twice:
            await self.account.write(call)
        return found

    async def take(self, step: Step) -> None:
        side = self.sides[step.side]
        await getattr(self, f"do_{step.what}")(step, side)

    def picked(self, step: Step, among: Sequence[Any]) -> Any:
        return among[step.pick % len(among)] if among else None

    async def do_deliver(self, step: Step, side: Side) -> None:
        side.there[side.uidnext] = (f"text-{step.text}", FLAGS[step.flags])
        side.uidnext += 1

    async def do_pull(self, step: Step, side: Side) -> None:
        uids = [uid for uid in side.there if uid >= side.cursor][: 1 + step.pick % 4]
        upto = max(uids, default=side.uidnext - 1) + 1
        without = bool(step.flags % 2)  # whoever knows a source does not fetch it again, and may be wrong

        async def bring(content: bool) -> None:
            arrivals = [
                arrival(uid, side.box, text=side.there[uid][0], flags=side.there[uid][1], content=content)
                for uid in uids
            ]
            folder = replace(side.row, uidvalidity=side.validity)
            await self.account.bring(folder, arrivals, Cursor(uidnext=upto))
            if step.twice:
                await self.account.bring(folder, arrivals, Cursor(uidnext=upto))

        living = {text for each in self.sides for text, _ in each.mail.values()}
        needed = {side.there[uid][0] for uid in uids if uid not in side.current()} - living
        try:
            await bring(not without)
        except ContentNeeded as error:
            asked = {side.there[uid][0] for uid in error.uids}
        else:
            asked = set()
        assert asked == (needed if without else set())
        if asked:
            await bring(True)
        side.cursor = max(side.cursor, upto)
        for uid in uids:
            text, flags = side.there[uid]
            known = side.known.get((side.validity, uid))
            if known is None:
                side.known[side.validity, uid] = Known(flags, text, side.local_next)
                side.mail[side.local_next] = (text, flags)
                side.local_next += 1
            elif known.gone is not None:
                known.gone = None

    async def do_flags(self, step: Step, side: Side, late: bool = False) -> None:
        uid = self.picked(step, sorted(uid for uid, each in side.current().items() if uid in side.there))
        if uid is None:
            return
        known, flags = side.current()[uid], FLAGS[step.flags]
        add, remove = _difference(known.base, flags)
        seen = await self.account.modseq()
        if late:
            await self.do_mark(replace(step, flags=(step.flags + 1) % len(FLAGS)), side)
            last = await self.account.modseq()
        else:
            last = seen
        change = FlagChange(uid, flags, add, remove)
        left = await self.account.write(
            lambda tx: upstream.apply_flags(
                tx, self.account.claim, side.row.id, side.validity, [change], upto=seen, now=NOW
            )
        )
        side.there[uid] = (side.there[uid][0], flags)
        applies = any(add) or any(remove)
        marked = late and last > seen and known.here in side.mail and self.marked == known.here and applies
        assert left == ([uid] if marked else [])
        if left:
            return
        known.base = flags
        if known.here in side.mail:
            text, before = side.mail[known.here]
            names = (set(before[1]) | set(add[1])) - set(remove[1])
            side.mail[known.here] = (text, ((before[0] | add[0]) & ~remove[0], tuple(sorted(names))))

    marked: int | None = None

    async def do_late(self, step: Step, side: Side) -> None:
        await self.do_flags(step, side, late=True)

    async def do_mark(self, step: Step, side: Side) -> None:
        """A client here sets flags."""
        self.marked = uid = self.picked(step, sorted(side.mail))
        if uid is None:
            return
        mask, names = FLAGS[step.flags]
        await self.account.write(
            lambda tx: messages.store_flags(tx, self.account.inbox.id, side.box, [uid], "set", mask, names)
        )
        side.mail[uid] = (side.mail[uid][0], (mask, names))

    async def do_remove(self, step: Step, side: Side) -> None:
        """A client here expunges."""
        uid = self.picked(step, sorted(side.mail))
        if uid is not None:
            await self.account.write(
                lambda tx: messages.expunge(tx, self.account.inbox.id, side.box, [uid], only_deleted=False, now=NOW)
            )
            del side.mail[uid]

    async def vanish(self, step: Step, side: Side, policy: upstream.Policy) -> None:
        uid = self.picked(step, sorted(uid for uid, each in side.current().items() if each.gone is None))
        if uid is None:
            return
        side.there.pop(uid, None)
        seen = await self.account.modseq()
        await self.unit(step, lambda tx: upstream.vanished(
            tx, self.account.claim, side.row.id, side.validity, [uid], policy, upto=seen, now=NOW
        ))  # fmt: skip
        known = side.known[side.validity, uid]
        if policy == "keep":
            known.gone = Gone.VANISHED
        else:
            side.mail.pop(known.here, None)  # type: ignore[arg-type]
            del side.known[side.validity, uid]

    async def do_keep(self, step: Step, side: Side) -> None:
        await self.vanish(step, side, "keep")

    async def do_delete(self, step: Step, side: Side) -> None:
        await self.vanish(step, side, "delete")

    async def do_move(self, step: Step, side: Side) -> None:
        other = self.sides[1 - step.side]
        uid = self.picked(step, sorted(uid for uid in side.current() if uid in side.there))
        if uid is None:
            return
        known = side.known.pop((side.validity, uid))
        new, other.uidnext = other.uidnext, other.uidnext + 1
        other.there[new] = side.there.pop(uid)
        change = Moved(Key(side.row.id, side.validity, uid), Key(other.row.id, other.validity, new), other.box)
        seen = await self.account.modseq()
        left = await self.unit(
            step, lambda tx: moves.moved(tx, self.account.claim, [change], upto=seen, now=NOW)
        )
        assert left == []
        known.gone = None
        if known.here in side.mail:
            other.mail[other.local_next] = side.mail.pop(known.here)
            known.here = other.local_next
            other.local_next += 1
        else:
            known.here = None
        other.known[other.validity, new] = known

    async def do_remap(self, step: Step, side: Side) -> None:
        """All messages get other UIDs; of what is known every third is not found again."""
        before, side.there = sorted(side.there.items()), {}
        old, side.validity = side.validity, side.validity + 1
        side.uidnext = 1
        pairs = []
        for number, (uid, message) in enumerate(before):
            side.there[side.uidnext] = message
            if (old, uid) in side.known and number % 3 != step.pick % 3:
                pairs.append(Pair(old, uid, side.uidnext))
            side.uidnext += 1
        side.cursor = side.uidnext
        claim, folder = self.account.claim, side.row.id
        await self.unit(step, lambda tx: remap.begin(
            tx, claim, folder, uidvalidity=side.validity, uidnext=side.uidnext, modseq=None, now=NOW
        ))  # fmt: skip
        for some in (pairs[:1], pairs):
            await self.unit(step, lambda tx, some=some: remap.rekey(
                tx, claim, folder, side.validity, some, now=NOW
            ))  # fmt: skip
        while await self.account.write(lambda tx: remap.finish(tx, claim, folder, now=NOW)):
            pass
        for pair in pairs:
            known = side.known.pop((old, pair.old_uid))
            known.gone = None
            side.known[side.validity, pair.uid] = known
        for (validity, _), known in side.known.items():
            if validity != side.validity:
                known.gone = Gone.UNKNOWN

    async def do_agree(self, step: Step, side: Side) -> None:
        """All that is different here goes up, and is agreed upon."""
        folder = await self.account.get(side.row.id)
        found = await self.account.db.read(
            lambda rx: local.local_changes(rx, self.account.inbox.id, folder)
        )
        assert found.complete
        current = side.current()
        standing = {known.here: uid for uid, known in current.items()}
        agreed = []
        for each in found.changed:
            assert side.mail[each.uid][1] == each.flags
            if each.place is not None and each.place.uidvalidity == side.validity:
                assert each.place.uid == standing[each.uid]
                assert current[each.place.uid].base == each.base
                agreed.append(Agreed(each.place.uid, each.flags))
        lost = [each.place.uid for each in found.removed if each.place.uidvalidity == side.validity]
        assert all(current[uid].here not in side.mail for uid in lost)
        claim = self.account.claim

        def unit(tx: Any) -> None:
            local.agree(tx, claim, folder.id, side.validity, agreed, pushed_modseq=found.highest_modseq, now=NOW)
            upstream.forget(tx, claim, folder.id, side.validity, lost, now=NOW)

        await self.unit(step, unit)
        for one in agreed:
            current[one.uid].base = one.flags
            if one.uid in side.there:
                side.there[one.uid] = (side.there[one.uid][0], one.flags)
        for uid in lost:
            del side.known[side.validity, uid]
            side.there.pop(uid, None)
        # Nothing differs any more, unless it stands for what was lost from sight.
        assert {uid for uid, (_, flags) in side.mail.items() if uid in standing and
                current[standing[uid]].base != flags} == set()  # fmt: skip

    async def compare(self) -> None:
        for side, name in zip(self.sides, LOCAL, strict=True):
            assert await self.account.mail(name) == {uid: flags for uid, (_, flags) in side.mail.items()}
            folder = await self.account.get(side.row.id)
            assert folder.live == sum(1 for each in side.current().values() if each.gone is None)
            assert (folder.uidvalidity, folder.uidnext) == (side.validity, side.cursor)
            for validity in {validity for validity, _ in side.known} | {side.validity}:
                wanted = {uid: each for (old, uid), each in side.known.items() if old == validity}
                found = await self.account.remote(side.row, validity)
                assert {uid: (each.flags, each.gone) for uid, each in found.items()} == {
                    uid: (each.base, each.gone) for uid, each in wanted.items()
                }
                stands = await self.account.stands(side.row, wanted, validity)
                assert {uid: [place.local_uid for place in each] for uid, each in stands.items()} == {
                    uid: [each.here] for uid, each in wanted.items() if each.here is not None
                }


def _difference(base: Flags, wanted: Flags) -> tuple[Flags, Flags]:
    add = (wanted[0] & ~base[0], tuple(sorted(set(wanted[1]) - set(base[1]))))
    remove = (base[0] & ~wanted[0], tuple(sorted(set(base[1]) - set(wanted[1]))))
    return add, remove


async def world(db: Database) -> World:
    number = next(_inboxes)
    inbox = await make_inbox(db, f"n{number}@example.test")
    new = NewConnector(inbox.pod_id, f"c{number}", f"n{number}@elsewhere.test", inbox_id=inbox.id, mode="two-way")
    row = await db.write(lambda tx: accounts.create(tx, new, now=NOW))
    claim = await db.write(lambda tx: lease.claim_one(tx, row.id, NODE, LIFE, NOW))
    assert claim is not None
    account = Account(db, inbox, row, claim)
    sides = []
    for name, validity in (("INBOX", 100), ("Junk", 200)):
        folder = await account.folder(name, local=LOCAL[len(sides)], validity=validity)
        sides.append(Side(folder, await account.box(LOCAL[len(sides)]), validity))
    return World(account, sides)


D = Step("deliver", 0, 0, 1, 0, False)
P = Step("pull", 0, 3, 0, 0, True)


def twice(what: str, side: int = 0, pick: int = 0) -> Step:
    return Step(what, side, pick, 0, 0, True)


def test_histories(db: Database, runner: asyncio.Runner) -> None:
    runner.run(_joined(db))

    @settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck))
    @example([D, D, P, Step("late", 0, 0, 2, 0, False), P, Step("agree", 0, 0, 0, 0, True)])
    @example([D, P, twice("remap", pick=1), P, twice("keep"), twice("delete")])
    @example([D, P, twice("move"), Step("remove", 1, 0, 0, 0, False), twice("move", side=1)])
    @given(st.lists(STEPS, min_size=5, max_size=40))
    def histories(steps: list[Step]) -> None:
        runner.run(_history(db, steps))

    histories()


async def _joined(db: Database) -> None:
    await db.write(lambda tx: lease.join(tx, NODE, LIFE, NOW, 1_000_000))


async def _history(db: Database, steps: list[Step]) -> None:
    the_world = await world(db)
    for step in steps:
        await the_world.take(step)
        await the_world.compare()
    await assert_consistent(db)
