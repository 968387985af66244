"""A process that `tests.support.prefork` forked for tests: like subprocess.Popen and run, as far as they use them."""

from __future__ import annotations

import array
import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from io import BufferedReader, BufferedWriter, FileIO
from typing import Final

from .prefork import ROOT

POSSIBLE: Final = hasattr(os, "pidfd_open")
GONE: Final = "the process that forks others has ended: see standard error, perhaps it could not import the product"
enabled = False  # tests/conftest.py says; who measures (bench) starts everything as users do


class Forked:
    """A process of the `gateway` command with these arguments.

    `returncode` is its exit status, or a signal's number below zero; with `session` it leads a session of its own.
    """

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], stdin: int, stdout: int, stderr: int, *,
        session: bool,
    ) -> None:
        self.args = ["gateway", *arguments]
        self.returncode: int | None = None
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._report = ours.detach()  # open as long as anybody may be waiting there
        weakref.finalize(self, os.close, self._report)
        request = {"arguments": list(arguments), "environ": dict(environ), "directory": os.getcwd(), "session": session}
        with theirs:
            _prefork().begin(json.dumps(request).encode(), [stdin, stdout, stderr, theirs.fileno()])
        self.pid = self._told()

    def poll(self) -> int | None:
        """Its exit status, once it has ended."""
        with self._lock:
            if self.returncode is None and self._ended(0.0):
                self.returncode = os.waitstatus_to_exitcode(self._told())
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, waited for; subprocess.TimeoutExpired after so many seconds."""
        if self.returncode is None:  # what is said is read once, by whoever comes first: the others look again
            self._ended(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, seconds: float | None) -> bool:
        said = select.poll()
        said.register(self._report, select.POLLIN)
        return bool(said.poll(None if seconds is None else seconds * 1000))

    def _told(self) -> int:
        octets = os.read(self._report, 16)
        if not octets:
            raise RuntimeError(GONE)
        return int(array.array("i", octets)[0])


def run(
    arguments: Sequence[str], environ: Mapping[str, str], stdin: bytes, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """As subprocess.run with its output captured."""
    (their_in, our_in), (our_out, their_out), (our_err, their_err) = os.pipe(), os.pipe(), os.pipe()
    try:
        process = Forked(arguments, environ, their_in, their_out, their_err, session=False)
    finally:
        for descriptor in (their_in, their_out, their_err):
            os.close(descriptor)
    heard: dict[int, bytes] = {}

    def hear(descriptor: int) -> None:
        with BufferedReader(FileIO(descriptor)) as pipe:
            heard[descriptor] = pipe.read()

    threads = [threading.Thread(target=hear, args=(descriptor,), daemon=True) for descriptor in (our_out, our_err)]
    for thread in threads:
        thread.start()
    killer = threading.Timer(timeout, process.kill)
    killer.start()
    try:
        with contextlib.suppress(BrokenPipeError), BufferedWriter(FileIO(our_in, "w")) as pipe:
            pipe.write(stdin)  # … of which it may want to hear less
        for thread in threads:
            thread.join()
        status = process.wait()
    finally:
        timed_out = not killer.is_alive()
        killer.cancel()
    if timed_out:
        raise subprocess.TimeoutExpired(process.args, timeout, heard.get(our_out), heard.get(our_err))
    return subprocess.CompletedProcess(process.args, status, heard[our_out], heard[our_err])


class _Prefork:
    """The process that forks, one for each process of tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.prefork", str(theirs.fileno())], cwd=ROOT,
                pass_fds=[theirs.fileno()], env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        atexit.register(self.end)

    def begin(self, request: bytes, descriptors: list[int]) -> None:
        with self._lock:
            try:
                socket.send_fds(self._control, [request], descriptors)
            except BrokenPipeError:
                raise RuntimeError(GONE) from None

    def end(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def _prefork() -> _Prefork:
    return _Prefork()
