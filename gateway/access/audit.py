"""How the record of who did what is kept, whoever asks: in the unit of the change, or right after and never in its way.

`Recorded` stands for the database while one request is served: the first unit that is durable takes the entry along.
What writes by another way, or fails, is noted afterwards; over HTTP by a task of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

import structlog

from gateway.auth.keys import parse
from gateway.model.errors import GatewayError
from gateway.store import audit
from gateway.store.audit import NewEntry
from gateway.store.db import Database, Tx

log = structlog.get_logger(__name__)

T = TypeVar("T")

OK: Final = "ok"
MOST_WAITING: Final = 10_000
"""Entries that wait for the store; while it is away for long, what is more is lost, and the log says so."""
BATCH: Final = 500
RETRY_S: Final = 1.0


def named(values: Iterable[tuple[str, object]]) -> str:
    """`name=value …` for a target. A whole key among them is cut to the part that is no secret."""
    return " ".join(f"{name}={_shown(value)}" for name, value in values)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_shown(one) for one in value[:10])
    text = str(value)
    key = parse(text.strip())
    return text if key is None else key.key_id


@dataclass(slots=True)
class Record:
    """Of one request. `entry` is what to write if it succeeds, asked at that moment."""

    entry: Callable[[], NewEntry]
    written: bool = False


class _Recorded:
    """A database whose first durable unit takes the record along; all else is the database's own."""

    def __init__(self, db: Database, record: Record) -> None:
        self._db = db
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def write(self, unit: Callable[[Tx], T], **how: Any) -> T:
        record = self._record
        if record.written or how.get("staged") or how.get("relaxed"):
            return await self._db.write(unit, **how)
        record.written = True

        def whole(tx: Tx) -> T:
            found = unit(tx)
            audit.insert(tx, (record.entry(),))
            return found

        try:
            return await self._db.write(whole, **how)
        except BaseException:
            record.written = False
            raise


def recorded(db: Database, record: Record) -> Database:
    """`db` for one request."""
    return cast(Database, _Recorded(db, record))


async def write_down(db: Database, entry: NewEntry) -> None:
    """Right after what it is of. A store that does not take it undoes nothing: the log has it then."""
    try:
        await db.write(lambda tx: audit.insert(tx, (entry,)))
    except GatewayError as error:
        log.warning("audit.lost", who=entry.who, what=entry.what, outcome=entry.outcome, reason=str(error))


class AuditLog:
    """Takes entries at once and writes them soon, many in one unit. `run` until `flush`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: deque[NewEntry] = deque()
        self._some = asyncio.Event()

    def note(self, entry: NewEntry) -> None:
        """Never waits."""
        if len(self._waiting) >= MOST_WAITING:
            log.warning("audit.lost", who=entry.who, what=entry.what, outcome=entry.outcome, reason="too many wait")
            return
        self._waiting.append(entry)
        self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            if not await self._write():
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> None:
        """At the end: what is left, as far as the store takes it."""
        while self._waiting and await self._write():
            pass

    async def _write(self) -> bool:
        """Whether the store took what there was."""
        taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        try:
            if taken:
                await self._db.write(lambda tx: audit.insert(tx, taken))
        except GatewayError as error:
            self._waiting.extendleft(reversed(taken))
            log.warning("audit.waits", entries=len(self._waiting), reason=str(error))
            return False
        except BaseException:
            self._waiting.extendleft(reversed(taken))
            raise
        if not self._waiting:
            self._some.clear()
        return True


def failed(entry: NewEntry, outcome: str) -> NewEntry:
    """The same of a request that came to nothing."""
    return replace(entry, outcome=outcome)
