"""A pass over one folder: SELECT, and step after step until nothing is left to do (`plan.folder` says which)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.model.sequence import Ranges, intersect
from gateway.outbound.failure import Failure
from gateway.store.connectors import folders, known, upstream
from gateway.store.connectors.rows import BATCH, FolderId, RemoteFolder
from gateway.store.connectors.window import Cursor
from gateway.upstream.errors import Refused
from gateway.upstream.values import MailboxStatus, Selected
from gateway.upstream.wants import SearchWants

from . import differences
from .download import Download
from .plan import folder as plan
from .plan.windows import backfill_window, forward_window, next_count, pieces
from .regrouping import regroup
from .remapping import remap_folder
from .work import Quarantined, Work

SELECT_TRIES: Final = 3
PROBE_AFTER: Final = 6 * 3600
RETREAT_AFTER: Final = 60.0
"""A UIDNEXT that went back is believed when it still is so long after."""
MOST_STEPS: Final = 100
"""Steps of one pass; each brings a folder nearer to what SELECT said, unless the server says otherwise each time."""


class FolderPass:
    """One folder of one session: `run` brings it up to date, `backfill` goes on to older mail, a window a call."""

    def __init__(self, work: Work, folder_id: FolderId) -> None:
        self._work = work
        self._id = folder_id
        self._done = plan.PassSoFar()
        self._listed: Ranges | None = None
        self._until: int | None = None  # the first UID of the days that `backfill` is to reach
        self._asked_at = 0.0
        self.seen: plan.Seen | None = None
        """What SELECT told when the last pass began."""

    @property
    def row(self) -> RemoteFolder:
        return self._work.folders[self._id]

    async def run(self, *, asked_at: float = 0.0, arrivals: bool = False) -> bool:
        """All but older mail. False: the folder cannot be selected now. `asked_at`: compare all, as of then.

        `arrivals`: only what came, so that what is gone elsewhere can be seen to have been moved.
        """
        self._asked_at = asked_at
        self._done = plan.PassSoFar()
        seen = self.seen = await self._select()
        if seen is None:
            return False
        self._work.run.folder = self.row.name
        for _ in range(MOST_STEPS):
            if self.row.uidvalidity == seen.uidvalidity:
                await regroup(self._work, self.row)
            step = plan.next_step(self.state(), seen, self._rules(backfill=False), self._work.clock(), self._done)
            if isinstance(step, plan.Rest):
                break
            if arrivals and isinstance(step, plan.AskChanges | plan.CompareUids | plan.LookAtFlags):
                return True
            await self._do(step, seen)
        else:
            raise Quarantined(f"{self.row.name} never comes to rest")
        await differences.fetch_poison(self._work, self.row)
        await self._rested()
        return True

    async def backfill(self, since: int | None = None) -> bool:
        """One window of older mail; the folder is selected. False: there is none left, or none of the days `since`."""
        work, row, memory = self._work, self.row, self._work.memory(self.row)
        low, floor = row.backfill_low or 1, row.backfill_floor or 1
        if since is not None and low > floor:
            if self._until is None:
                recent = await differences.wanted_uids(work, since=since)
                self._until = recent[0][0] if recent else low
            floor = min(low, max(floor, self._until))
        if low > floor and work.octets.wait(work.clock(), backfill=True):
            return False
        if self._listed is None:
            listed = await differences.wanted_uids(work) if low > floor else ()
            self._listed = intersect(listed, ((floor, low - 1),)) if since is not None and low > floor else listed
            have = await work.db.read(lambda rx: known.known(rx, row.id, row.uidvalidity or 0, floor, low))
            work.run.expected += sum(
                min(high, low - 1) - start + 1 for start, high in self._listed if start < low
            ) - sum(high - start + 1 for start, high in have.live)
        window = backfill_window(self._listed, low, floor, self._most())
        if window is not None:
            await self._download(window.uids, Cursor(backfill_low=window.cursor))
            return True
        if row.phase == plan.Phase.BACKFILL.value and low <= (row.backfill_floor or 1):
            await self._set(phase=plan.Phase.LIVE.value)
        memory.taken = None
        return False

    def needs_pass(self, status: MailboxStatus | None) -> bool:
        """Whether STATUS shows that something happened, or it is time to look at what STATUS does not show."""
        if status is None:
            return True
        rules = self._rules(backfill=False)
        if not (rules.qresync or rules.condstore):
            status = replace(status, highest_modseq=None)
        state = self.state()
        if plan.needs_pass(state, status):
            return True
        same = plan.Seen(state.uidvalidity, state.uidnext, state.exists, state.highest_modseq or None)
        step = plan.next_step(state, same, rules, self._work.clock(), plan.PassSoFar(looked=True))
        return isinstance(step, plan.CompareUids | plan.LookAtFlags)

    def state(self) -> plan.FolderState:
        """The row, and what only this process knows."""
        row, memory = self.row, self._work.memory(self.row)
        phase = plan.Phase(row.phase) if row.phase in set(plan.Phase) else plan.Phase.NEW
        looked = float(row.last_full_scan_at or 0)
        return plan.FolderState(
            phase=phase if row.uidvalidity is not None else plan.Phase.NEW,
            uidvalidity=row.uidvalidity or 0,
            uidnext=row.uidnext or 1,
            highest_modseq=row.highest_modseq or 0,
            modseq_ok=row.modseq_ok,
            exists=memory.exists if memory.exists is not None else self._expected(phase),
            backfill_low=row.backfill_low or 1,
            backfill_floor=row.backfill_floor or 1,
            listed_at=max(memory.listed_at, looked),
            flags_at=max(memory.flags_at, looked),  # the row keeps whole seconds
            recent_flags_at=max(memory.recent_flags_at, looked),
        )

    def _expected(self, phase: plan.Phase) -> int:
        """After a start: what is known is what is there, if all of it was taken in; else comparing tells."""
        return self.row.live if phase is plan.Phase.LIVE and differences.criteria(self._work) is None else -1

    def _rules(self, *, backfill: bool) -> plan.PassRules:
        client = self._work.client
        return plan.PassRules(
            qresync=client.has("QRESYNC"), condstore=client.has("CONDSTORE"), asked_at=self._asked_at, backfill=backfill
        )

    async def _select(self) -> plan.Seen | None:
        work, row = self._work, self.row
        try:
            selected = await self._opened(row.raw)
        except Refused as error:
            if error.failure is not Failure.FOLDER_MISSING and error.failure is not Failure.REFUSED_COMMAND:
                raise
            tries = row.select_failures + 1
            probe = work.now + PROBE_AFTER if tries >= SELECT_TRIES else None
            await self._set(select_failures=tries, probe_at=probe)
            work.run.note(f"{row.name} cannot be opened: {error.said or error}")
            return None
        if row.select_failures:
            await self._set(select_failures=0, probe_at=None)
        return await self._seen(selected)

    async def _opened(self, raw: bytes) -> Selected:
        work = self._work
        try:
            return await work.client.select(raw, read_only=work.read_only)
        except Refused as error:
            if not error.bad or not work.client.has("CONDSTORE"):
                raise
            work.distrust("CONDSTORE", "QRESYNC")
            return await work.client.select(raw, read_only=work.read_only)

    async def _seen(self, selected: Selected) -> plan.Seen:
        uidnext = selected.uidnext
        if uidnext is None:
            listed = await self._work.search()
            uidnext = listed[-1][1] + 1 if listed else 1
        uidnext = await self._believed(uidnext)
        return plan.Seen(selected.uidvalidity, uidnext, selected.exists, selected.highest_modseq)

    async def _believed(self, uidnext: int) -> int:
        """UIDNEXT, or our cursor while it is not sure that it went back."""
        row, memory, now = self.row, self._work.memory(self.row), self._work.clock()
        selected = self._work.client.selected
        if row.uidnext is None or selected is None or selected.uidvalidity != row.uidvalidity or uidnext >= row.uidnext:
            memory.retreat_at = None
            return uidnext
        listed = await self._work.search(SearchWants(uids=((uidnext, row.uidnext),)))
        if listed:
            return max(row.uidnext, listed[-1][1] + 1)
        if memory.retreat_at is None:
            memory.retreat_at = now
        return uidnext if now - memory.retreat_at >= RETREAT_AFTER else row.uidnext

    async def _do(self, step: plan.Step, seen: plan.Seen) -> None:
        work, memory = self._work, self._work.memory(self.row)
        match step:
            case plan.TakeSnapshot(state):
                await self._snapshot(state)
            case plan.Remap():
                await remap_folder(work, self.row, step)
            case plan.Retreat(uidnext):
                await self._retreat(uidnext)
            case plan.Distrust(reason):
                work.run.note(f"{self.row.name}: {reason}, so flags are compared one by one")
                await self._set(modseq_ok=False)
            case plan.Forward(low, target):
                await self._forward(low, target, seen)
            case plan.AskChanges():
                await self._ask_changes(step)
            case plan.CompareUids():
                memory.exists = await differences.compare_uids(work, self.row)
                memory.listed_at = work.clock()
                self._done = replace(self._done, compared=True)
            case plan.LookAtFlags(newest):
                await differences.look_at_flags(work, self.row, newest)
                if newest is None:
                    memory.flags_at = work.clock()
                    await self._set(last_full_scan_at=work.now)
                elif newest >= plan.OFTEN:
                    memory.recent_flags_at = work.clock()
                self._done = replace(self._done, looked=True)
            case plan.Backfill() | plan.Rest():  # `run` asks without them
                raise AssertionError(step)
        await work.reload(self._id)

    async def _snapshot(self, state: plan.FolderState) -> None:
        work = self._work
        floor = 1
        if differences.criteria(work) is not None:
            wanted = await differences.wanted_uids(work)
            floor = min(wanted[0][0], state.uidnext) if wanted else state.uidnext
        await work.unit(
            lambda tx: folders.snapshot(
                tx, work.claim, self._id, uidvalidity=state.uidvalidity, uidnext=state.uidnext,
                modseq=state.highest_modseq or None, floor=floor, phase=state.phase.value, now=work.now,
            )
        )  # fmt: skip
        await self._set(last_full_scan_at=work.now)
        memory = work.memory(self.row)
        memory.exists, memory.listed_at, memory.recent_flags_at = state.exists, state.listed_at, state.recent_flags_at

    async def _forward(self, low: int, target: int, seen: plan.Seen) -> None:
        work, memory = self._work, self._work.memory(self.row)
        listed = await differences.wanted_uids(work, ((low, target - 1),))
        work.run.expected += sum(high - start + 1 for start, high in listed)
        while (window := forward_window(listed, low, target, self._most())) is not None:
            before = self.state()
            await self._download(window.uids, Cursor(uidnext=window.cursor))
            present = sum(high - start + 1 for start, high in window.uids)
            if memory.exists is not None:
                memory.exists += present
            if plan.frozen(before, seen, present):
                self._done = replace(self._done, frozen=True)
            low = window.cursor

    async def _ask_changes(self, step: plan.AskChanges) -> None:
        work, memory = self._work, self._work.memory(self.row)
        try:
            gone = await differences.ask_changes(work, self.row, step)
        except Refused as error:
            if not error.bad:
                raise
            work.distrust(*(("QRESYNC",) if step.vanished else ("CONDSTORE", "QRESYNC")))
            return
        if memory.exists is not None:
            memory.exists = max(0, memory.exists - gone)

    async def _retreat(self, uidnext: int) -> None:
        work, row, memory = self._work, self.row, self._work.memory(self.row)
        validity = row.uidvalidity or 0
        have = await work.db.read(lambda rx: known.known(rx, row.id, validity, uidnext))
        for piece in pieces(tuple(sorted(have.live + have.gone)), BATCH):
            uids = [uid for low, high in piece for uid in range(low, high + 1)]
            await work.unit(
                lambda tx, uids=uids: upstream.forget(  # type: ignore[misc]
                    tx, work.claim, row.id, validity, uids, now=work.now
                )
            )
        work.run.note(f"{row.name}: UIDNEXT went back from {row.uidnext} to {uidnext}, as after a restored backup")
        await self._set(uidnext=uidnext, backfill_low=min(row.backfill_low or 1, uidnext))
        memory.exists, memory.retreat_at = None, None

    async def _download(self, uids: Ranges, cursor: Cursor) -> None:
        memory = self._work.memory(self.row)
        memory.taken = await Download(self._work, self.row).run(uids, cursor)
        await self._work.reload(self._id)

    def _most(self) -> int:
        memory = self._work.memory(self.row)
        usual = next_count(memory.taken, self._work.settings.window)
        return usual if memory.most is None else min(usual, memory.most)

    async def _rested(self) -> None:
        row = self.row
        done = row.phase == plan.Phase.BACKFILL.value and (row.backfill_low or 1) <= (row.backfill_floor or 1)
        if done:
            await self._set(phase=plan.Phase.LIVE.value, synced_at=self._work.now, resets=0)
        elif row.synced_at is None or self._work.now - row.synced_at >= 3600:
            await self._set(synced_at=self._work.now)

    async def _set(self, **values: object) -> None:
        work = self._work
        await work.unit(lambda tx: folders.update(tx, work.claim, self._id, values, now=work.now))
        await work.reload(self._id)
