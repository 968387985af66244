"""Passes over the folders of one connection: which there are, which need one, in what order; older mail, and looks."""

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
from .plan import folder as plan
from .push.pusher import prepare, resume
from .requests import Requests
from .work import Work

MAIN_EVERY: Final = 30.0
"""While older mail of other folders comes, the main one is looked at so often."""


class Rounds:
    """`turn`: held while a window of older mail is fetched, so that a process has few of them at once."""

    def __init__(self, work: Work, requests: Requests, turn: asyncio.Semaphore) -> None:
        self._work = work
        self._requests = requests
        self._turn = turn
        self._discovered_at = 0.0
        self.found = Discovery()
        self.main_at = 0.0
        """When the main folder was passed last."""
        self.chosen: FolderId | None = None
        """The selected folder, as far as we know."""
        self.seen: plan.Seen | None = None
        """What SELECT said of it."""

    async def begin(self) -> None:
        """Find out which folders there are; what was cut off comes first."""
        await prepare(self._work)
        await self.discover()
        await resume(self._work)

    async def discover(self) -> None:
        """LIST, and what follows from it."""
        self.found = await discover(self._work)
        self._discovered_at = asyncio.get_running_loop().time()

    async def renewed(self) -> bool:
        """Nothing is under way: go on over another connection where this one's login ends soon. No folder is selected
        then."""
        work = self._work
        if not work.line.ready:
            return False
        work.client = await work.line.change()
        self.chosen = self.seen = None
        return True

    def needs(self, folder_id: FolderId, status: MailboxStatus | None) -> bool:
        """Whether a pass over it would find something, as far as STATUS tells."""
        return self.pass_of(folder_id).needs_pass(status)

    def looks_due(self) -> bool:
        """A reader waits for a look, and it is time for one."""
        return self._work.recall.looks.due(asyncio.get_running_loop().time())

    def pass_of(self, folder_id: FolderId) -> FolderPass:
        """One that begins now."""
        return FolderPass(self._work, folder_id)

    async def run(
        self, folder_id: FolderId, *, asked_at: float = 0.0, arrivals: bool = False
    ) -> FolderPass | None:
        """None: it cannot be opened now, and is left out."""
        one = self.pass_of(folder_id)
        opened = await one.run(asked_at=asked_at, arrivals=arrivals)
        self.chosen, self.seen = (folder_id if opened else None), one.seen
        if self.found.order and folder_id == self.found.order[0]:
            self.main_at = asyncio.get_running_loop().time()
        if not opened and folder_id in self.found.order:
            self.found.order.remove(folder_id)
        return one if opened else None

    async def run_all(self, some: list[FolderId], asked_at: float = 0.0) -> None:
        """What came to any of them comes first: what is gone from another one may only have been moved."""
        for folder_id in some[1:] if len(some) > 1 else ():
            await self.run(folder_id, arrivals=True)
        for folder_id in some:
            if folder_id in self.found.order:
                await self.run(folder_id, asked_at=asked_at)

    async def look(self, *, known: bool = False) -> None:
        """What is new now where somebody reads, first of all, then where STATUS tells of something.

        `known`: the folders were listed just now. Where each STATUS is a command of its own, only who reads several
        mailboxes has them all asked for.
        """
        work, looks = self._work, self._work.recall.looks
        wanted = looks.begin(asyncio.get_running_loop().time())
        if not known:
            await self.list_again()
        order = self.found.order
        some = [one for one in order if work.folders[one].mailbox_id in wanted] or order[:1]
        if work.client.has("LIST-STATUS") or None in wanted:
            some += await self.changed([one for one in order if one not in some])
        if len(some) > 1:
            await self.run(some[0], arrivals=True)
        await self.run_all(some)
        looks.done()

    async def list_again(self) -> None:
        """Which folders there are, where it is time or one command tells the STATUS of all."""
        work, loop = self._work, asyncio.get_running_loop()
        due = loop.time() - self._discovered_at >= work.settings.discover_every
        if due or (work.client.has("LIST-STATUS") and not await look_again(work, self.found)):
            await self.discover()

    async def changed(self, some: list[FolderId]) -> list[FolderId]:
        """In which of them something happened; what was listed of them is used up."""
        changed = []
        for folder_id in some:
            if self._requests.stop or self._requests.sync:
                return []
            if self.needs(folder_id, self.found.status.get(folder_id) or await self.status(folder_id)):
                changed.append(folder_id)
        self.found.status.clear()
        return changed

    async def status(self, folder_id: FolderId) -> MailboxStatus | None:
        """None: it is the selected one, or the server does not tell."""
        if self.chosen == folder_id:  # RFC 3501 6.3.10: never of the selected mailbox
            return None
        try:
            return await self._work.client.status(self._work.folders[folder_id].raw, STATUS_ITEMS)
        except Refused as error:
            if error.failure not in (Failure.FOLDER_MISSING, Failure.REFUSED_COMMAND):
                raise
            return None

    async def backfill(self, some: list[FolderId] | None = None, since: int | None = None) -> None:
        """Older mail, folder after folder; of `some`, and no older than the day `since` (1970-01-01)."""
        work = self._work
        for folder_id in list(self.found.order) if some is None else some:
            if self._requests.stop:
                return
            if work.folders[folder_id].phase == plan.Phase.LIVE.value:
                continue
            one = await self.run(folder_id)
            if one is not None:
                await self._backfill_of(one, folder_id, since)

    async def _backfill_of(self, one: FolderPass, folder_id: FolderId, since: int | None) -> None:
        loop, main = asyncio.get_running_loop(), self.found.order[0]
        while True:
            async with self._turn:
                more = not self._requests.stop and await one.backfill(since)
            if not more or self._requests.stop:
                return
            if await self.renewed():
                if not await one.run():
                    return
                self.chosen = folder_id
            if self.looks_due():
                await self.look()
                if not await one.run():
                    return
                self.chosen = folder_id
            if folder_id == main:
                news = self._work.client.take_news()
                if news.exists is not None or news.expunged or news.vanished or news.fetched:
                    await one.run()
            elif loop.time() - self.main_at >= MAIN_EVERY:
                self.main_at = loop.time()
                status = await self.status(main)
                if status is not None and self.needs(main, status):
                    await self.run(main)
                    if not await one.run():
                        return
                    self.chosen = folder_id
