"""Looks through the queue for what is due, and tells it by next hop: a whole look now and then, news in between.

News are what was queued since, by number, which is asked for with each wake-up and costs what is new; and what became
due by time, or is somebody's no more, which costs what the last seconds brought and is asked for once a second.

What it finds is a plan, not the truth: a row may be found twice or be gone by the time it is claimed, and the claim
sorts that out. A row missed (its commit took longer than the margin, another process gave it back) is found by the
next whole look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from gateway.store import queue_claim
from gateway.store.db import Database
from gateway.store.queue_claim import Due, DueState

from .lanes import Lanes

PAGE: Final = 500  # rows a read: their ways are looked up on the loop, with many rules in 20 us each
RECENT: Final = 2_000  # rows remembered beyond the margin before they are forgotten
MARGIN_S: Final = 5  # news are looked for so far back: a row is dated before its commit
_STATES: Final[tuple[DueState, ...]] = ("queued", "deferred")


class Scout:
    """`hop_of` names the next hop of a row."""

    def __init__(self, db: Database, hop_of: Callable[[Due], str]) -> None:
        self._db = db
        self._hop_of = hop_of
        self._until: int | None = None
        self._forgotten = 0
        self._last = 0  # the highest number that was seen
        self._arrived = -1  # when arrivals were asked for
        self._recent: dict[int, int] = {}

    @property
    def looked(self) -> bool:
        """A whole look has been made since `forget`."""
        return self._until is not None

    @property
    def until(self) -> int:
        """All that was due at this moment has been seen; -1 before the first look."""
        return -1 if self._until is None else self._until

    @property
    def arrived(self) -> int:
        """All that was queued by this moment has been seen, or what `until` says."""
        return max(self._arrived, self.until)

    def forget(self) -> None:
        """Begin with a whole look: what was found was for other routes, and so is what a look finds that has begun."""
        self._until = None
        self._forgotten += 1

    def claimed(self, recipient_ids: Iterable[int]) -> None:
        """These are under way; when one is due again, it is news."""
        for number in recipient_ids:
            self._recent.pop(number, None)

    def given_back(self, recipient_ids: Iterable[int], now: int) -> None:
        """These wait again, and their lanes know it."""
        for number in recipient_ids:
            self._recent[number] = now

    async def everything(self, now: int) -> dict[str, Lanes]:
        """All that is due, in place of what was known. Unavailable."""
        begun = self._forgotten
        self._recent = {}
        found: dict[str, Lanes] = {}
        self._last = await self._db.read(queue_claim.last_number)
        for state in _STATES:
            await self._pages(state, now, (-1, 0), found)
        await self._lapsed(now, found)
        self._seen(now, begun)
        return found

    def _seen(self, now: int, begun: int) -> None:
        if begun == self._forgotten:
            self._until = now

    async def arrivals(self, now: int, known: Callable[[str], Lanes]) -> int:
        """What was queued since the last look, into the lanes that `known` gives by name; how many. Unavailable.

        With several processes a row may be committed behind one of a higher number: `news` finds it.
        """
        count = 0
        self._arrived = now
        while True:
            # The number first: what is committed between the two is in the page, or behind the number.
            last, page = await self._db.read(
                lambda rx: (queue_claim.last_number(rx), queue_claim.fresh(rx, now, PAGE, self._last))
            )
            count += self._sort(page, now, {}, known)
            if len(page) < PAGE:
                # Beyond those that are due: thousands that wait for their time are not walked with each wake-up.
                self._last = max([self._last, last, *(due.recipient_id for due in page[-1:])])
                return count
            self._last = page[-1].recipient_id

    async def news(self, now: int, known: Callable[[str], Lanes]) -> int:
        """What became due since the last time, into the lanes that `known` gives by name; how many. Unavailable."""
        since, begun = self._until, self._forgotten
        if since is None or now < since:  # a clock set back: what is between was not due before, and is not now
            since = now
        found: dict[str, Lanes] = {}
        count = 0
        for state in _STATES:
            count += await self._pages(state, now, (since - MARGIN_S, 0), found, known)
        count += await self._lapsed(now, found, known)
        self._seen(now, begun)
        if len(self._recent) > RECENT:
            self._recent = {number: at for number, at in self._recent.items() if at >= now - MARGIN_S}
        return count

    async def _pages(
        self,
        state: DueState,
        now: int,
        after: tuple[int, int],
        found: dict[str, Lanes],
        known: Callable[[str], Lanes] | None = None,
    ) -> int:
        count = 0
        while True:
            start = after
            page = await self._db.read(lambda rx: queue_claim.due_page(rx, state, now, PAGE, start))  # noqa: B023
            count += self._sort(page, now, found, known)
            if len(page) < PAGE:
                return count
            after = (page[-1].at, page[-1].recipient_id)

    async def _lapsed(
        self, now: int, found: dict[str, Lanes], known: Callable[[str], Lanes] | None = None
    ) -> int:
        count = after = 0
        while True:
            start = after
            page = await self._db.read(lambda rx: queue_claim.lapsed(rx, now, PAGE, start))  # noqa: B023
            count += self._sort(page, now, found, known, lapsed=True)
            if len(page) < PAGE:
                return count
            after = page[-1].recipient_id

    def _sort(
        self,
        page: list[Due],
        now: int,
        found: dict[str, Lanes],
        known: Callable[[str], Lanes] | None,
        *,
        lapsed: bool = False,
    ) -> int:
        recent, edge = self._recent, now - MARGIN_S
        count = 0
        for due in page:
            if due.recipient_id in recent and known is not None:
                continue
            if lapsed:  # whose own time means nothing any more
                recent[due.recipient_id] = now
            elif due.at >= edge:
                recent[due.recipient_id] = due.at
            name = self._hop_of(due)
            lanes = found.get(name)
            if lanes is None:
                lanes = found[name] = Lanes() if known is None else known(name)
            lanes.add(due.inbox_id, due.submission_id, due.recipient_id)
            count += 1
        return count
