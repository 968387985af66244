"""Reader processes, seen from the process that serves: jobs out, answers in, lost processes replaced.

A job is a module's function of a read transaction and plain values, so it can be sent, and run again. When a process
dies, the job it worked at is suspected: it is tried once more, in another process, and never in this one, which all
sessions share; a second death makes it Unavailable. Jobs that only waited there go to other processes or, when none is
up, fail with `ReaderLost`, and the caller asks a reader thread. A job is a page of work: one that goes on far longer
than any page can is ended with its process, and never tried again.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog

from gateway.model.errors import TookTooLong, Unavailable

from .db import ReaderLost, settle
from .gates import ProcessGate, ReaderGate
from .reader_frames import LENGTH, Answer, Opening, frame
from .urls import Target

log = structlog.get_logger(__name__)

TRIES: Final = 2
"""Processes that may die at a job before it is Unavailable."""
DEPTH: Final = 2
"""Jobs a process holds at most: while one's answer is on its way, the next is under way."""
ANSWER_BUFFER: Final = 1 << 20
"""Octets of answers that wait in the socket, where the system allows so many: a process goes on with its next job."""
RESTART_SECONDS: Final = (1.0, 60.0)
"""First and longest wait before a lost process is replaced; it doubles."""
STOP_SECONDS: Final = 5.0
"""A process that has not ended by itself so long after its socket closed is killed."""


@dataclass(slots=True)
class _Job:
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]
    bulk: bool
    losses: int = 0
    """Processes that died at it."""
    late: bool = False
    """It had its time: the process was killed for it."""


