"""`python -m bench.growth`: one mailbox of 10,000, 100,000 and 1,000,000 messages, its times and memory, and a plot.

The messages are copies of 10,000 different ones, so that filling takes minutes. Each size is measured on a server that
was just started: the first SELECT reads the mailbox, the second finds it in memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pygal
from pygal.style import Style

from tests.servers.dovecot import start_dovecot
from tests.servers.process import memory_bytes

from .client import Account, Imap
from .corpus import messages
from .gateway import Running, start_gateway
from .report import replace_between

SEED = 10_000
BOX = "Grow"
BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
ROUNDS = 3
COLOURS = Style(
    background="white", plot_background="white",
    colors=("#0c3795", "#752641", "#e47f00", "#5f8a00", "#c0392b", "#6c8fd6", "#f0b060"),
)


@dataclass(frozen=True)
class Figures:
    """Milliseconds, and memory in MiB that the first and the second session cost."""

    size: int
    first_select: float
    second_select: float
    flags: float
    unseen: float
    subject: float
    first_memory: float
    second_memory: float


ROWS: Sequence[tuple[str, str, Callable[[Figures], float]]] = (
    ("first SELECT after a start", "ms", lambda found: found.first_select),
    ("SELECT by a second session", "ms", lambda found: found.second_select),
    ("FETCH 1:* FLAGS", "ms", lambda found: found.flags),
    ("SEARCH UNSEEN", "ms", lambda found: found.unseen),
    ("SEARCH SUBJECT of a rare word", "ms", lambda found: found.subject),
    ("memory of the first session", "MiB", lambda found: found.first_memory),
    ("memory of a second session", "MiB", lambda found: found.second_memory),
)


def fill(account: Account, copies: int, *, first: bool) -> None:
    connection = Imap(account)
    if first:
        connection.append_many("INBOX", messages(SEED))
        connection.command(f"CREATE {BOX}")
    connection.command("SELECT INBOX")
    for _ in range(copies):
        connection.command(f"COPY 1:* {BOX}")
    connection.logout()


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(account: Account, pid: int, size: int) -> Figures:
    connection, other = Imap(account), Imap(account)
    before = memory_bytes(pid)
    first = _ms(lambda: connection.command(f"SELECT {BOX}"))
    loaded = memory_bytes(pid)
    second = _ms(lambda: other.command(f"SELECT {BOX}"))
    shared = memory_bytes(pid)

    def median(command: str) -> float:
        return statistics.median(_ms(lambda: connection.command(command)) for _ in range(ROUNDS))

    figures = Figures(
        size, first, second, median("FETCH 1:* (UID FLAGS)"), median("SEARCH UNSEEN"),
        median("SEARCH SUBJECT nothing-like-this"), (loaded - before) / 2**20, (shared - loaded) / 2**20,
    )
    connection.logout()
    other.logout()
    return figures


def _of_gateway(running: Running, sizes: Sequence[int]) -> list[Figures]:
    found, have = [], 0
    for size in sizes:
        fill(running.imap, (size - have) // SEED, first=not have)
        have = size
        running.gateway.stop()
        running.gateway.start()
        assert running.gateway.process is not None
        found.append(measure(running.imap, running.gateway.process.pid, size))
        print(f"gateway: {found[-1]}", flush=True)
    return found


def _of_dovecot(account: Account, pid: int, sizes: Sequence[int]) -> list[Figures]:
    found, have = [], 0
    for size in sizes:
        fill(account, (size - have) // SEED, first=not have)
        have = size
        found.append(measure(account, pid, size))
        print(f"Dovecot: {found[-1]}", flush=True)
    return found


def table(ours: Sequence[Figures], theirs: Sequence[Figures]) -> str:
    peers = {figures.size: figures for figures in theirs}
    lines = ["| | unit | " + " | ".join(f"{figures.size:,}" for figures in ours) + " |", "|---" * (2 + len(ours)) + "|"]
    for name, unit, value in ROWS:
        cells = []
        for figures in ours:
            peer = peers.get(figures.size)
            cells.append(f"{value(figures):,.1f}" + (f" ({value(peer):,.1f})" if peer else ""))
        lines.append(f"| {name} | {unit} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(path: Path, ours: Sequence[Figures], theirs: Sequence[Figures]) -> None:
    """Both axes logarithmic: what grows with the mailbox is a straight line."""
    chart = pygal.XY(
        style=COLOURS, logarithmic=True, xrange=(SEED * 0.8, ours[-1].size * 1.2), x_title="messages in the mailbox",
        y_title="milliseconds", title="One mailbox that grows", legend_at_bottom=True, legend_at_bottom_columns=3,
        x_labels=[figures.size for figures in ours], x_value_formatter=lambda value: f"{value:,.0f}",
        width=900, height=600, margin_bottom=50, js=[],
    )
    for name, unit, value in ROWS:
        if unit == "ms":
            chart.add(name, [(figures.size, value(figures)) for figures in ours])
    for name, value in (("Dovecot: first SELECT", ROWS[0][2]), ("Dovecot: FETCH 1:* FLAGS", ROWS[2][2])):
        if theirs:
            chart.add(name, [(figures.size, value(figures)) for figures in theirs], stroke_style={"dasharray": "4, 6"})
    chart.render_to_file(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--most", type=int, default=1_000_000, help="size of the largest mailbox (default 1,000,000)")
    parser.add_argument("--peer-most", type=int, default=100_000, help="the same for Dovecot, whose copies take longer")
    parser.add_argument("--write", type=Path, help="write the table into this Markdown file, and growth.svg beside it")
    options = parser.parse_args()
    sizes = [size for size in (10_000, 100_000, 1_000_000) if size <= options.most]
    with tempfile.TemporaryDirectory(prefix="growth-") as name, ExitStack() as stack:
        root = Path(name)
        running = start_gateway(root / "gateway")
        stack.callback(running.stop)
        ours = _of_gateway(running, sizes)
        dovecot = start_dovecot(root / "dovecot")
        stack.callback(dovecot.stop)
        account = Account(dovecot.imaps, dovecot.ca, "bench", dovecot.password)
        theirs = _of_dovecot(account, dovecot.process.pid, [size for size in sizes if size <= options.peer_most])
    text = table(ours, theirs)
    print(text)
    if options.write:
        note = f"{os.cpu_count()} cores; in brackets Dovecot's figures.\n\n"
        replace_between(options.write, BEGIN, END, note + text + "\n\n![One mailbox that grows](growth.svg)")
        plot(options.write.parent / "growth.svg", ours, theirs)


if __name__ == "__main__":
    main()
