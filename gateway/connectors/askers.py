"""Who waits for syncs of one connector, and what each of them sees."""

from __future__ import annotations

import asyncio
import uuid as uuids
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .progress import SyncRun
from .scope import EVERYTHING, Scope, joined

Log = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Of one sync that somebody waits for. `failure`: a class and what it said, None: it went well."""

    run: SyncRun
    failure: str | None = None
    message: str = ""
    log: Log = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Asker:
    """`joined`: the run that was under way when he asked, and then was as `had`."""

    told: Callable[[SyncRun], None] | None
    future: asyncio.Future[SyncResult]
    scope: Scope
    joined: SyncRun
    had: SyncRun

    def seen(self, run: SyncRun) -> SyncRun:
        """What came since he asked, of which `run` is the end."""
        return run if run is self.joined else run.after(self.joined, self.had)


def _new_run(tellers: list[Callable[[SyncRun], None]]) -> SyncRun:
    return SyncRun(str(uuids.uuid4()), tellers)


class Askers:
    """Of one worker. `run`: the sync that is under way, or was last; `scope`: what it is of."""

    __slots__ = ("_served", "_waiting", "run", "scope")

    def __init__(self) -> None:
        self._waiting: list[_Asker] = []
        self._served: list[_Asker] = []
        self.run = _new_run([])
        self.scope = EVERYTHING

    def ask(self, told: Callable[[SyncRun], None] | None, scope: Scope) -> asyncio.Future[SyncResult]:
        """The future ends with the first sync that begins after this; `told` hears of what runs until then too."""
        future: asyncio.Future[SyncResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asker(told, future, scope, self.run, self.run.so_far()))
        if told is not None:
            self.run.tellers.append(told)
        return future

    @property
    def waiting(self) -> bool:
        """Somebody asked for a sync that has not begun."""
        return bool(self._waiting)

    @property
    def any(self) -> bool:
        return bool(self._served or self._waiting)

    def begin(self, *, whole: bool) -> SyncRun:
        """A sync begins, of everything where `whole`: who asked until now is served by it."""
        self._served += self._waiting
        self._waiting = []
        self.scope = EVERYTHING if whole else joined([asker.scope for asker in self._served])
        self.run = _new_run([asker.told for asker in self._served if asker.told is not None])
        return self.run

    @property
    def served(self) -> bool:
        """Somebody waits for the sync that runs."""
        return bool(self._served)

    def answer(
        self, failure: str | None, message: str, log: Callable[[], Log], *, everybody: bool = False
    ) -> None:
        """The sync has ended; with `everybody` no other one will begin."""
        served, self._served = self._served, []
        if everybody:
            served, self._waiting = served + self._waiting, []
        lines = log() if served else ()
        for asker in served:
            if not asker.future.done():
                asker.future.set_result(SyncResult(asker.seen(self.run), failure, message, lines))
