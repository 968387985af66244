"""The PostgreSQL engine's traps: broken connections, unknown outcomes, deadlocks, stale snapshots, lost wake-ups."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from gateway.model.errors import MessageGone, Unavailable
from gateway.model.ids import InboxId, MailboxId
from gateway.store import counters, messages
from gateway.store.db import Database, StoreSettings, Tx, Wake, WakeKind, open_database
from gateway.store.postgresql import PostgresqlDatabase, PostgresqlTx
from gateway.store.postgresql_notify import PAYLOAD_OCTETS, decode, encode
from gateway.store.postgresql_writer import Writer
from gateway.store.statements import Stmt

from .helpers import NOW, fill, mailbox_id, make_inbox, opened, somebody_waits

PUT = Stmt("INSERT INTO meta (key, value) VALUES (:key, :value)")
KEYS = Stmt("SELECT key FROM meta WHERE key LIKE 'k%' ORDER BY key")
MY_PID = Stmt("SELECT pg_backend_pid()")


async def stored(db: Database) -> list[str]:
    return [row[0] for row in await db.read(lambda rx: rx.all(KEYS))]


async def test_a_broken_connection_is_retried_once_done(postgresql_url: str, runner: asyncio.Runner) -> None:
    """The server ends the backend in the middle of the unit: the unit runs again on a new connection."""
    async with opened(postgresql_url) as db:
        calls: list[int] = []

        def unit(tx: Tx) -> int:
            tx.do(PUT, key="k1", value="v")
            pid = tx.scalar(MY_PID)
            calls.append(pid)
            if len(calls) == 1:
                with psycopg.connect(postgresql_url, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s)", [pid])
            tx.run(Stmt("UPDATE meta SET value = 'w' WHERE key = 'k1'"))
            return pid

        assert await db.write(unit) == calls[1] != calls[0]
        assert await stored(db) == ["k1"]


class _LosesAnswer(Writer):
    """A writer whose connection breaks just when COMMIT was sent: before or after the server did it."""

    def __init__(self, *args: Any, committed: bool) -> None:
        super().__init__(*args)
        self.committed = committed
        self.lost = 0

    def _commit(self, tx: PostgresqlTx) -> None:
        if self.lost == 0:
            self.lost += 1
            if self.committed:
                super()._commit(tx)
            tx.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        super()._commit(tx)


@pytest.mark.parametrize("after", ["an answer", "rows", "nothing that it waited for"])
async def test_a_unit_whose_process_was_frozen_holds_nobody_up_and_runs_again(
    postgresql_url: str, runner: asyncio.Runner, after: str
) -> None:
    """Whatever it did last, its locks end: the server waits in the transaction, or in the middle of a pipeline."""
    quick = {"silent_seconds": 0.2, "revocation_poll_seconds": 0.1}
    async with opened(postgresql_url, **quick) as db, opened(postgresql_url, **quick) as other:
        calls: list[int] = []
        begun, free = threading.Event(), threading.Event()

        def unit(tx: Tx) -> int:
            tx.run(Stmt("INSERT INTO meta (key, value) VALUES ('k1', 'v') ON CONFLICT (key) DO UPDATE SET value = 'w'"))
            if after == "rows":
                assert tx.all(KEYS) == [("k1",)]
            elif after != "an answer":
                tx.do(PUT, key="k2", value="v")
            calls.append(1)
            begun.set()
            if len(calls) == 1:
                assert free.wait(30), "whoever waits for its lock gets it"
            return int(tx.run(Stmt("UPDATE meta SET value = 'x' WHERE key = 'k1'")))

        def meanwhile(tx: Tx) -> None:
            tx.do(PUT, key="k1", value="other")

        first = asyncio.ensure_future(db.write(unit))
        assert await asyncio.to_thread(begun.wait, 30)
        await other.write(meanwhile)
        free.set()
        assert await first == 1
        assert len(calls) == 2
        assert await stored(db) == (["k1", "k2"] if after.startswith("nothing") else ["k1"])


@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_whose_answer_was_lost_is_done_once(
    postgresql_url: str, runner: asyncio.Runner, committed: bool
) -> None:
    async with opened(postgresql_url) as db:
        assert isinstance(db, PostgresqlDatabase)
        woken: list[dict[Wake, None]] = []
        writer = _LosesAnswer(
            lambda: PostgresqlTx(psycopg.connect(postgresql_url, autocommit=True)),
            "lossy",
            StoreSettings(),
            asyncio.get_running_loop(),
            woken.append,
            lambda wakes: None,
            committed=committed,
        )
        writer.start()
        calls: list[int] = []

        def unit(tx: Tx) -> str:
            calls.append(1)
            tx.do(PUT, key=f"k{len(calls)}", value="v")
            tx.wake(InboxId(1))
            return f"k{len(calls)}"

        acknowledged = await writer.submit(unit, (), 0)
        await asyncio.to_thread(writer.stop)
        assert writer.lost == 1
        assert len(calls) == (1 if committed else 2)
        assert await stored(db) == [acknowledged]
        assert woken == [{Wake(WakeKind.MAIL, InboxId(1)): None}]


async def test_deadlocked_units_are_redone(postgresql_url: str, runner: asyncio.Runner) -> None:
    """Two units lock two rows in opposite orders; PostgreSQL ends one of them, which must not be seen outside."""
    async with opened(postgresql_url) as db:
        for key in ("a", "b"):
            await db.write(lambda tx, key=key: tx.do(PUT, key=key, value=""))
        first_locks = threading.Barrier(2, timeout=10)
        calls: list[str] = []

        def crossing(first: str, second: str) -> Callable[[Tx], None]:
            def unit(tx: Tx) -> None:
                calls.append(first)
                statement = Stmt("UPDATE meta SET value = value || :mark WHERE key = :key")
                tx.run(statement, key=first, mark=first)
                if len(calls) <= 2:
                    first_locks.wait()
                tx.run(statement, key=second, mark=first)

            return unit

        # two inboxes, so that two writers take them
        await asyncio.gather(
            db.write(crossing("a", "b"), inboxes=(InboxId(1),)), db.write(crossing("b", "a"), inboxes=(InboxId(2),))
        )
        assert len(calls) == 3
        values = await db.read(lambda rx: rx.all(Stmt("SELECT value FROM meta WHERE key IN ('a', 'b')")))
        assert [sorted(value) for (value,) in values] == [["a", "b"], ["a", "b"]]


async def test_a_unit_that_hides_an_error_is_not_acknowledged(postgresql_url: str, runner: asyncio.Runner) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and no error."""

    def hiding(tx: Tx) -> str:
        tx.run(PUT, key="k1", value="v")
        with pytest.raises(psycopg.errors.UniqueViolation):
            tx.run(PUT, key="k1", value="v")
        return "all well"

    async with opened(postgresql_url) as db:
        with pytest.raises(Exception):  # noqa: B017, PT011 - any failure will do, success will not
            await db.write(hiding)
        assert await stored(db) == []
        await db.write(lambda tx: tx.do(PUT, key="k2", value="v"))
        assert await stored(db) == ["k2"]


