"""What a claim costs does not depend on how much waits: counted in steps of SQLite's machine, never in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

from gateway.store import content, queue_claim, queue_outcome, sqlite, submissions
from gateway.store.db import Database, Tx, open_database
from gateway.store.queue import QueueState
from gateway.store.queue_outcome import Result
from gateway.store.statements import DialectName, Stmt

from .helpers import NOW, make_inbox, staged, submission

CLAIMED = 20


async def _fill(db: Database, count: int) -> None:
    inbox = await make_inbox(db)
    made = staged(b"a: b\r\n\r\nbody")

    def unit(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        for first in range(0, count, 50):
            people = [f"{number}@slow.test" for number in range(first, first + 50)]
            submissions.enqueue(tx, submission(inbox.id, inbox.address, made, people), NOW)

    await db.write(unit)


class _Counting(Tx):
    """A transaction on a connection whose steps are counted."""

    dialect: ClassVar[DialectName] = "sqlite"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._connection = sqlite.connect(path, reading=False)
        self.steps = 0
        self._connection.set_progress_handler(self._step, 1)

    def _step(self) -> int:
        self.steps += 1
        return 0

    def all(self, stmt: Stmt, /, **params: Any) -> list[tuple[Any, ...]]:
        compiled = stmt.for_sqlite()
        for name in compiled.lists:
            params[name] = str(list(params[name]))
        return list(self._connection.execute(compiled.sql, params))

    def do(self, stmt: Stmt, /, **params: Any) -> None:
        self.all(stmt, **params)

    def run(self, stmt: Stmt, /, **params: Any) -> int:
        return len(self.all(stmt, **params))

    def close(self) -> None:
        self._connection.close()


def _steps(url: str, path: Path, count: int) -> tuple[int, int]:
    """Of a claim, and of its outcomes, in a queue of `count` due recipients."""

    async def filled() -> None:
        db = open_database(url)
        await db.start()
        try:
            await _fill(db, count)
        finally:
            await db.close()

    asyncio.run(filled())
    tx: Any = _Counting(path)
    items = queue_claim.claim(tx, list(range(1, CLAIMED + 1)), NOW, 60, "me")
    assert len(items) == CLAIMED
    claim = tx.steps
    results = [Result(each.recipient_id, each.submission_id, QueueState.SENT) for each in items]
    assert len(queue_outcome.settle(tx, results, NOW, owner="me")) == CLAIMED
    outcome = tx.steps - claim
    tx.close()
    return claim, outcome


def test_a_claim_and_its_outcomes_cost_the_same_however_much_waits(sqlite_template: Path, tmp_path: Path) -> None:
    found = []
    for count in (50, 5_000):
        path = tmp_path / f"{count}.db"
        path.write_bytes(sqlite_template.read_bytes())
        found.append(_steps(f"sqlite:///{path}", path, count))
    (claim, outcome), (large_claim, large_outcome) = found
    assert large_claim < 1.2 * claim
    assert large_outcome < 1.2 * outcome
