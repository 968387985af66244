"""A look at an account because somebody reads its mail here now: who has it, and who is asked to look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.model.errors import NotFound, Unavailable
from gateway.model.ids import MailboxId
from gateway.model.ports import Clock
from gateway.store.connectors import accounts
from gateway.store.connectors.rows import ConnectorId, ConnectorRow, ConnectorState, LeaseLost
from gateway.store.db import Database

from .recall import Recall
from .worker import Worker

log = structlog.get_logger(__name__)

ASK_OWNER_S: Final = 30
"""Another node's session is asked for a whole sync, which compares everything: not for each reader."""
_WELL: Final = frozenset(
    (ConnectorState.LIVE, ConnectorState.POLLING, ConnectorState.SYNCING, ConnectorState.CONFIRM)
)


class OnAccess:
    """Part of a `Supervisor`. `running`: who works on a connector now; `claimed`: who does or would from now on."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        recall: Callable[[ConnectorId], Recall],
        running: Callable[[ConnectorId], Worker | None],
        claimed: Callable[[ConnectorId], Awaitable[Worker | None]],
    ) -> None:
        self._db = db
        self._clock = clock
        self._recall = recall
        self._running = running
        self._claimed = claimed
        self._calls: dict[ConnectorId, asyncio.Task[None]] = {}
        self._asked: dict[ConnectorId, float] = {}
        self.open = False
        """This process works on connectors."""

    async def look(self, number: ConnectorId, mailbox_id: MailboxId | None) -> bool:
        """See `Supervisor.look`."""
        if not self.open:
            return False
        looked = self._recall(number).looks.ask(mailbox_id, asyncio.get_running_loop().time())
        if not looked.done():
            self._call(number)
        return await looked

    def ended(self, number: ConnectorId) -> None:
        """A worker is over; who asked it too late wants another one."""
        looks = self._recall(number).looks
        if not self.open:
            looks.stop()
        elif looks.wanted:
            self._call(number)

    async def close(self) -> None:
        """Nobody waits any more."""
        self.open = False
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _call(self, number: ConnectorId) -> None:
        worker = self._running(number)
        if worker is not None and not worker.ending:
            worker.requests.ask()
        elif number not in self._calls:
            # A task of its own: a reader gives up, and what was claimed for it must get its worker all the same.
            task = asyncio.get_running_loop().create_task(self._find(number), name=f"connector-look-{number}")
            self._calls[number] = task
            task.add_done_callback(lambda task: self._found(number, task))

    def _found(self, number: ConnectorId, task: asyncio.Task[None]) -> None:
        del self._calls[number]
        looks = self._recall(number).looks
        if task.cancelled():  # perhaps before its first step, so that nothing of it has run
            looks.stop()
        elif task.exception() is not None:
            log.error("connectors.look_failed", connector=number, exc_info=task.exception())
        if self.open and looks.wanted:  # somebody asked when it had answered already
            self._call(number)

    async def _find(self, number: ConnectorId) -> None:
        """Have somebody look, or say to all who wait that nobody does."""
        worker: Worker | None = None
        try:
            row = await self._db.read(lambda rx: accounts.get(rx, number))
            if _may_look(row):
                worker = await self._claimed(number)
                if worker is None and row.node_id is not None:
                    await self._ask_owner(number)
        except (NotFound, Unavailable, LeaseLost) as error:
            log.info("connectors.no_look", connector=number, reason=str(error))
        finally:
            if worker is None:
                self._recall(number).looks.stop()
            else:
                worker.requests.ask()

    async def _ask_owner(self, number: ConnectorId) -> None:
        now = self._clock()
        if 0 <= now - self._asked.get(number, 0.0) < ASK_OWNER_S:
            return
        self._asked[number] = now
        await self._db.write(lambda tx: accounts.ask_sync(tx, number, now=int(now)))


def _may_look(row: ConnectorRow) -> bool:
    """Not where something is to be waited out, or somebody has to do something; nor before the first sync, which comes
    by itself."""
    return row.enabled and row.state in _WELL and row.last_success_at is not None
