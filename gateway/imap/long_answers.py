"""Answers of a million numbers: made beside the loop, and sent a piece at a time.

Short ones, nearly all, are made where they are sent. A thread shares the interpreter in turns of 5 ms, so whoever makes
an answer there must not hold it in one call: columns are cut before they are handed to what is written in C.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from .settings import BODY_READ

if TYPE_CHECKING:
    from .session import Session

T = TypeVar("T")

SHORT: Final = 20_000
"""Results that are made to an answer on the loop: up to 20 ms."""


async def beside(count: int, make: Callable[[], T]) -> T:
    """`make()`, where `count` results go into it.

    Of a view it may read UIDs and numbers, which stay while a command runs; not flags or MODSEQs, which do not.
    """
    return make() if count <= SHORT else await asyncio.to_thread(make)


async def send(session: Session, response: bytes) -> None:
    """Nothing else may come between the pieces; a session that ends meanwhile just ends. Closed."""
    channel = session.channel
    if len(response) <= BODY_READ:
        channel.send(response)
        return
    channel.in_literal = True
    try:
        for at in range(0, len(response), BODY_READ):
            channel.send(response[at : at + BODY_READ])
            await channel.breathe()
    finally:
        channel.in_literal = False
