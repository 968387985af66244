"""Starting, watching and stopping a peer process, and reading what it and its children cost."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class PeerMissing(Exception):
    """The program is not installed on this machine."""


_PORTS = range(10_000, 32_000)  # below those that the kernel takes for connections, which come and go
_SHARES = 12
_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on now, and that no other test is given, of this run or another one on this machine.

    Each process of tests has its own share of the numbers, and gives none twice: whom it was for may start late.
    """
    share = _share()
    for port in range(_PORTS.start + share, _PORTS.stop, _SHARES):
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("all ports of this process's share have been given away")


@functools.cache
def _share() -> int:
    """The first share that no living process has: its file stays locked until this one ends."""
    for number in range(_SHARES):
        path = Path("/tmp") / f"gateway-tests-ports-{os.getuid()}-{number}"
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
        else:
            return number
    raise RuntimeError(f"{_SHARES} processes of tests run already")


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 20.0, pause: float = 0.02) -> None:
    """Ask `ready` every `pause` seconds until it holds; TimeoutError names what was waited for.

    The one way to wait for what another process does and signals nobody: its answer, its file, its rows.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not become ready in {seconds} s")
        time.sleep(pause)


def port_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def stop(process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    """SIGTERM, then SIGKILL; only this process."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)


def tree(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, its living descendants and those it has reaped."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(fields[n]) for n in (11, 12, 13, 14))
    return total / _TICKS


def memory_bytes(pid: int) -> int:
    """Proportional set size of the process and its descendants: shared pages count once."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total
