"""One connection's work: find out what there is, bring it up to date, newest first; then stay and listen.

New mail of the folders that people look at comes first, older mail a window at a time; between two windows whoever
asked for something is served, and the main folder is looked at again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.store.connectors.rows import FolderId
from gateway.upstream.errors import Refused

from . import regrouping
from .looks import NOBODY_S
from .plan import folder as plan
from .push.pusher import push
from .requests import Requests, Stopped
from .rounds import Rounds
from .scope import Scope
from .work import Work

PUSHES: Final = 4


class Session:
    """`turn`: held while a window of older mail is fetched, so that a process has few of them at once."""

    def __init__(self, work: Work, requests: Requests, turn: asyncio.Semaphore) -> None:
        self._work = work
        self._requests = requests
        self._rounds = Rounds(work, requests, turn)
        self._others_at = 0.0
        self._push_due: int | None = None
        self._held = 0
        self.validated = False
        """Everything was compared once: a failure from here on is not the settings' fault."""
        self.whole = False
        """It has once been through everything."""
        self._listens_since: float | None = None
        self.older_since: float | None = None
        """It fetches older mail, since then (the loop's clock): all else was seen."""

    async def sync_only(self, scope: Scope, *, asked_at: float) -> bool:
        """The folders of `scope`, and their older mail as far as it goes. False: the account has none such.

        Where something is gone from them it is looked for in the others, as far as LIST told their STATUS: what was
        only moved would else be gone here before it came, and be another message then.
        """
        work, rounds = self._work, self._rounds
        await rounds.begin()
        chosen = scope.chooser()
        some = [one for one in rounds.found.order if chosen(work.folders[one])]
        work.run.folders = len(some)
        for folder_id, status in rounds.found.status.items() if any(self._lost(one) for one in some) else ():
            known = folder_id in rounds.found.order and work.folders[folder_id].uidvalidity is not None
            if known and folder_id not in some and rounds.needs(folder_id, status):
                await rounds.run(folder_id, arrivals=True)
        await rounds.run_all(some, asked_at)
        self.validated = True
        await self._push()
        await rounds.backfill([one for one in some if one in rounds.found.order], scope.since)
        return bool(some)

    def _lost(self, folder_id: FolderId) -> bool:
        """Something may be gone from it; one that was never opened has nothing to lose."""
        if self._work.folders[folder_id].uidvalidity is None:
            return False
        status = self._rounds.found.status.get(folder_id)
        return status is None or not plan.only_grew(self._rounds.pass_of(folder_id).state(), status)

    async def sync(self, *, asked_at: float = 0.0) -> None:
        """Once through everything, older mail too."""
        work, rounds, loop = self._work, self._rounds, asyncio.get_running_loop()
        looks = work.recall.looks
        await rounds.begin()
        self._others_at = loop.time()
        looks.begin(loop.time())
        found = rounds.found
        await rounds.run_all(
            [one for one in found.order if asked_at or rounds.needs(one, found.status.get(one))], asked_at
        )
        await regrouping.settle(work, found.order)
        looks.done()
        self.validated = True
        await self._push()
        self.older_since = loop.time()
        await rounds.backfill()
        self.older_since = None
        await self._push()
        self._held = len(work.held)
        self.whole = True

    async def _push(self) -> None:
        """What changed here goes up. Folders that it makes are looked at before they are filled."""
        work, rounds = self._work, self._rounds
        if not work.two_way or regrouping.waits(work, rounds.found.order):
            return
        self._requests.push = False
        for _ in range(PUSHES):
            before = work.client.selected
            pushed = await push(work)
            self._push_due = None if pushed.due is None else max(pushed.due, work.now + 1)  # never in a tight loop
            if work.client.selected is not before:
                rounds.chosen = None
            for folder_id in pushed.news:
                if folder_id in rounds.found.order:
                    await rounds.run(folder_id)
            if not pushed.again:
                return
            await rounds.discover()
            await rounds.run_all([one for one in rounds.found.order if work.folders[one].uidvalidity is None])

    def _push_wait(self) -> float:
        """Seconds until something that was put off may go up."""
        return 3600.0 if self._push_due is None else max(0.0, self._push_due - self._work.clock())

    @property
    def quiet_since(self) -> float | None:
        """It only listens, since then (the loop's clock): everything was seen, and nothing is wanted or put off."""
        if not self.whole or self._wanted() or self._push_due is not None or self._work.recall.looks.wanted:
            return None
        return self._listens_since

    async def live(self) -> Stopped:
        """Listen to the main folder, look at the others now and then, until somebody asks for something."""
        work, rounds, requests, loop = self._work, self._rounds, self._requests, asyncio.get_running_loop()
        while True:
            if requests.stop:
                return Stopped.ASKED
            if requests.sync:
                return Stopped.SYNC
            await rounds.renewed()
            if rounds.looks_due():
                await rounds.look()
                continue
            if requests.push or (work.two_way and not self._push_wait()):
                await asyncio.sleep(work.settings.push_after)  # what changes together goes up together
                await self._push()
                if len(work.held) > self._held:
                    self._held = len(work.held)
                    return Stopped.SYNC  # which says that somebody has to confirm it
                continue
            if not rounds.found.order:
                await self._pause(work.settings.others_every)
                await self._sync_others()
                continue
            main = rounds.found.order[0]
            deaf = loop.time() - rounds.main_at >= work.settings.deaf_after
            if rounds.chosen != main or deaf or self._differs():
                await rounds.run(main)
                continue
            self._listens_since = loop.time()
            try:
                await self._listen()
            finally:
                self._listens_since = None
            news = work.client.take_news()
            if (news.expunged or news.vanished) and work.client.has("LIST-STATUS"):
                await self._sync_others()  # to where they were moved, perhaps
            if news.exists is not None or news.expunged or news.vanished or news.fetched:
                await rounds.run(main)
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
        selected, seen = self._work.client.selected, self._rounds.seen
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
        asked = requests.stop or requests.sync or requests.push
        return asked or self._work.line.ready or self._rounds.looks_due()

    async def on_access(self, due: int) -> None:
        """A session for readers who wait: looks, until none comes for a while, a sync is wanted, or one is `due`.

        Unix seconds. Nothing is compared that STATUS does not tell of, no older mail is fetched, nothing goes up.
        """
        work, requests = self._work, self._requests
        loop, looks = asyncio.get_running_loop(), work.recall.looks
        await self._rounds.begin()
        known, last = True, loop.time()
        while not (requests.stop or requests.sync) and work.clock() < due:
            requests.push = False  # what changes here goes up with the next sync
            await self._rounds.renewed()
            if self._rounds.looks_due():
                await self._rounds.look(known=known)
                known, last = False, loop.time()
            left = last + work.settings.look_linger - loop.time()
            if left <= 0 and not looks.wanted:
                return
            await self._pause(min(left if left > 0 else NOBODY_S, looks.pause(loop.time()), due - work.clock()))

    async def _sync_others(self) -> None:
        """STATUS of all, in one command where that is possible; a pass over those in which something happened."""
        rounds = self._rounds
        self._others_at = asyncio.get_running_loop().time()
        await rounds.list_again()
        changed = await rounds.changed(rounds.found.order[1:])
        if self._requests.stop or self._requests.sync:
            return
        await rounds.run_all(changed)
        await rounds.backfill()
