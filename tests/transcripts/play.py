"""Runs the body of a test on a harness of its own, for tests that are no transcripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from .harness import Harness, template


def play(directory: Path, body: Callable[[Harness], Awaitable[None]], **settings: object) -> None:
    """`settings`: of the harness."""
    template()  # before the loop: it runs one of its own

    async def run() -> None:
        async with Harness(directory, **settings) as harness:
            await body(harness)

    asyncio.run(run())
