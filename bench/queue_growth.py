"""`python -m bench.queue_growth`: a queue of 1,000 to 100,000 due recipients whose server hangs, and what others feel.

All but a few belong to one inbox and one next hop, a server that takes connections and never says a word. Measured: a
look through the whole queue, a claim, the memory of the plan, and how long one mail of another inbox to another next
hop takes, and one of another inbox to a next hop that takes mail while all 100,000 of the first wait for it too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pygal

from gateway.delivery.agenda import Agenda, Places
from gateway.delivery.lanes import Pick
from gateway.delivery.scout import Scout
from gateway.ingest.writer import Ingest
from gateway.model.ids import InboxId
from gateway.model.recipient import Recipient
from gateway.store import content, inboxes, queue_claim, sqlite, submissions
from gateway.store.content import StagedContent
from gateway.store.db import Database, Tx, open_database
from gateway.store.submissions import SubmissionNew
from tests.servers.process import wait_for
from tests.support.gateway import Gateway

from .growth import COLOURS
from .report import replace_between
from .sink import Sink

BEGIN, END = "<!-- queue growth: begin -->", "<!-- queue growth: end -->"
EACH = 10  # recipients of a submission
CLAIMS = 50
_SETTINGS = """
[relay]
host = "127.0.0.1"
port = {mute}
security = "none"
allow_private = true
[[relays]]
name = "sink"
hosts = ["127.0.0.1:{sink}"]
security = "none"
allow_private = true
[[route]]
to = ["quick.test"]
via = "sink"
"""
_MAIL = b"From: %s\r\nMessage-ID: <%s@bench.test>\r\nSubject: x\r\n\r\nbody\r\n"


@dataclass(frozen=True)
class Figures:
    """Milliseconds (of CPU for `look` and claims), and MiB that the process that serves grew by."""

    size: int
    look: float
    claim: float
    slowest_claim: float
    memory: float
    other_hop: float
    same_hop: float


class Mute:
    """Takes connections and never says a word."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._held.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for each in self._held:
            each.close()


async def fill(url: str, address: str, domain: str, count: int) -> None:
    """So many due recipients of the inbox."""
    db = open_database(url)
    await db.start()
    try:
        writer = Ingest(db, now=time.time).writer(max_size=1_000_000)
        await writer.write(_MAIL % (address.encode(), b"bulk"))
        staged = await writer.finish()
        await db.write(lambda tx: content.complete(tx, staged, int(time.time())))
        inbox = await db.read(lambda rx: inboxes.inbox_by_address(rx, address))
        assert inbox is not None
        for start in range(0, count, 1000):
            await db.write(_unit(inbox.id, address, domain, staged, start, min(1000, count - start)))
    finally:
        await db.close()


def _unit(
    inbox_id: InboxId, address: str, domain: str, staged: StagedContent, start: int, count: int
) -> Callable[[Tx], None]:
    def unit(tx: Tx) -> None:
        for first in range(start, start + count, EACH):
            people = [Recipient(f"to{number}@{domain}") for number in range(first, first + EACH)]
            new = SubmissionNew(
                inbox_id=inbox_id, key_id=None, mail_from=address, content_id=staged.content_id, recipients=people
            )
            submissions.enqueue(tx, new, int(time.time()))

    return unit


async def plan(url: str) -> tuple[float, float, float]:
    """Milliseconds of CPU of a whole look, of a claim (median) and of the slowest claim."""
    db = open_database(url)
    await db.start()
    try:
        agenda: Agenda[Pick] = Agenda(Places(each=20))
        scout = Scout(db, lambda due: due.address.rpartition("@")[2])
        start = time.process_time()
        agenda.adopt(await scout.everything(int(time.time())))
        look = (time.process_time() - start) * 1e3
        return look, *await _claims(db, agenda)
    finally:
        await db.close()


async def _claims(db: Database, agenda: Agenda[Pick]) -> tuple[float, float]:
    taken = []
    for _ in range(CLAIMS):
        picks = agenda.to_claim(time.time())
        rows = [number for pick in picks for number in pick.recipients][:200]
        for pick in picks:
            agenda.claimed(pick, [])
        now, start = int(time.time()), time.process_time()
        items = await db.write(lambda tx: queue_claim.claim(tx, rows, now, 60, "bench"))  # noqa: B023
        taken.append((time.process_time() - start) * 1e3)
        assert len(items) == len(rows)
        await db.write(lambda tx: queue_claim.unclaim(tx, rows, "bench", now))  # noqa: B023
        for pick in picks:
            for number in pick.recipients:
                agenda.hop(pick.hop).lanes.add(pick.inbox_id, pick.submission_id, number)
    return statistics.median(taken), max(taken)


