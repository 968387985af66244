"""The rest of a coroutine that was driven by hand up to its first wait, for a task to go on with."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, None], waiting: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was driven by hand and now waits for `waiting`."""
    step: Callable[[Any], Any]
    argument: Any
    while True:
        try:
            sent = yield waiting
        except BaseException as raised:  # handed to the coroutine, which owns it
            step, argument = coroutine.throw, raised
        else:
            step, argument = coroutine.send, sent
        try:
            waiting = step(argument)
        except StopIteration:
            return


async def rest(coroutine: Coroutine[Any, Any, None], waiting: Any) -> None:
    await _resumed(coroutine, waiting)
