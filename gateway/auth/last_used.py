"""When each key was last used, written in batches: a login costs no write of its own."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ids import KeyId
from gateway.store import keys
from gateway.store.db import Database, Tx
from gateway.store.keys import KeyRow

log = structlog.get_logger(__name__)

GRAIN: Final = 60  # seconds: a script that logs in each second costs one row a minute


class LastUsed:
    """Gathers uses and writes them every `interval` seconds while `run` runs, and once more at `flush`.

    A crash forgets at most one interval: the time informs people and decides nothing.
    """

    def __init__(self, db: Database, interval: float = 5.0) -> None:
        self._db = db
        self._interval = interval
        self._uses: dict[KeyId, int] = {}

    def note(self, key: KeyRow, now: float) -> None:
        """The key has just been used, at Unix time `now`."""
        if now - (key.last_used_at or 0) >= GRAIN:
            self._uses[key.id] = int(now)

    async def flush(self) -> None:
        """Write what was gathered. An outage is logged and the uses are kept for the next time."""
        if not self._uses:
            return
        uses, self._uses = self._uses, {}

        def unit(tx: Tx) -> None:
            keys.touch(tx, uses)

        try:
            await self._db.write(unit)
        except GatewayError as error:
            self._uses = uses | self._uses
            log.warning("auth.last_used_not_written", keys=len(uses), error=str(error))

    async def run(self) -> None:
        """Flush for ever; cancel it to stop, then call `flush` once more."""
        while True:
            await asyncio.sleep(self._interval)
            await self.flush()
