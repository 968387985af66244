"""Rows of changes: flags, copies, expunges, what a client is told that comes back, and NOOP beside long commands."""

from __future__ import annotations

import itertools
import re
import statistics
import time
from collections.abc import Callable, Iterable

from .busy import busy_beside
from .client import Imap
from .measure import Row, Sample, Side, imap_of, on_selected, timed
from .texts import HEADER_FIELDS

COPIED = 2_000


def store_one(side: Side) -> Sample:
    """Each message is flagged and then no longer, so that each command of each round changes something."""
    return on_selected(
        side, 1000, lambda n: f"STORE {1 + n // 2 * 7 % 9000} {'-' if n % 2 else '+'}FLAGS (\\Flagged)"
    )


def store_all(side: Side) -> Sample:
    signs = itertools.cycle("+-")
    return on_selected(side, 6, lambda _: f"STORE 1:* {next(signs)}FLAGS.SILENT (\\Answered)", unit=1e3)


def _copied(side: Side, *, time_expunge: bool) -> Sample:
    connection = Imap(imap_of(side))
    wall = cpu = 0.0
    rounds = 3
    for _ in range(rounds):
        connection.command("CREATE Copies")
        connection.command("SELECT INBOX")
        copy = timed(side, 1, lambda: connection.command(f"COPY 1:{COPIED} Copies"), rate=False, unit=1e3)
        connection.command("SELECT Copies")
        connection.command("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        expunge = timed(side, 1, lambda: connection.command("EXPUNGE"), rate=False, unit=1e3)
        connection.command("SELECT INBOX")
        connection.command("DELETE Copies")
        sample = expunge if time_expunge else copy
        wall += sample.value
        cpu += sample.cpu_us or 0.0
    connection.logout()
    return Sample(wall / rounds, cpu / rounds)


def copy(side: Side) -> Sample:
    return _copied(side, time_expunge=False)


def expunge(side: Side) -> Sample:
    return _copied(side, time_expunge=True)


def flags_cold(side: Side) -> Sample:
    """The first FETCH of a new session."""
    wall = cpu = 0.0
    rounds = 8
    for _ in range(rounds):
        connection = Imap(imap_of(side))
        connection.command("SELECT INBOX")
        sample = timed(side, 1, lambda connection=connection: connection.command("FETCH 1:* (UID FLAGS)"), rate=False)  # type: ignore[misc]
        wall += sample.value
        cpu += sample.cpu_us or 0.0
        connection.logout()
    return Sample(rounds * 10_000 / wall, cpu / rounds / 10_000)


def _lines(connection: Imap, command: str) -> list[bytes]:
    tag = connection.send(command)
    found = [connection.wire.line()]
    while not found[-1].startswith(tag + b" "):
        found.append(connection.wire.line())
    if not found[-1].startswith(tag + b" OK"):
        raise RuntimeError(found[-1].decode(errors="replace"))
    return found


def resync(side: Side) -> Sample:
    """SELECT with QRESYNC by a client that missed 100 changes; milliseconds."""
    client, other = Imap(imap_of(side)), Imap(imap_of(side))
    client.command("ENABLE QRESYNC")
    known = b"".join(_lines(client, "SELECT INBOX"))
    codes = [re.search(rb"\[%b (\d+)\]" % name, known) for name in (b"UIDVALIDITY", b"HIGHESTMODSEQ")]
    uidvalidity, modseq = (int(found[1]) for found in codes if found is not None)
    client.command("UNSELECT")
    other.command("SELECT INBOX")
    for number in range(100):
        other.command(f"STORE {1 + number * 90} +FLAGS.SILENT (\\Draft)")
    command = f"SELECT INBOX (QRESYNC ({uidvalidity} {modseq}))"
    told = sum(b" FETCH " in line for line in _lines(client, command))
    if told != 100:
        raise RuntimeError(f"{told} changes told instead of 100")
    sample = timed(side, 50, lambda: [client.command(command) for _ in range(50)], rate=False, unit=1e3)
    other.command("STORE 1:* -FLAGS.SILENT (\\Draft)")
    client.logout()
    other.logout()
    return sample


def noop_beside(command: str) -> Callable[[Side], Sample]:
    """p99 in milliseconds of NOOP every two milliseconds beside a session that runs `command` without end."""

    def run(side: Side) -> Sample:
        connection = Imap(imap_of(side))
        connection.command("SELECT Drafts")
        taken = []
        with busy_beside(imap_of(side), command):
            for _ in range(1_000):
                start = time.perf_counter()
                connection.command("NOOP")
                taken.append(time.perf_counter() - start)
                time.sleep(0.002)  # the pace that the row names: a client that asks, not one that floods
        connection.logout()
        return Sample(statistics.quantiles(taken, n=100)[-1] * 1e3, None)

    return run


_HEADERS = f"FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS ({HEADER_FIELDS})])"
ROWS: Iterable[Row] = (
    Row("FETCH FLAGS of 10,000, first of a session", "msg/s", True, flags_cold),
    Row("SELECT with QRESYNC after 100 changes", "ms", False, resync),
    Row("STORE one message, durable", "/s", True, store_one),
    Row("STORE one message, flag_sync = 50", "/s", True, store_one, "relaxed"),
    Row("STORE 1:* of 10,000", "ms", False, store_all),
    Row("COPY of 2,000", "ms", False, copy),
    Row("EXPUNGE of 2,000", "ms", False, expunge),
    Row("NOOP beside a long FETCH, p99", "ms", False, noop_beside(_HEADERS)),
    Row("NOOP beside a long SEARCH, p99", "ms", False, noop_beside("SEARCH BODY nothing-like-this")),
)
