"""One connection's work: find out what there is, bring it up to date, newest first; then stay and listen.

New mail of the folders that people look at comes first, older mail a window at a time; between two windows whoever
asked for something is served, and the main folder is looked at again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.outbound.failure import Failure
from gateway.store.connectors.rows import FolderId
from gateway.upstream.errors import Refused
from gateway.upstream.folders import STATUS_ITEMS
from gateway.upstream.values import MailboxStatus

from .discovering import Discovery, discover, look_again
from .folder_sync import FolderPass
from .looks import NOBODY_S
from .plan import folder as plan
from .push.pusher import prepare, push, resume
from .requests import Requests, Stopped
from .scope import Scope
from .work import Work

PUSHES: Final = 4
MAIN_EVERY: Final = 30.0
"""While older mail of other folders comes, the main one is looked at so often."""


class Session:
    """`turn`: held while a window of older mail is fetched, so that a process has few of them at once."""

    def __init__(self, work: Work, requests: Requests, turn: asyncio.Semaphore) -> None:
        self._work = work
        self._requests = requests
        self._turn = turn
        self._found = Discovery()
        self._others_at = 0.0
        self._discovered_at = 0.0
        self._main_at = 0.0
        self._chosen: FolderId | None = None  # the selected folder, as far as we know
        self._seen: plan.Seen | None = None
        self._push_due: int | None = None
        self._held = 0
        self.validated = False
        """Everything was compared once: a failure from here on is not the settings' fault."""
        self.whole = False
        """It has once been through everything."""

    async def sync_only(self, scope: Scope, *, asked_at: float) -> bool:
        """The folders of `scope`, and their older mail as far as it goes. False: the account has none such.

        Where something is gone from them it is looked for in the others, as far as LIST told their STATUS: what was
        only moved would else be gone here before it came, and be another message then.
        """
        work = self._work
        await prepare(work)
        self._found = await discover(work)
        self._discovered_at = asyncio.get_running_loop().time()
        await resume(work)
        chosen = scope.chooser()
        some = [one for one in self._found.order if chosen(work.folders[one])]
        work.run.folders = len(some)
        for folder_id, status in self._found.status.items() if any(self._lost(one) for one in some) else ():
            known = folder_id in self._found.order and work.folders[folder_id].uidvalidity is not None
            if known and folder_id not in some and self._needs(folder_id, status):
                await self._run(folder_id, arrivals=True)
        await self._run_all(some, asked_at)
        self.validated = True
        await self._push()
        await self._backfill([one for one in some if one in self._found.order], scope.since)
        return bool(some)

    def _lost(self, folder_id: FolderId) -> bool:
        """Something may be gone from it; one that was never opened has nothing to lose."""
        if self._work.folders[folder_id].uidvalidity is None:
            return False
        status = self._found.status.get(folder_id)
        return status is None or not plan.only_grew(self._pass(folder_id).state(), status)

    async def sync(self, *, asked_at: float = 0.0) -> None:
        """Once through everything, older mail too."""
        loop, looks = asyncio.get_running_loop(), self._work.recall.looks
        await prepare(self._work)
        self._found = await discover(self._work)
        self._discovered_at = self._others_at = loop.time()
        await resume(self._work)
        looks.begin(loop.time())
        await self._run_all(
            [one for one in self._found.order if asked_at or self._needs(one, self._found.status.get(one))], asked_at
        )
        looks.done()
        self.validated = True
        await self._push()
        await self._backfill()
        await self._push()
        self._held = len(self._work.held)
        self.whole = True

    async def _push(self) -> None:
        """What changed here goes up. Folders that it makes are looked at before they are filled."""
        work = self._work
        if not work.two_way:
            return
        self._requests.push = False
        for _ in range(PUSHES):
            before = work.client.selected
            pushed = await push(work)
            self._push_due = None if pushed.due is None else max(pushed.due, work.now + 1)  # never in a tight loop
            if work.client.selected is not before:
                self._chosen = None
            for folder_id in pushed.news:
                if folder_id in self._found.order:
                    await self._run(folder_id)
            if not pushed.again:
                return
            self._found = await discover(work)
            await self._run_all([one for one in self._found.order if work.folders[one].uidvalidity is None])

    def _push_wait(self) -> float:
        """Seconds until something that was put off may go up."""
        return 3600.0 if self._push_due is None else max(0.0, self._push_due - self._work.clock())

    def _needs(self, folder_id: FolderId, status: MailboxStatus | None) -> bool:
        return self._pass(folder_id).needs_pass(status)

    async def _run_all(self, some: list[FolderId], asked_at: float = 0.0) -> None:
        """What came to any of them comes first: what is gone from another one may only have been moved."""
        for folder_id in some[1:] if len(some) > 1 else ():
            await self._run(folder_id, arrivals=True)
        for folder_id in some:
            if folder_id in self._found.order:
                await self._run(folder_id, asked_at=asked_at)

    async def live(self) -> Stopped:
        """Listen to the main folder, look at the others now and then, until somebody asks for something."""
        work, requests, loop = self._work, self._requests, asyncio.get_running_loop()
        while True:
            if requests.stop:
                return Stopped.ASKED
            if requests.sync:
                return Stopped.SYNC
            if self._looks_due():
                await self._look()
                continue
            if requests.push or (work.two_way and not self._push_wait()):
                await asyncio.sleep(work.settings.push_after)  # what changes together goes up together
                await self._push()
                if len(work.held) > self._held:
                    self._held = len(work.held)
                    return Stopped.SYNC  # which says that somebody has to confirm it
                continue
            if not self._found.order:
                await self._pause(work.settings.others_every)
                await self._sync_others()
                continue
            main = self._found.order[0]
            if self._chosen != main or loop.time() - self._main_at >= work.settings.deaf_after or self._differs():
                await self._run(main)
                continue
            await self._listen()
            news = work.client.take_news()
            if (news.expunged or news.vanished) and work.client.has("LIST-STATUS"):
                await self._sync_others()  # to where they were moved, perhaps
            if news.exists is not None or news.expunged or news.vanished or news.fetched:
                await self._run(main)
            if loop.time() - self._others_at >= self._others_every():
                await self._sync_others()

    def _others_every(self) -> float:
        work = self._work
        if work.client.has("LIST-STATUS"):
            return work.settings.others_every
        return max(work.settings.others_every, work.options.sync.interval * 60.0)

    def _differs(self) -> bool:
        """What was heard since SELECT: a notification may have come before IDLE began.

        Compared with what SELECT said, not with what we count: there are servers for which these never agree.
        """
        selected, seen = self._work.client.selected, self._seen
        if selected is None or seen is None:
            return True
        return selected.exists != seen.exists or (selected.highest_modseq or 0) > (seen.highest_modseq or 0)

    async def _listen(self) -> None:
        """IDLE, or a pause and NOOP, for at most as long as the others can wait."""
        work, loop = self._work, asyncio.get_running_loop()
        wait = max(0.0, self._others_at + self._others_every() - loop.time())
        wait = min(wait, work.recall.looks.pause(loop.time()))
        if work.two_way:
            wait = min(wait, self._push_wait() + 0.1)
        if work.client.has("IDLE"):
            period = work.profile.idle * (0.9 + 0.2 * work.chance())
            self._requests.interrupt = work.client.interrupt
            try:
                if not self._wanted():
                    await work.client.idle(min(period, wait))
            except Refused:
                work.client.distrust("IDLE")
            finally:
                self._requests.interrupt = None
            return
        await self._pause(min(wait, work.profile.poll))
        await work.client.noop()

    async def _pause(self, seconds: float) -> None:
        self._requests.event.clear()
        if self._wanted():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._requests.event.wait()
        except TimeoutError:
            return

    def _wanted(self) -> bool:
        """Somebody asks for something now."""
        requests = self._requests
        return requests.stop or requests.sync or requests.push or self._looks_due()

    def _looks_due(self) -> bool:
        return self._work.recall.looks.due(asyncio.get_running_loop().time())

    async def on_access(self, due: int) -> None:
        """A session for readers who wait: looks, until none comes for a while, a sync is wanted, or one is `due`.

        Unix seconds. Nothing is compared that STATUS does not tell of, no older mail is fetched, nothing goes up.
        """
        work, requests = self._work, self._requests
        loop, looks = asyncio.get_running_loop(), work.recall.looks
        await prepare(work)
        self._found = await discover(work)
        self._discovered_at = loop.time()
        await resume(work)
        known, last = True, loop.time()
        while not (requests.stop or requests.sync) and work.clock() < due:
            requests.push = False  # what changes here goes up with the next sync
            if self._looks_due():
                await self._look(known=known)
                known, last = False, loop.time()
            left = last + work.settings.look_linger - loop.time()
            if left <= 0 and not looks.wanted:
                return
            await self._pause(min(left if left > 0 else NOBODY_S, looks.pause(loop.time()), due - work.clock()))

    async def _look(self, *, known: bool = False) -> None:
        """What is new now where somebody reads, first of all, then where STATUS tells of something.

        `known`: the folders were listed just now. Where each STATUS is a command of its own, only who reads several
        mailboxes has them all asked for.
        """
        work, looks = self._work, self._work.recall.looks
        wanted = looks.begin(asyncio.get_running_loop().time())
        if not known:
            await self._list()
        order = self._found.order
        some = [one for one in order if work.folders[one].mailbox_id in wanted] or order[:1]
        if work.client.has("LIST-STATUS") or None in wanted:
            some += await self._changed([one for one in order if one not in some])
        if len(some) > 1:
            await self._run(some[0], arrivals=True)
        await self._run_all(some)
        looks.done()

    async def _list(self) -> None:
        """Which folders there are, where it is time or one command tells the STATUS of all."""
        work, loop = self._work, asyncio.get_running_loop()
        due = loop.time() - self._discovered_at >= work.settings.discover_every
        if due or (work.client.has("LIST-STATUS") and not await look_again(work, self._found)):
            self._found = await discover(work)
            self._discovered_at = loop.time()

    async def _changed(self, some: list[FolderId]) -> list[FolderId]:
        """In which of them something happened; what was listed of them is used up."""
        changed = []
        for folder_id in some:
            if self._requests.stop or self._requests.sync:
                return []
            if self._needs(folder_id, self._found.status.get(folder_id) or await self._status(folder_id)):
                changed.append(folder_id)
        self._found.status.clear()
        return changed

    async def _sync_others(self) -> None:
        """STATUS of all, in one command where that is possible; a pass over those in which something happened."""
        self._others_at = asyncio.get_running_loop().time()
        await self._list()
        changed = await self._changed(self._found.order[1:])
        if self._requests.stop or self._requests.sync:
            return
        await self._run_all(changed)
        await self._backfill()

    async def _status(self, folder_id: FolderId) -> MailboxStatus | None:
        if self._chosen == folder_id:  # RFC 3501 6.3.10: never of the selected mailbox
            return None
        try:
            return await self._work.client.status(self._work.folders[folder_id].raw, STATUS_ITEMS)
        except Refused as error:
            if error.failure not in (Failure.FOLDER_MISSING, Failure.REFUSED_COMMAND):
                raise
            return None

    def _pass(self, folder_id: FolderId) -> FolderPass:
        return FolderPass(self._work, folder_id)

    async def _run(
        self, folder_id: FolderId, *, asked_at: float = 0.0, arrivals: bool = False
    ) -> FolderPass | None:
        """None: it cannot be opened now, and is left out."""
        one = self._pass(folder_id)
        opened = await one.run(asked_at=asked_at, arrivals=arrivals)
        self._chosen, self._seen = (folder_id if opened else None), one.seen
        if self._found.order and folder_id == self._found.order[0]:
            self._main_at = asyncio.get_running_loop().time()
        if not opened and folder_id in self._found.order:
            self._found.order.remove(folder_id)
        return one if opened else None

    async def _backfill(self, some: list[FolderId] | None = None, since: int | None = None) -> None:
        """Older mail, folder after folder; of `some`, and no older than the day `since` (1970-01-01)."""
        work = self._work
        for folder_id in list(self._found.order) if some is None else some:
            if work.folders[folder_id].phase == plan.Phase.LIVE.value:
                continue
            one = await self._run(folder_id)
            if one is not None:
                await self._backfill_of(one, folder_id, since)

    async def _backfill_of(self, one: FolderPass, folder_id: FolderId, since: int | None) -> None:
        loop, main = asyncio.get_running_loop(), self._found.order[0]
        while True:
            async with self._turn:
                more = await one.backfill(since)
            if not more or self._requests.stop:
                return
            if self._looks_due():
                await self._look()
                if not await one.run():
                    return
                self._chosen = folder_id
            if folder_id == main:
                news = self._work.client.take_news()
                if news.exists is not None or news.expunged or news.vanished or news.fetched:
                    await one.run()
            elif loop.time() - self._main_at >= MAIN_EVERY:
                self._main_at = loop.time()
                status = await self._status(main)
                if status is not None and self._needs(main, status):
                    await self._run(main)
                    if not await one.run():
                        return
                    self._chosen = folder_id
