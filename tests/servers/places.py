"""Where tests and their servers keep files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
ROOM: Final = 4 << 30  # octets; a run keeps two gibibytes at once
SPARE: Final = 6 << 30  # octets of memory that can be had before


def use_memory() -> None:
    """Have files of tests lie in memory, if there is room, unless $TMPDIR says where.

    A store waits for its disk at each commit, and a run commits a hundred thousand times. Who kills a process tests
    what it had handed to the system, and the system stays: that is the same in memory as on a disk.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    if os.statvfs(MEMORY).f_flag & os.ST_NOEXEC or shutil.disk_usage(MEMORY).free < ROOM:
        return
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    if int(facts["MemAvailable"].split()[0]) * 1024 < SPARE:
        return
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # asked for anew


def short() -> str:
    """A directory with a path so short that Unix sockets may lie below it, which have 100 octets."""
    found = tempfile.gettempdir()
    return found if len(found) <= len(str(MEMORY)) else "/tmp"


def let_in(directory: Path) -> None:
    """Let a server that runs as another user into a directory: pytest bars all others from its own."""
    for one in (directory, *directory.parents):
        mode = one.stat().st_mode
        if mode & 0o055 != 0o055:
            one.chmod(mode | 0o055)
