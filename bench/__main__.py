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

from .busy import busy_beside
from .measure import Row, Sample, Side
from .report import Result, print_result, write_report
from .rows import ROWS
from .sides import sides


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


def _measure(row: Row, ours: Side, peer: Side | None, rounds: int, busy: bool) -> Result:
    both = (ours,) if peer is None else (ours, peer)
    samples: dict[str, list[Sample]] = {side.name: [] for side in both}
    for _ in range(rounds):
        for side in both:
            with ExitStack() as stack:
                if busy and side.imap is not None:
                    stack.enter_context(busy_beside(side.imap))
                samples[side.name].append(row.run(side))
    name = peer.name if peer is not None else ""
    return Result(row, name, samples[ours.name], samples.get(name, []), busy)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times each row runs on each side (default 3)")
    parser.add_argument("--only", default="", help="only rows whose name holds this text (HTTP: those of the API)")
    parser.add_argument("--quiet-only", action="store_true", help="leave out the pass beside a CPU-bound session")
    parser.add_argument("--write", type=Path, help="write the tables into this Markdown file, between its marks")
    options = parser.parse_args()
    rows = [row for row in ROWS if options.only.lower() in row.name.lower()]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        root = Path(name)
        flush = _flush_ms(root)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
              f"fdatasync of 4 KiB {flush:.2f} ms", flush=True)
        both = sides(root, stack, rows, busy=not options.quiet_only)
        results = []
        for busy in (False,) if options.quiet_only else (False, True):
            for row in rows:
                if busy and (row.once or row.quiet):
                    continue
                result = _measure(row, *both[row.protocol], 1 if row.once else options.rounds, busy)
                print_result(result)
                results.append(result)
        if options.write:
            write_report(options.write, results, flush)
    ratios = [result.ratio for result in results if result.ratio is not None]
    print(f"{sum(ratio >= 1 for ratio in ratios)} of {len(ratios)} rows at least as good as the peer")
    sys.exit(0)


if __name__ == "__main__":
    main()
