"""kill -9 of a writing process: what it acknowledged is there once, what it did not is whole or absent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from gateway.store import messages
from gateway.store.db import open_database

from .helpers import assert_consistent, mailbox_id, make_inbox

PROGRAM = """
import asyncio, sys
from gateway.store.db import open_database
from tests.store.helpers import put

async def main(url, inbox, mailbox):
    db = open_database(url)
    await db.start()

    async def append_on():
        while True:
            octets = b"Subject: x\\r\\n\\r\\n" + b"y" * 9000
            appended = await db.write(lambda tx: put(tx, inbox, mailbox, octets), inboxes=(inbox,))
            print(appended.uid, flush=True)

    await asyncio.gather(*(append_on() for _ in range(8)))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""
ROOT = Path(__file__).parents[2]


def write_and_kill(url: str, inbox: int, mailbox: int, round_: int) -> list[int]:
    """The UIDs that a process acknowledged before it was killed in the middle of its work."""
    # each process would count its content ids from the same number: let them not collide
    numbers = f"import tests.store.helpers as h, itertools; h._numbers = itertools.count({(round_ + 1) * 10**9})\n"
    process = subprocess.Popen(
        [sys.executable, "-c", numbers + PROGRAM, url, str(inbox), str(mailbox)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(40 + 13 * round_)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()  # communicate() would pass over what readline() has read ahead
    process.wait(20)
    process.stdout.close()
    return acknowledged + [int(line) for line in rest.split(b"\n")[:-1]]


async def test_acknowledged_messages_survive_kill_9(url: str, runner: asyncio.Runner) -> None:
    db = open_database(url)
    await db.start()
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)
    await db.close()
    acknowledged: list[int] = []
    for round_ in range(3):
        acknowledged += await asyncio.to_thread(write_and_kill, url, inbox.id, mailbox, round_)
    assert len(acknowledged) == len(set(acknowledged))
    db = open_database(url)
    await db.start()
    try:
        uids, _flags, modseqs = await db.read(lambda rx: messages.load_arrays(rx, mailbox))
        assert set(acknowledged) <= set(uids)
        assert modseqs == sorted(modseqs)
        await assert_consistent(db)
    finally:
        await db.close()