async def test_a_database_that_is_away_is_unavailable(runner: asyncio.Runner) -> None:
    database = open_database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable):
        await database.start()


async def test_reads_survive_a_restarted_backend(postgresql_url: str, runner: asyncio.Runner) -> None:
    async with opened(postgresql_url, readers=1) as db:
        pid = await db.read(lambda rx: rx.scalar(MY_PID))
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert await db.read(lambda rx: rx.scalar(MY_PID)) != pid


async def test_a_copy_that_waits_behind_an_expunge_brings_nothing_back(
    postgresql_url: str, runner: asyncio.Runner
) -> None:
    """All parts of one statement share a snapshot: a COPY whose lock and SELECT were one would copy expunged rows."""
    async with opened(postgresql_url) as one, opened(postgresql_url) as two:
        inbox = await make_inbox(one)
        source = await mailbox_id(one, inbox.id)
        target = await mailbox_id(one, inbox.id, "Trash")
        uids = await fill(one, inbox.id, source, 5)
        expunged, copying = threading.Event(), threading.Event()

        def slow_expunge(tx: Tx) -> int:
            gone = messages.expunge(tx, inbox.id, source, uids[:2], only_deleted=False, now=NOW)
            expunged.set()
            assert copying.wait(10)
            assert somebody_waits(postgresql_url)
            assert gone.modseq is not None
            return gone.modseq

        def copy(tx: Tx) -> messages.Copied:
            copying.set()
            return messages.copy(tx, inbox.id, source, uids, target, now=NOW)

        def move(tx: Tx) -> messages.Copied:
            return messages.move(tx, inbox.id, source, uids, target, now=NOW)

        first = asyncio.ensure_future(one.write(slow_expunge, inboxes=(inbox.id,)))
        await asyncio.to_thread(expunged.wait, 10)
        with pytest.raises(MessageGone):
            await two.write(copy)
        modseq = await first
        moved = await two.write(move)
        assert moved.src_uids == uids[2:]
        assert moved.modseq == modseq + 1