class _Child(asyncio.Protocol):
    """One process: its socket, and the jobs it holds in the order of their answers."""

    def __init__(self, pool: ReaderProcesses, process: subprocess.Popen[bytes]) -> None:
        self.pool = pool
        self.process = process
        self.ready = False
        self.held: deque[_Job] = deque()
        self.began = 0.0
        """When the first of them was begun, on the loop's clock, or a little later."""
        self.suspect: _Job | None = None
        """The first of them was late already when this was last looked at."""
        self.gate = ProcessGate(pool.wake)
        self.transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._have = 0
        self._need = LENGTH.size  # octets of the frame that has begun, its length included

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none of its subclasses

    def send(self, job: _Job) -> None:
        assert self.transport is not None
        if not self.held:
            self.began = self.pool.now()
        self.held.append(job)
        self.transport.write(frame((job.call, job.arguments)))

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._have += len(data)
        while self._have >= self._need:
            octets = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            size = LENGTH.size + LENGTH.unpack_from(octets)[0]
            if self._have < size:
                self._pieces, self._need = [octets], size
                return
            answer: Answer = pickle.loads(memoryview(octets)[LENGTH.size : size])
            rest = octets[size:]
            self._pieces, self._have, self._need = ([rest] if rest else []), len(rest), LENGTH.size
            self.pool.answered(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.lost(self)


class ReaderProcesses:
    """`count` processes that share two queues: pages, and bulk work, which never takes the last process."""

    def __init__(
        self,
        target: Target,
        count: int,
        modules: tuple[str, ...],
        gates: list[ReaderGate] | None = None,
        *,
        job_seconds: float,
    ) -> None:
        """`gates`: where the writer of SQLite finds what holds readers off; None for an engine without.

        `job_seconds`: after it, and at most half as long again, a job is given up with its process.
        """
        self._job_seconds = job_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._opening = frame(Opening(target, modules))
        self._count = count
        self._gates = gates
        self._loop: asyncio.AbstractEventLoop | None = None
        self._children: list[_Child] = []
        self._pages: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._wait = RESTART_SECONDS[0]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """They come up beside what the caller goes on with; until then `submit` has none."""
        self._loop = loop
        for _ in range(self._count):
            self._spawn()

    @property
    def up(self) -> int:
        """Processes that take jobs."""
        return sum(child.ready for child in self._children)

    def submit(
        self, call: Callable[..., Any], arguments: tuple[Any, ...], *, bulk: bool
    ) -> asyncio.Future[Any] | None:
        """Queue `call(rx, *arguments)`; None when no process is up."""
        if self._loop is None or not self.up:
            return None
        job = _Job(call, arguments, self._loop.create_future(), bulk)
        (self._bulk if bulk else self._pages).append(job)
        self._pump()
        return job.future

    def now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0

    async def stop(self) -> None:
        """Close all sockets, which ends the processes; waits for them."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._starting)
        children, self._children = self._children, []
        for child in children:
            self._pages.extend(self._forget(child))
            if child.transport is not None:
                child.transport.close()
        for job in (*self._pages, *self._bulk):
            settle(job.future, None, ReaderLost())
        self._pages.clear()
        self._bulk.clear()
        for child in children:
            await asyncio.to_thread(_reap, child.process)

    # -- jobs

    def _pump(self) -> None:
        """Hand out what waits: pages first, to the process with the least to do."""
        while self._pages:
            child = min(
                (child for child in self._children if child.ready and len(child.held) < DEPTH),
                key=lambda child: len(child.held) + any(job.bulk for job in child.held) * DEPTH,
                default=None,
            )
            if child is None or not self._hand(child, self._pages):
                break
        room = max(1, self._count - 1) - sum(job.bulk for child in self._children for job in child.held)
        while self._bulk and room > 0:
            child = next((child for child in self._children if child.ready and not child.held), None)
            if child is None or not self._hand(child, self._bulk):
                break
            room -= 1

    def _hand(self, child: _Child, queue: deque[_Job]) -> bool:
        """The next job that somebody still waits for; False when the writer holds the gate."""
        if not child.gate.enter():
            return False
        while queue:
            job = queue.popleft()
            if not job.future.done():
                child.send(job)
                self._watch()
                return True
        child.gate.leave()
        return True

    def answered(self, child: _Child, answer: Answer) -> None:
        if not child.ready:
            child.ready = True
            self._wait = RESTART_SECONDS[0]
            if self._gates is not None:
                self._gates.append(child.gate)
        else:
            job = child.held.popleft()
            child.began = self.now()
            child.gate.leave()
            settle(job.future, answer.value, answer.error)
        self._pump()

    def _watch(self) -> None:
        """Look after a while whether the jobs under way go on for too long."""
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(self._job_seconds / 4, self._look)

    def _look(self) -> None:
        """End what was late at the last look too: after a pause of this process its answer may just be unread."""
        self._timer = None
        for child in self._children:
            if not child.held:
                continue
            self._watch()
            job = child.held[0]
            if self.now() - child.began <= self._job_seconds:
                child.suspect = None
            elif child.suspect is not job:
                child.suspect = job
            elif not job.late:
                job.late = True
                call = getattr(job.call, "func", job.call)
                log.warning("store.reader_job_ended", job=call.__qualname__, seconds=self._job_seconds)
                child.process.kill()  # `lost` has the rest

    def wake(self) -> None:
        """From the writer's thread: the gate is open again."""
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._pump)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    # -- processes

    def _spawn(self) -> None:
        assert self._loop is not None
        task = self._loop.create_task(self._start_one())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_one(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ANSWER_BUFFER)
        try:
            with theirs:
                process = await asyncio.to_thread(_begin, theirs)
        except OSError as error:
            ours.close()
            log.warning("store.reader_process_failed", error=repr(error), again_in=self._wait)
            self._replace_later()
            self._sift(patient=False)
            return
        child = _Child(self, process)
        self._children.append(child)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: child, sock=ours)
        transport.write(self._opening)

    def lost(self, child: _Child) -> None:
        """The socket is closed: the process ended, which it never does by itself."""
        if child not in self._children:
            return
        self._children.remove(child)
        came_up, jobs = child.ready, self._forget(child)
        code = child.process.poll()
        log.warning("store.reader_process_lost", pid=child.process.pid, status=code, again_in=self._wait)
        if self._loop is not None:
            self._loop.run_in_executor(None, _reap, child.process)
        self._replace_later()
        if jobs and jobs[0].late:
            settle(jobs.pop(0).future, None, TookTooLong("A page of work took longer than any may"))
        elif jobs:
            jobs[0].losses += 1
        for job in reversed(jobs):
            (self._bulk if job.bulk else self._pages).appendleft(job)
        self._sift(patient=came_up)
        self._pump()

    def _sift(self, *, patient: bool) -> None:
        """Answer what waits in vain. `patient`: the next process will come up, so a suspected job may wait for it."""
        for queue in (self._pages, self._bulk):
            for job in list(queue):
                if job.losses >= TRIES or (job.losses and not patient and not self.up):
                    error: Exception = Unavailable("This cannot be read now; try again later")
                elif job.losses or self.up:
                    continue
                else:
                    error = ReaderLost()
                queue.remove(job)
                settle(job.future, None, error)

    def _replace_later(self) -> None:
        if self._loop is not None:
            self._loop.call_later(self._wait, self._replace)
        self._wait = min(2 * self._wait, RESTART_SECONDS[1])

    def _replace(self) -> None:
        if self._loop is not None:
            self._spawn()

    def _forget(self, child: _Child) -> list[_Job]:
        """Its gate goes; the jobs it held, the first of which it worked at."""
        if self._gates is not None and child.gate in self._gates:
            self._gates.remove(child.gate)
        child.ready = False
        jobs = list(child.held)
        child.held.clear()
        for _ in jobs:
            child.gate.leave()
        return jobs


def _begin(channel: socket.socket) -> subprocess.Popen[bytes]:
    """A reader process at the other end of `channel`."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gateway.store.reader_process", str(channel.fileno())],
        stdin=subprocess.DEVNULL,
        pass_fds=[channel.fileno()],
    )


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
