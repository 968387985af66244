"""`sync.on_access`: whose readers wait for a look at an account, and for how long (`model.ports.Freshness`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.connectors.options import Options
from gateway.model.ids import InboxId, MailboxId
from gateway.store.connectors.rows import ConnectorId, ConnectorRow

log = structlog.get_logger(__name__)

RESPITE_S: Final = 30.0
"""An account that was not seen in time is looked at on, and nobody waits for it: else each command would, in turn."""

Look = Callable[[ConnectorId, MailboxId | None], Awaitable[bool]]
"""`Supervisor.look`."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A connector whose readers wait, `seconds` at most."""

    inbox_id: InboxId
    connector_id: ConnectorId
    seconds: int


def watched(row: ConnectorRow, options: Options) -> Watched | None:
    """None: nobody waits for it. An import ends once, and what is not synced by itself is not by a reader either."""
    sync = options.sync
    if not (row.enabled and options.imap.enabled and sync.enabled and sync.on_access) or sync.mode == "import":
        return None
    return Watched(row.inbox_id, row.id, sync.on_access)


class OnAccess:
    """One a process. Whoever reads the connectors' options gives what it found to `take`."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._by_inbox: dict[InboxId, list[Watched]] = {}
        self._late: dict[ConnectorId, float] = {}

    def take(self, found: Iterable[Watched]) -> None:
        """From now on it is these."""
        table: dict[InboxId, list[Watched]] = {}
        for one in found:
            table.setdefault(one.inbox_id, []).append(one)
        self._by_inbox = table
        there = {one.connector_id for some in table.values() for one in some}
        self._late = {number: until for number, until in self._late.items() if number in there}

    def wanted(self, inbox_id: InboxId, /) -> bool:
        return inbox_id in self._by_inbox

    async def look(self, inbox_id: InboxId, mailbox_id: MailboxId | None, /) -> None:
        some = self._by_inbox.get(inbox_id, ())
        await asyncio.gather(*(self._one(one, mailbox_id) for one in some))

    async def _one(self, one: Watched, mailbox_id: MailboxId | None) -> None:
        number, loop = one.connector_id, asyncio.get_running_loop()
        if loop.time() < self._late.get(number, 0.0):
            return
        try:
            async with asyncio.timeout(one.seconds):
                await self._look(number, mailbox_id)
        except TimeoutError:
            self._late[number] = loop.time() + RESPITE_S
            log.info("connectors.look_late", connector=number, seconds=one.seconds)
        except Exception:  # a defect: it is told, and the reader has what is here
            log.exception("connectors.look_failed", connector=number)
        else:
            self._late.pop(number, None)
