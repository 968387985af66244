"""Operations in the store's list: what is begun, put off, given up; so that nothing is done twice or tried for ever.

An operation that upstream refuses is tried again after a while, RETRIES times, and then given up: both sides stay as
they are, and a note says so. What is put off or given up covers its messages: nobody plans them anew meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from gateway.connectors.work import Work
from gateway.outbound.failure import Failure, refuses_login
from gateway.store.connectors import ops
from gateway.store.connectors.ops import Op, OpState
from gateway.store.connectors.rows import FolderId
from gateway.store.db import Tx
from gateway.upstream.errors import Refused

RETRIES: Final = 5
_GROWTH: Final = 4
_PAGE: Final = 200
MOVE, COPY, TRASH, EXPUNGE, APPEND = "move", "copy", "trash", "expunge", "append"
CREATE, RENAME, REMOVE, SENT, LABEL = "create", "rename", "remove", "sent", "label"


@dataclass(frozen=True, slots=True)
class Item:
    """A message of an operation: its UID upstream (0: it has none yet), and what stands for it here afterwards."""

    uid: int
    place: tuple[int, int] | None = None
    email: str = ""

    def as_json(self) -> list[Any]:
        return [self.uid, *(self.place or (0, 0)), self.email]

    @classmethod
    def of_json(cls, value: Sequence[Any]) -> Item:
        uid, mailbox, local, email = value
        return cls(uid, (mailbox, local) if mailbox else None, email)


class Standing(Enum):
    FREE = auto()
    WAITING = auto()
    GIVEN_UP = auto()


def items_of(op: Op) -> list[Item]:
    return [Item.of_json(one) for one in op.payload.get("items", ())]


def key_of(kind: str, folder: int, validity: int, items: Sequence[Item], to: int | None = None) -> str:
    """What an operation is about. An append is about the message here, all others about the one upstream."""
    first = items[0]
    where = f"{folder}:{validity}:{first.uid}"
    if kind in (APPEND, COPY) and first.place is not None:
        where = f"{first.place[0]}:{first.place[1]}"
    return f"{kind}:{where}:{to or 0}" + (f":{len(items)}" if len(items) > 1 else "")


@dataclass
class Ledger:
    """Of one push. `used`: keys that were begun in it. `news`: folders that hold what pull has to take in."""

    work: Work
    open: list[Op] = field(default_factory=list)
    covered: dict[tuple[Any, ...], Standing] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    news: set[FolderId] = field(default_factory=set)

    @classmethod
    async def read(cls, work: Work) -> Ledger:
        found = cls(work)
        connector = work.claim.connector_id
        found.open = await work.db.read(lambda rx: ops.open_ops(rx, connector, 2_000))
        after = 0
        while True:
            page = await work.db.read(
                lambda rx, after=after: ops.page(rx, connector, OpState.FAILED, after, _PAGE)  # type: ignore[misc]
            )
            for op in page:
                found._cover(op, Standing.GIVEN_UP)
            if len(page) < _PAGE:
                break
            after = page[-1].id
        for op in found.open:
            if op.state is OpState.STARTED or op.not_before > work.now:
                found._cover(op, Standing.WAITING)
        return found

    def _cover(self, op: Op, standing: Standing) -> None:
        for item in items_of(op):
            self.covered[self._message(op.kind, op.payload.get("folder", 0), op.payload.get("validity", 0), item)] = (
                standing
            )
        if op.kind in (CREATE, RENAME, REMOVE):
            self.covered[op.kind, op.key] = standing

    def cover_places(self, items: Iterable[Item]) -> None:
        """Nothing is appended for these: they are there, and nobody can tell which they are."""
        for item in items:
            self.covered[self._message(APPEND, 0, 0, item)] = Standing.GIVEN_UP

    @staticmethod
    def _message(kind: str, folder: int, validity: int, item: Item) -> tuple[Any, ...]:
        if kind in (APPEND, COPY):
            return "place", item.place
        return folder, validity, item.uid

    def standing(self, kind: str, folder: int, validity: int, item: Item) -> Standing:
        return self.covered.get(self._message(kind, folder, validity, item), Standing.FREE)

    def standing_of(self, kind: str, key: str) -> Standing:
        return self.covered.get((kind, key), Standing.FREE)

    async def begin(self, kind: str, key: str, payload: Mapping[str, Any], evidence: Mapping[str, Any]) -> Op:
        """Committed as started: from here on it may have been done."""
        work = self.work
        self.used.add(key)

        def unit(tx: Tx) -> Op:
            planned = ops.plan(tx, work.claim, key, kind, payload, now=work.now)
            return ops.start(tx, work.claim, planned.id, evidence, now=work.now)

        return await work.unit(unit)

    async def finish(self, op: Op) -> None:
        work = self.work
        await work.unit(lambda tx: ops.finish(tx, work.claim, op.id, now=work.now))

    async def give_up(self, op: Op, failure: str, reason: str) -> None:
        work = self.work
        work.run.note(f"{describe(op)} is given up: {reason}")
        self._cover(op, Standing.GIVEN_UP)
        await work.unit(lambda tx: ops.fail(tx, work.claim, op.id, failure, reason, now=work.now))

    async def put_off(self, op: Op, error: Refused | None = None, *, reason: str = "") -> None:
        """Upstream refused it, so it was not done; without `error` nobody knows. What the server wants for all of us
        (to be left alone, another login) is raised again."""
        work = self.work
        failure = error.failure.value if error is not None else Failure.LOST.value
        reason = reason or (error.said or str(error) if error is not None else "")
        if op.attempts >= RETRIES and not (error is not None and error.failure is Failure.THROTTLED):
            await self.give_up(op, failure, reason)
        else:
            wait = work.settings.push_retry * _GROWTH ** max(0, op.attempts - 1)
            at = int(work.clock() + wait)
            self._cover(op, Standing.WAITING)
            await work.unit(
                lambda tx: ops.put_off(
                    tx, work.claim, op.id, failure, reason, not_before=at, not_done=error is not None, now=work.now
                )
            )
        if error is not None and (error.failure is Failure.THROTTLED or refuses_login(error.failure)):
            raise error

    async def drop_unwanted(self) -> None:
        """Planned operations that nothing asks for any more: the message changed again, or is gone."""
        for op in self.open:
            due = op.state is OpState.PLANNED and op.not_before <= self.work.now
            if due and op.kind != SENT and op.key not in self.used:
                await self.finish(op)


def describe(op: Op) -> str:
    """For people."""
    count = len(op.payload.get("items", ()))
    return f"{op.kind} of {count} messages" if count else f"{op.kind} {op.payload.get('name', '')}"


def free(ledger: Ledger, kind: str, folder: int, validity: int, items: Iterable[Item]) -> tuple[list[Item], bool]:
    """Those that nothing covers; and whether any waits for another try."""
    found, waiting = [], False
    for item in items:
        standing = ledger.standing(kind, folder, validity, item)
        if standing is Standing.FREE:
            found.append(item)
        waiting |= standing is Standing.WAITING
    return found, waiting
