"""Running a command's coroutine so that SIGINT (Ctrl-C) always ends the command.

`asyncio.run` alone leaves three ways to hang. Its handler is one of the interpreter's, which runs between two steps of
it: a signal that comes just before the loop goes to sleep, or is given to another thread, is noticed when something
else wakes the loop, and nothing may. It waits for its threads at the end, and so does the interpreter: one that writes
to a pipe which nobody reads, or to a disk that does not answer, is waited for without end. And what cleans up may
wait too. So the signal wakes the loop through its own pipe, and the end has a limit: whatever is cut then can be, for
the store and all files are right after a kill at any moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Coroutine
from types import FrameType
from typing import Any, Final, TypeVar

T = TypeVar("T")

EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count
END_S: Final = 5.0
"""Seconds from the first SIGINT to the end of the process at the latest. A second one ends it at once."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`. KeyboardInterrupt when SIGINT ended it.

    Where SIGINT is ignored, as a shell has it for what it starts in the background, it stays ignored.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return asyncio.run(work)
    interrupt = _Interrupt()
    try:
        return asyncio.run(interrupt.main(work))
    except BaseException:
        if interrupt.heard:  # whatever its cleaning up stumbled over
            raise KeyboardInterrupt from None
        raise
    finally:
        interrupt.end()
        work.close()  # the signal may have come before it began


class _Interrupt:
    """Of one run. A thread that is there from the beginning keeps the limit: the loop may be busy, with imports too."""

    def __init__(self) -> None:
        self.heard = False
        self._alarm, self._bell = os.pipe()
        threading.Thread(target=self._watch, daemon=True).start()

    async def main(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        # This has signals wake the loop, and cancels in a turn of it; ours after it, which hears at any moment.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
        signal.signal(signal.SIGINT, self._hear)
        return await work

    def end(self) -> None:
        """Nothing is left to be waited for, unless it was interrupted: then the process is about to end."""
        if not self.heard:
            os.close(self._bell)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            os._exit(EXIT_INTERRUPTED)
        self.heard = True
        os.write(self._bell, b".")

    def _watch(self) -> None:
        if os.read(self._alarm, 1):
            # The limit itself; nothing is waited for that may be there sooner. A process that ends by itself takes a
            # daemon thread along, asleep as it is, and a sleep needs no loop, which may be the very thing that hangs.
            time.sleep(END_S)
            os._exit(EXIT_INTERRUPTED)
        os.close(self._alarm)
