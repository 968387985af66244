"""Running operations in this process, when no server holds the store."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Mapping

from .client import OnFrame
from .frames import Frame, Json
from .operations import Asker, Context, run


class _LocalStream:
    def __init__(self, feed: AsyncIterable[Frame] | None, on_frame: OnFrame | None) -> None:
        self._feed = aiter(feed) if feed is not None else None
        self._on_frame = on_frame

    async def receive(self) -> Frame | None:
        return None if self._feed is None else await anext(self._feed, None)

    async def send(self, frame: Frame) -> None:
        if self._on_frame is not None:
            await self._on_frame(frame)


class LocalCaller:
    """Runs operations in this process, which holds the data directory's lock (or uses PostgreSQL)."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def call(
        self,
        op: str,
        params: Mapping[str, Json],
        *,
        feed: AsyncIterable[Frame] | None = None,
        on_frame: OnFrame | None = None,
    ) -> Json:
        return await run(self._context, _LocalStream(feed, on_frame), op, dict(params), Asker(os.getuid()))
