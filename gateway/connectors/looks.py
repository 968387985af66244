"""Who wants a look at an account because somebody reads its mail here now, and which look answers whom."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.model.ids import MailboxId

NOBODY_S: Final = 86_400.0
"""As `pause`: nobody waits."""


class Looks:
    """Of one connector, for as long as the process lives. `now`: seconds of the loop's clock.

    A question is answered by a look that begins after it, so whatever was in the account then has been seen; those who
    ask before one begins share it. Two begin `every` seconds apart at least, and what was seen stands for as long: so a
    client's SELECT and the SEARCH behind it are one look.
    """

    __slots__ = ("_began", "_every", "_running", "_seen", "_waiting")

    def __init__(self, every: float = 2.0) -> None:
        self._every = every
        self._began: float | None = None
        self._seen = False  # the last look ended well
        self._waiting: list[tuple[MailboxId | None, asyncio.Future[bool]]] = []
        self._running: list[asyncio.Future[bool]] = []

    def ask(self, mailbox: MailboxId | None, now: float) -> asyncio.Future[bool]:
        """Wait for a look, first of all at `mailbox`; None: at all of them. False: there is none."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._seen and not self._running and self._too_soon(now):
            future.set_result(True)
        else:
            self._waiting.append((mailbox, future))
        return future

    @property
    def wanted(self) -> bool:
        """Somebody waits for one that has not begun; who gave up does not."""
        return any(not future.done() for _, future in self._waiting)

    def pause(self, now: float) -> float:
        """Seconds until the next one is to begin."""
        if not self.wanted:
            return NOBODY_S
        return max(0.0, self._began + self._every - now) if self._began is not None else 0.0

    def due(self, now: float) -> bool:
        return self.pause(now) == 0

    def begin(self, now: float) -> set[MailboxId | None]:
        """A look at everything, or a whole sync, begins; which mailboxes somebody waits for."""
        wanted = {mailbox for mailbox, future in self._waiting if not future.done()}
        self._running += [future for _, future in self._waiting]
        self._waiting = []
        self._began, self._seen = now, False
        return wanted

    def done(self) -> None:
        """It has ended well."""
        self._seen = True
        _answer(self._running, True)

    def stop(self, *, again: bool = False) -> None:
        """Nobody looks any more. `again`: another session may, at what nobody has begun with."""
        _answer(self._running, False)
        if not again:
            waiting, self._waiting = [future for _, future in self._waiting], []
            _answer(waiting, False)

    def _too_soon(self, now: float) -> bool:
        return self._began is not None and 0 <= now - self._began < self._every


def _answer(futures: list[asyncio.Future[bool]], answer: bool) -> None:
    """And forget them."""
    for future in futures:
        if not future.done():
            future.set_result(answer)
    futures.clear()
