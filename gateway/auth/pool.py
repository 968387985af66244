"""Key hashing off the loop: a few threads of their own, and a queue that has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gateway.model.errors import Unavailable

from . import keys

THREADS: Final = 2
WAITING: Final = 4096  # about 4 s of hashing on two threads: whoever came later would time out anyway


def _always() -> None:
    return None


class HashPool:
    """Runs argon2id in `threads` threads; at most `waiting` checks wait for one, further ones get Unavailable.

    Unavailable and not a refusal: a client deletes a stored password that was refused (RFC 5530 AUTHENTICATIONFAILED).
    """

    def __init__(
        self,
        threads: int = THREADS,
        waiting: int = WAITING,
        *,
        verify: Callable[[str, str], bool] = keys.verify_secret,
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="hash")
        self._turns = asyncio.Semaphore(threads)
        self._waiting = 0
        self._limit = waiting
        self._verify = verify

    @property
    def waiting(self) -> int:
        """Checks that wait for a thread."""
        return self._waiting

    async def verify(self, stored: str, secret: str, *, at_turn: Callable[[], None] = _always) -> bool:
        """Whether `secret` has the hash `stored`.

        `at_turn` is called on the loop just before the hash is computed and may raise: so the failures of a burst
        count against those of the same burst that still wait. Unavailable when the queue is full.
        """
        if self._waiting >= self._limit:
            raise Unavailable("Too many logins at once; try again in a moment")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            at_turn()
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._verify, stored, secret)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Drop what has not begun and let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
