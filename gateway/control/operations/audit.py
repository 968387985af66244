"""The record of who did what, for who administers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Final

from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest
from gateway.store import audit
from gateway.store.audit import Entry, Filter
from gateway.store.db import Rx

from .registry import Context, Stream, operation
from .values import moment

MOST: Final = 1_000
LONGEST_WAIT_S: Final = 60
LOOK_S: Final = 0.5
"""Entries come without a wake-up, so that recording costs those who change something nothing more."""


@operation("audit.list")
async def audit_list(
    context: Context, stream: Stream, *, who: str = "", via: str = "", what: str = "", failed: bool = False,
    limit: int = 50, after: int | None = None, wait: int = 0,
) -> Json:
    """The last `limit` entries, the oldest first; with `after` those above that number, for which it waits so long.

    `last`: the highest number there is.
    """
    if not 0 < limit <= MOST or not 0 <= wait <= LONGEST_WAIT_S:
        raise InvalidRequest(f"limit is from 1 to {MOST}, wait from 0 to {LONGEST_WAIT_S}")
    wanted = Filter(who, via, what, failed)

    def query(rx: Rx) -> tuple[list[Entry], int]:
        if after is None:
            return audit.latest(rx, wanted, limit), audit.last(rx)
        return audit.after(rx, wanted, after, limit), audit.last(rx)

    left = float(wait)
    while True:
        found, last = await context.db.read(query)
        if found or left <= 0:
            return {"entries": [asdict(entry) | {"at": moment(entry.at)} for entry in found], "last": last}
        await asyncio.sleep(LOOK_S)
        left -= LOOK_S
