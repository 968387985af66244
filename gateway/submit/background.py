"""Work of acceptance that may outlive the connection that began it."""

from __future__ import annotations

import asyncio
import traceback

import structlog

from gateway.model.errors import GatewayError

log = structlog.get_logger(__name__)


class Background:
    """Owns tasks and sees their failures. One a process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def keep(self, task: asyncio.Task[object]) -> None:
        """Owns a task that outlives its caller, and sees its failure."""
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, GatewayError):
            log.info("submit.not_accepted", kind=type(error).__name__, reason=str(error))
        else:  # without its text, which may hold mail; the session, if it is still there, gives it an id
            stack = traceback.extract_tb(error.__traceback__)[-8:]
            frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in stack]
            log.error("submit.defect", kind=type(error).__name__, frames=frames)

    async def drain(self) -> None:
        """Waits for what was begun: called after the listeners are closed, before the database is."""
        while self._tasks:
            await asyncio.wait(self._tasks)
