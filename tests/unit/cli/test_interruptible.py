"""SIGINT ends a command: wherever the signal comes, whatever a thread or the cleaning up waits for."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from gateway.cli.interruptible import EXIT_INTERRUPTED

_SCRIPT = """
import asyncio, os, signal, sys, threading, time
from gateway.cli import interruptible
signal.signal(signal.SIGINT, {before})

async def work():
{work}

try:
    interruptible.run(work())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
print("ended", flush=True)
"""
_WAITS = "    print('ready', flush=True)\n    await asyncio.Event().wait()"
_IN_ANOTHER_THREAD = f"""
    def other():
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Timer(0.2, other).start()
{_WAITS}
"""
_THREAD_NEVER_ENDS = """
    print('ready', flush=True)
    await asyncio.to_thread(os.read, os.pipe()[0], 1)
"""
_CLEANING_NEVER_ENDS = """
    print('ready', flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.Event().wait()
"""
_CLEANING_STUMBLES = """
    print('ready', flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("there was something to close")
"""
_LOOP_IS_BUSY = """
    print('ready', flush=True)
    while True:
        pass
"""
_BEFORE_IT_BEGINS = """
    print('begun', flush=True)
"""


def start(work: str, before: str = "signal.default_int_handler") -> subprocess.Popen[str]:
    text = _SCRIPT.format(work=work.strip("\n"), before=before)
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("work", "signals", "says"),
    [
        (_WAITS, 1, "interrupted\n"),
        (_IN_ANOTHER_THREAD, 0, "interrupted\n"),
        (_THREAD_NEVER_ENDS, 1, ""),
        (_CLEANING_NEVER_ENDS, 1, ""),
        (_CLEANING_NEVER_ENDS, 2, ""),
        (_CLEANING_STUMBLES, 1, "interrupted\n"),
        (_LOOP_IS_BUSY, 1, ""),
    ],
    ids=["waiting", "other-thread", "thread", "cleaning", "twice", "stumbling", "busy"],
)
def test_it_ends(work: str, signals: int, says: str) -> None:
    process = start(work)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (EXIT_INTERRUPTED, says, "")


def test_where_it_is_ignored_it_stays_ignored() -> None:
    """A shell's `command &` is not ended by the Ctrl-C that is for others."""
    process = start("    os.kill(os.getpid(), signal.SIGINT)\n    await asyncio.sleep(0)", "signal.SIG_IGN")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "ended\n", "")


def test_results_and_errors_come_through() -> None:
    process = start("    assert await asyncio.sleep(0, 7) == 7\n    raise LookupError('x')")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1] == "LookupError: x"


def test_a_signal_before_the_coroutine_begins() -> None:
    """It is closed, and nobody is warned of it."""
    text = _SCRIPT.format(work=_BEFORE_IT_BEGINS, before="signal.default_int_handler").replace(
        "    interruptible.run(work())",
        "    begin = asyncio.BaseEventLoop.run_until_complete\n"
        "    def hit(loop, future):\n"
        "        asyncio.BaseEventLoop.run_until_complete = begin\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        return begin(loop, future)\n"
        "    asyncio.BaseEventLoop.run_until_complete = hit\n"
        "    interruptible.run(work())",
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_INTERRUPTED, "interrupted\n", "")


def test_handing_on_mail_beside_a_server_loads_no_store() -> None:
    """It would take a second, and longer on a loaded machine, in which nothing can be cut off."""
    text = (
        "import sys, gateway.cli.remote_new, gateway.cli.remote_targets\n"
        "heavy = ('gateway.store', 'gateway.control.operations')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    assert subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout == "[]\n"
