"""When work in the background goes on: it waits for mail and the quiet after it; beside mail it takes half the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.store.db import Database, Wake, WakeKind


class Pace:
    """One task's. `quiet`: seconds without mail after which it has the store to itself."""

    def __init__(self, db: Database, quiet: float) -> None:
        self._db = db
        self._quiet = quiet
        self._woken = asyncio.Event()
        self._mail_at = float("-inf")

    def listen(self) -> Callable[[], None]:
        """Hear of mail from now on; returns the way to stop it."""

        def woken(wake: Wake) -> None:
            if wake.kind is WakeKind.MAIL:
                self._mail_at = _now()
                self._woken.set()

        return self._db.subscribe(woken)

    def begin(self) -> None:
        """A round of work begins: what comes from now on is the next one's."""
        self._woken.clear()

    def wake(self) -> None:
        """There is work, though no mail has come."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Until mail has come since `begin`, or `seconds` are over."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def settle(self, longest: float) -> None:
        """Until it is quiet, or `longest` seconds are over."""
        until = _now() + longest
        while (rest := min(until, self._mail_at + self._quiet) - _now()) > 0:  # noqa: ASYNC110 - see below
            await asyncio.sleep(rest)  # not until the next wake-up: among thousands each would cost a turn of the loop

    async def share(self, began: float) -> None:
        """While mail comes: rest for as long as was worked since `began`, on the loop's clock."""
        now = _now()
        if now - self._mail_at < self._quiet:
            await asyncio.sleep(now - began)


def _now() -> float:
    return asyncio.get_running_loop().time()
