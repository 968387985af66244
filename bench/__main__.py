"""`python -m bench`: run the rows on both sides in turn, print medians and ratios, write docs/performance.md.

Each row runs A B A B … so that a machine whose speed drifts slows both sides alike. The second pass runs each row
again with one CPU-bound session beside it on the same server.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.servers.dovecot import start_dovecot
from tests.servers.postfix import start_postfix

from . import queue
from .busy import busy_beside
from .client import Account, Imap
from .corpus import messages
from .gateway import start_gateway
from .lmtp import Place
from .measure import Row, Sample, Side, imap_of
from .report import Result, print_result, write_report
from .rows import ROWS, make_folders

MESSAGES = 10_000


def fill_inbox(side: Side) -> None:
    connection = Imap(imap_of(side))
    connection.append_many("INBOX", messages(MESSAGES))
    connection.logout()


def _fill(side: Side) -> None:
    fill_inbox(side)
    connection = Imap(imap_of(side))
    for mailbox in ("Trash", "Drafts"):  # made on first use: not while eight connections write to it
        connection.append_many(mailbox, messages(1))
    make_folders(connection)
    connection.logout()


def _flush_ms(directory: Path) -> float:
    """Median milliseconds of an fdatasync of 4 KiB on the disk under test."""
    taken = []
    with (directory / "flush").open("wb") as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e3


def _measure(row: Row, ours: Side, peer: Side, rounds: int, busy: bool) -> Result:
    samples: dict[str, list[Sample]] = {ours.name: [], peer.name: []}
    for _ in range(rounds):
        for side in (ours, peer):
            with ExitStack() as stack:
                if busy and side.imap is not None:
                    stack.enter_context(busy_beside(side.imap))
                samples[side.name].append(row.run(side))
    return Result(row, peer.name, samples[ours.name], samples[peer.name], busy)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times each row runs on each side (default 3)")
    parser.add_argument("--only", default="", help="run only rows whose name holds this text")
    parser.add_argument("--quiet-only", action="store_true", help="leave out the pass beside a CPU-bound session")
    parser.add_argument("--write", type=Path, help="write the tables into this Markdown file, between its marks")
    options = parser.parse_args()
    rows = [row for row in ROWS if options.only.lower() in row.name.lower()]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        root = Path(name)
        flush = _flush_ms(root)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
              f"fdatasync of 4 KiB {flush:.2f} ms", flush=True)
        gateway = start_gateway(root / "gateway")
        stack.callback(gateway.stop)
        dovecot = start_dovecot(root / "dovecot")
        stack.callback(dovecot.stop)
        postfix = start_postfix(root / "postfix", "relayhost = [127.0.0.1]:1\ndefer_transports = smtp\n")
        stack.callback(postfix.stop)
        ours = Side(
            "gateway", gateway.process.pid, gateway.imap, gateway.smtp, gateway.imap.user.encode(), lmtp=gateway.lmtp
        )
        imap_peer = Side(
            "Dovecot", dovecot.process.pid, Account(dovecot.imaps, dovecot.ca, "bench", dovecot.password),
            lmtp=Place(dovecot.lmtp, gateway.lmtp.recipients),
        )
        relaxed = ours
        if any(row.protocol == "relaxed" for row in rows):
            lenient = start_gateway(root / "relaxed", GATEWAY_STORE__FLAG_SYNC="50")
            stack.callback(lenient.stop)
            relaxed = Side("gateway", lenient.process.pid, lenient.imap)
            fill_inbox(relaxed)
        smtp_peer = Side("Postfix", postfix.process.pid, None, Account(postfix.smtps, postfix.ca, "", ""))
        queues = queue.sides(root, stack) if any(row.protocol == "queue" for row in rows) else (ours, smtp_peer)
        if any(row.protocol not in ("smtp", "lmtp", "queue") for row in rows) or not options.quiet_only:
            for side in (ours, imap_peer):
                start = time.perf_counter()
                _fill(side)
                print(f"{side.name}: {MESSAGES} messages appended in {time.perf_counter() - start:.1f} s", flush=True)
            print(f"gateway: text for SEARCH made {gateway.settle():.1f} s later", flush=True)
        results = []
        for busy in (False,) if options.quiet_only else (False, True):
            for row in rows:
                peer = smtp_peer if row.protocol == "smtp" else imap_peer
                side = relaxed if row.protocol == "relaxed" else ours
                if row.protocol == "queue":
                    side, peer = queues
                result = _measure(row, side, peer, options.rounds, busy)
                print_result(result)
                results.append(result)
        if options.write:
            write_report(options.write, results, flush)
    worse = [result for result in results if result.ratio < 1]
    print(f"{len(results) - len(worse)} of {len(results)} rows at least as good as the peer")
    sys.exit(0)


if __name__ == "__main__":
    main()