async def test_two_nodes_draw_one_series_of_uids_and_modseqs(postgresql_url: str, runner: asyncio.Runner) -> None:
    async with opened(postgresql_url) as one, opened(postgresql_url) as two:
        inbox = await make_inbox(one)
        mailbox = await mailbox_id(one, inbox.id)
        batches = [fill(node, inbox.id, mailbox, 3) for _ in range(10) for node in (one, two)]
        uids = [uid for batch in await asyncio.gather(*batches) for uid in batch]
        assert sorted(uids) == list(range(1, 61))
        rows = await one.read(lambda rx: messages.load(rx, mailbox))
        assert [row[2] for row in rows] == sorted(row[2] for row in rows)


async def test_wakes_reach_other_nodes(postgresql_url: str, runner: asyncio.Runner) -> None:
    async with opened(postgresql_url) as one, opened(postgresql_url) as two:
        inbox = await make_inbox(one)
        mailbox = await mailbox_id(one, inbox.id)
        heard: asyncio.Queue[Wake] = asyncio.Queue()
        two.subscribe(heard.put_nowait)
        await fill(one, inbox.id, mailbox, 1)
        async with asyncio.timeout(10):
            while await heard.get() != Wake(WakeKind.MAIL, inbox.id, mailbox):
                continue


async def test_lost_wakes_are_found_by_polling(postgresql_url: str, runner: asyncio.Runner) -> None:
    """A change whose notification never came: MODSEQ of an inbox, a revoked key, a deleted inbox."""
    async with opened(postgresql_url, mail_poll_seconds=0.2, revocation_poll_seconds=0.1) as db:
        inbox = await make_inbox(db)
        heard: asyncio.Queue[Wake] = asyncio.Queue()
        db.subscribe(heard.put_nowait)

        async def await_wake(wanted: Wake) -> None:
            async with asyncio.timeout(10):
                while await heard.get() != wanted:
                    continue

        def elsewhere(statement: str) -> None:
            with psycopg.connect(postgresql_url, autocommit=True) as other:
                other.execute(statement)  # type: ignore[arg-type]

        await await_wake(Wake(WakeKind.MAIL, inbox.id))  # the poll has seen the new inbox
        await asyncio.to_thread(elsewhere, "UPDATE inbox SET modseq = modseq + 1")
        await await_wake(Wake(WakeKind.MAIL, inbox.id))
        await asyncio.to_thread(elsewhere, f"UPDATE inbox SET deleted_at = {NOW}")
        await await_wake(Wake(WakeKind.INBOX))


async def test_a_deaf_listener_wakes_everybody_when_it_hears_again(postgresql_url: str, runner: asyncio.Runner) -> None:
    async with opened(postgresql_url) as db:
        heard: asyncio.Queue[Wake] = asyncio.Queue()
        db.subscribe(heard.put_nowait)

        def deafen() -> int:
            with psycopg.connect(postgresql_url, autocommit=True) as other:
                for _ in range(2000):
                    ended = other.execute(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND query LIKE 'SELECT (SELECT count(*) FROM api_key%'"
                        " AND state = 'idle'"
                    ).fetchone()
                    if ended is not None and ended[0]:
                        return int(ended[0])
            return 0

        assert await asyncio.to_thread(deafen) == 1
        async with asyncio.timeout(15):
            while await heard.get() != Wake(WakeKind.MAIL):
                continue


def test_wakes_survive_their_encoding() -> None:
    wakes = {Wake(WakeKind.MAIL, InboxId(n), MailboxId(n + 1) if n % 2 else None): None for n in range(1, 2000)}
    wakes[Wake(WakeKind.KEYS)] = None
    payloads = list(encode("node", wakes))
    assert len(payloads) > 1
    assert max(map(len, payloads)) <= PAYLOAD_OCTETS
    decoded: dict[Wake, None] = {}
    for payload in payloads:
        node, part = decode(payload)
        assert node == "node"
        decoded.update(part)
    assert decoded == wakes
    assert decode("node later,1,2 mail,3,0") == ("node", {Wake(WakeKind.MAIL, InboxId(3)): None})


async def test_units_of_several_inboxes_never_deadlock_by_declared_order(
    postgresql_url: str, runner: asyncio.Runner
) -> None:
    async with opened(postgresql_url) as one, opened(postgresql_url) as two:
        ids = [(await make_inbox(one, f"u{number}@example.test")).id for number in range(4)]
        calls: list[int] = []

        def unit(order: list[InboxId]) -> Callable[[Tx], None]:
            def draw_all(tx: Tx) -> None:
                calls.append(1)
                for inbox in order:
                    counters.draw(tx, inbox)

            return draw_all

        orders = [ids[n % 4 :] + ids[: n % 4] for n in range(40)]
        await asyncio.gather(
            *((one, two)[n % 2].write(unit(order), inboxes=tuple(order)) for n, order in enumerate(orders))
        )
        assert len(calls) == 40  # nothing was ever redone
