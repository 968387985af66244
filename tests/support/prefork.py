"""Processes of the `gateway` command without what each start costs: an interpreter that has imported the product forks.

Imports are nine tenths of the CPU of a start, and the tests start a thousand processes. What comes of a fork is a
process of its own all the same: pid, session, descriptors, directory, environment and arguments are what `python -m
gateway` would have, it opens its store itself, and can be killed. Not so are what it has imported, the memory that it
shares and that it ends without taking the interpreter apart: tests of these ask for an interpreter of their own
(`Gateway.fresh`), and `make soak` has one for every process.

`python -m tests.support.prefork NUMBER` forks: over the socket of that number comes what to do and where, with
descriptors 0, 1 and 2 and one to report to: the pid, then the wait status. It ends with the socket.
`tests.support.forked` asks it.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LARGEST: Final = 1 << 17  # octets of a request; less than a Unix socket takes at once
IMPORTED: Final = (
    "gateway.cli.root", "gateway.app.serve", "gateway.app.admin", "gateway.app.gateway", "gateway.app.first_run",
    "gateway.app.doctor", "gateway.control.local", "gateway.web.app", "gateway.web.bridge",
    "twisted.internet.asyncioreactor", "psycopg", "uvloop",
)


def serve(control: socket.socket) -> list[str]:
    """Fork whenever told to; returns in each child, with its arguments, and in the parent never."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by pidfd: pid, where to report
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for number, _event in poll.poll():
            if number != control.fileno():
                pid, report = running.pop(number)
                poll.unregister(number)
                os.close(number)
                _tell(report, os.waitpid(pid, 0)[1])
                report.close()
                continue
            request, descriptors, _flags, _address = socket.recv_fds(control, LARGEST, 4)
            if not request:
                os._exit(0)  # without what a child would do at its exit
            pid = os.fork()
            if not pid:
                for other, (_pid, report) in running.items():
                    os.close(other)
                    report.close()
                control.close()
                return _become(json.loads(request), descriptors)
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            report = socket.socket(fileno=descriptors[3])
            _tell(report, pid)
            watched = os.pidfd_open(pid)
            running[watched] = (pid, report)
            poll.register(watched, select.POLLIN)


def _tell(report: socket.socket, number: int) -> None:
    try:
        report.send(array.array("i", [number]).tobytes())
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody asks any more


def _become(request: dict[str, object], descriptors: list[int]) -> list[str]:
    """What a new interpreter would find; its arguments."""
    if request["session"]:
        os.setsid()
    for place, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, place)
    for descriptor in descriptors:
        os.close(descriptor)
    environ, arguments = request["environ"], request["arguments"]
    assert isinstance(environ, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(str(request["directory"]))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return arguments


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's Ctrl-C only the tests hear, and what they start
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no child's collector walks, and so copies, what is never garbage
    sys.argv[1:] = serve(control)


def command() -> int:
    """The `gateway` command to its very end; its exit status."""
    from gateway.cli import main as gateway

    try:
        gateway()
    except SystemExit as end:
        if end.code is None:
            return 0
        if isinstance(end.code, int):
            return end.code
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
    status = command()
    # As multiprocessing ends what it forks. To take a thousand modules apart costs more than most commands.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