def own_memory(pid: int) -> int:
    """Octets that the process has written to, without those of its readers."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024


def one_mail(gateway: Gateway, sender: str, key: str, token: str, domain: str) -> float:
    """Milliseconds from its acceptance to its delivery, as the store knows it."""
    client = gateway.smtp(sender, key)
    store = sqlite.connect(gateway.data_dir / "gateway.db", reading=True)
    client.sendmail(sender, [f"one@{domain}"], _MAIL % (sender.encode(), token.encode()))
    start = time.perf_counter()
    query = "SELECT finished_at FROM submission ORDER BY id DESC LIMIT 1"
    wait_for(lambda: store.execute(query).fetchone()[0] is not None, "the mail to be delivered", 60, 0.002)
    taken = (time.perf_counter() - start) * 1e3
    store.close()
    client.close()
    return taken


def measure(root: Path, size: int) -> Figures:
    with ExitStack() as stack:
        mute, sink = Mute(), Sink()
        stack.callback(mute.close)
        sink.start()
        stack.callback(sink.stop)
        gateway = Gateway(root / str(size), _SETTINGS.format(mute=mute.port, sink=sink.port), hostname="bench.test")
        gateway.init()
        gateway.start()
        stack.callback(lambda: gateway.process is not None and gateway.stop())
        other, key = gateway.inbox("other@bench.test")
        one_mail(gateway, other, key, "warm", "quick.test")
        gateway.stop()
        gateway.start()
        one_mail(gateway, other, key, "warm as well", "quick.test")
        before = own_memory(gateway.pid)
        gateway.stop()
        url = f"sqlite:///{gateway.data_dir / 'gateway.db'}"
        asyncio.run(fill(url, gateway.address, "slow.test", size))
        look, claim, slowest = asyncio.run(plan(url))
        gateway.start()
        one_mail(gateway, other, key, "warm again", "quick.test")
        memory = (own_memory(gateway.pid) - before) / 2**20
        other_hop = statistics.median(one_mail(gateway, other, key, f"hop{n}", "quick.test") for n in range(20))
        gateway.stop()
        asyncio.run(fill(url, gateway.address, "quick.test", size))
        gateway.start()
        same_hop = statistics.median(one_mail(gateway, other, key, f"same{n}", "quick.test") for n in range(5))
    found = Figures(size, look, claim, slowest, memory, other_hop, same_hop)
    print(found, flush=True)
    return found


def table(found: Sequence[Figures]) -> str:
    rows = (
        ("a look through the whole queue", "ms of CPU", [each.look for each in found]),
        ("a claim of 200 recipients, median", "ms of CPU", [each.claim for each in found]),
        ("the slowest of 50 claims", "ms of CPU", [each.slowest_claim for each in found]),
        ("memory of the process that serves", "MiB", [each.memory for each in found]),
        ("one mail of another inbox, another next hop", "ms", [each.other_hop for each in found]),
        ("one mail of another inbox, the same next hop", "ms", [each.same_hop for each in found]),
    )
    lines = ["| due recipients | unit | " + " | ".join(f"{each.size:,}" for each in found) + " |"]
    lines.append("|---" * (2 + len(found)) + "|")
    lines += [f"| {name} | {unit} | " + " | ".join(f"{value:,.1f}" for value in row) + " |" for name, unit, row in rows]
    return "\n".join(lines)


def plot(path: Path, found: Sequence[Figures]) -> None:
    """Both axes logarithmic: what grows with the queue is a straight line, what does not a level one."""
    chart = pygal.XY(
        style=COLOURS, logarithmic=True, xrange=(found[0].size * 0.8, found[-1].size * 1.2),
        x_title="due recipients, all of one inbox to a server that hangs", y_title="milliseconds",
        title="A queue that grows", legend_at_bottom=True, legend_at_bottom_columns=2,
        x_labels=[each.size for each in found], x_value_formatter=lambda value: f"{value:,.0f}",
        width=900, height=600, margin_bottom=50, js=[],
    )
    chart.add("a look through all of it", [(each.size, each.look) for each in found])
    chart.add("a claim of 200 recipients", [(each.size, each.claim) for each in found])
    chart.add("one mail of another inbox, another next hop", [(each.size, each.other_hop) for each in found])
    chart.add("one mail of another inbox, the same next hop", [(each.size, each.same_hop) for each in found])
    chart.render_to_file(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.queue_growth", description=__doc__)
    parser.add_argument("--most", type=int, default=100_000, help="recipients of the largest queue (default 100,000)")
    parser.add_argument("--write", type=Path, help="write the table into this Markdown file, and queue.svg beside it")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= options.most]
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        found = [measure(Path(name), size) for size in sizes]
    text = table(found)
    note = f"{os.cpu_count()} cores, load average before {load:.1f}.\n\n"
    print(note + text)
    if options.write:
        replace_between(options.write, BEGIN, END, note + text + "\n\n![A queue that grows](queue.svg)")
        plot(options.write.parent / "queue.svg", found)


if __name__ == "__main__":
    main()
