"""Reader processes: the same answers as a thread's, errors as they were, and a lost process costs nobody an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.model.errors import NotFound, TookTooLong, Unavailable
from gateway.store import processes
from gateway.store.db import Database, StoreSettings, open_database
from gateway.store.gates import ProcessGate
from gateway.store.statements import Stmt
from tests.store.helpers import until
from tests.support import jobs

_INSERT = Stmt("INSERT INTO meta (key, value) VALUES ('test', '1')")


@pytest.fixture
def served(url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A store with two reader processes that are up."""
    with serving(url, runner, monkeypatch, StoreSettings().job_seconds) as database:
        yield database


@pytest.fixture
def hasty(url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The same where no job may take long."""
    with serving(url, runner, monkeypatch, 0.1) as database:
        yield database


@contextmanager
def serving(
    url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, job_seconds: float
) -> Iterator[Database]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(processes, "RESTART_SECONDS", (0.02, 0.5))
    modules = ("tests.support.jobs",)
    database = open_database(url, StoreSettings(reader_processes=2, reader_modules=modules, job_seconds=job_seconds))
    runner.run(database.start())
    try:
        runner.run(until(lambda: database.reader_processes == 2))
        yield database
    finally:
        runner.run(database.close())


async def test_a_job_runs_in_another_process_on_the_store(served: Database) -> None:
    before = (await served.offload(jobs.pid_and_count))[1]
    await served.write(lambda tx: tx.run(_INSERT))
    pid, count = await served.offload(jobs.pid_and_count)
    assert pid != os.getpid()
    assert count == before + 1


async def test_large_arguments_and_answers(served: Database) -> None:
    octets = os.urandom(300_000)
    answers = await asyncio.gather(*(served.offload(jobs.echo, octets[n:], times=9) for n in range(6)))
    assert answers == [octets[n:] * 9 for n in range(6)]


async def test_an_expected_error_keeps_its_type_and_sentence(served: Database) -> None:
    with pytest.raises(NotFound) as failed:
        await served.offload(jobs.not_found, "mailbox")
    assert str(failed.value) == "No mailbox here"


async def test_an_error_that_cannot_travel_is_told_as_a_defect(served: Database) -> None:
    with pytest.raises(RuntimeError, match="1 and 2"):
        await served.offload(jobs.odd)
    assert await served.offload(jobs.echo, b"on") == b"on"


async def test_a_process_that_dies_costs_nobody_else_an_answer_and_is_replaced(served: Database) -> None:
    deadly = asyncio.ensure_future(served.offload(jobs.die, os.getpid()))
    answers = await asyncio.gather(*(served.offload(jobs.echo, b"%d" % n) for n in range(20)))
    assert answers == [b"%d" % n for n in range(20)]
    with pytest.raises(Unavailable):  # after a second process has died of it; this one, which serves, never tries
        await deadly
    await until(lambda: served.reader_processes == 2)


async def test_a_job_whose_process_was_killed_is_done_by_another(served: Database, tmp_path: Path) -> None:
    flag, began = tmp_path / "go on", tmp_path / "began"
    working = asyncio.ensure_future(served.offload(jobs.work_until, str(flag), began=str(began)))
    await until(began.exists)
    first = int(began.read_text())
    os.kill(first, signal.SIGKILL)
    await until(lambda: served.reader_processes < 2)
    flag.touch()
    assert await working not in {first, os.getpid()}


async def test_when_all_die_threads_go_on(served: Database) -> None:
    here = os.getpid()
    deadly = [asyncio.ensure_future(served.offload(jobs.die, here)) for _ in range(2)]
    await until(lambda: served.reader_processes == 0)
    pid, _ = await served.offload(jobs.pid_and_count)
    assert pid == here
    ended = await asyncio.gather(*deadly, return_exceptions=True)
    assert [type(each) for each in ended] == [Unavailable, Unavailable]


async def test_a_job_without_end_is_given_up_with_its_process(hasty: Database) -> None:
    here = os.getpid()
    endless = [asyncio.ensure_future(hasty.offload(jobs.loop, here)) for _ in range(2)]
    await asyncio.sleep(0)
    behind = [asyncio.ensure_future(hasty.offload(jobs.echo, b"%d" % n)) for n in range(6)]
    ended = await asyncio.gather(*endless, return_exceptions=True)
    assert [type(each) for each in ended] == [TookTooLong, TookTooLong]  # once each, and never in this process
    assert await asyncio.gather(*behind) == [b"%d" % n for n in range(6)]
    await until(lambda: hasty.reader_processes == 2)
    assert (await hasty.offload(jobs.pid_and_count))[0] != here


async def test_the_time_of_a_job_begins_with_the_answer_before_it(
    served: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    pool = served._processes
    assert pool is not None
    monkeypatch.setattr(pool, "now", lambda: clock)
    flags = [tmp_path / name for name in ("first", "second")]
    work = [[asyncio.ensure_future(served.offload(jobs.work_until, str(flag))) for _ in range(2)] for flag in flags]
    await asyncio.sleep(0)
    clock = StoreSettings().job_seconds
    flags[0].touch()
    pids = set(await asyncio.gather(*work[0]))
    clock *= 1.5
    for _ in range(3):
        pool._look()
    clock *= 2
    pool._look()  # once: an answer may be there that is not read yet
    flags[1].touch()
    assert set(await asyncio.gather(*work[1])) == pids


async def test_bulk_work_leaves_a_process_to_pages(served: Database, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    bulk = [asyncio.ensure_future(served.offload_bulk(jobs.work_until, str(flag))) for _ in range(4)]
    pids = {(await served.offload(jobs.pid_and_count))[0] for _ in range(8)}
    assert len(pids) == 1  # bulk work holds the other process, and waits
    assert os.getpid() not in pids
    flag.touch()
    assert pids.isdisjoint({await bulk[0]})
    await asyncio.gather(*bulk)


async def test_a_job_that_nobody_waits_for_is_dropped(served: Database, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    held = [asyncio.ensure_future(served.offload(jobs.work_until, str(flag))) for _ in range(4)]
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(served.offload(jobs.die, os.getpid()))
    await asyncio.sleep(0)
    waiting.cancel()
    flag.touch()
    await asyncio.gather(*held)
    assert await served.offload(jobs.echo, b"on") == b"on"
    assert served.reader_processes == 2


async def test_without_processes_a_thread_does_it(db: Database) -> None:
    assert (await db.offload(jobs.pid_and_count))[0] == os.getpid()
    assert await db.offload_bulk(jobs.echo, b"a", times=2) == b"aa"


def test_a_gate_lets_nobody_in_while_the_writer_holds_it() -> None:
    opened: list[bool] = []
    gate = ProcessGate(lambda: opened.append(True))
    assert gate.enter()
    assert not gate.acquire(True, 0.01), "a job runs"
    assert opened == [True]
    assert gate.enter(), "the writer gave up"
    got: list[bool] = []
    writer = threading.Thread(target=lambda: got.append(gate.acquire(True, 30)))
    writer.start()
    gate.leave()
    gate.leave()
    writer.join()
    assert got == [True]
    assert not gate.enter()
    gate.release()
    assert gate.enter()
