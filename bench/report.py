"""Medians and ratios of a run, on the terminal and as Markdown tables."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .measure import Row, Sample

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
WEB = "<!-- http: begin -->", "<!-- http: end -->"
OF_WEB = frozenset({"http", "beside", "listeners", "hooks"})
"""Protocols of rows that have a table of their own, with the times of an operation."""


@dataclass(frozen=True)
class Result:
    row: Row
    peer: str
    ours: Sequence[Sample]
    theirs: Sequence[Sample]
    busy: bool

    @staticmethod
    def _median(samples: Sequence[Sample]) -> float | None:
        return statistics.median(sample.value for sample in samples) if samples else None

    @staticmethod
    def _cpu(samples: Sequence[Sample]) -> float | None:
        known = [sample.cpu_us for sample in samples if sample.cpu_us is not None]
        return statistics.median(known) if known else None

    @property
    def values(self) -> tuple[float | None, float | None]:
        """None for a peer that there is none of."""
        return self._median(self.ours), self._median(self.theirs)

    @property
    def cpu(self) -> tuple[float | None, float | None]:
        return self._cpu(self.ours), self._cpu(self.theirs)

    @property
    def times(self) -> list[tuple[float, float] | None]:
        """p50 and p99 in milliseconds, ours and the peer's."""
        return [self._times(self.ours), self._times(self.theirs)]

    @staticmethod
    def _times(samples: Sequence[Sample]) -> tuple[float, float] | None:
        known = [sample.times for sample in samples if sample.times is not None]
        if not known:
            return None
        return statistics.median(half for half, _ in known), statistics.median(most for _, most in known)

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer: above 1 is ahead, whichever way the unit runs."""
        ours, theirs = self.values
        if ours is None or theirs is None:
            return None
        return ours / theirs if self.row.higher_is_better else theirs / ours

    @property
    def cpu_ratio(self) -> float | None:
        ours, theirs = self.cpu
        return theirs / ours if ours and theirs else None


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _times(times: tuple[float, float] | None) -> str:
    return "–" if times is None else f"{_number(times[0])}, {_number(times[1])}"


def cells(result: Result) -> list[str]:
    ours, theirs = result.values
    cpu_ours, cpu_theirs = result.cpu
    return [
        result.row.name, result.row.unit, _number(ours), f"{_number(theirs)} ({result.peer})" if result.peer else "–",
        _number(result.ratio),
        _number(cpu_ours), _number(cpu_theirs), _number(result.cpu_ratio),
    ]


def print_result(result: Result) -> None:
    name, unit, ours, theirs, ratio, cpu_ours, cpu_theirs, cpu_ratio = cells(result)
    beside = " beside a busy session" if result.busy else ""
    ours_times, theirs_times = map(_times, result.times)
    timed = f"; p50, p99 ms {ours_times} against {theirs_times}" if result.times[0] else ""
    print(
        f"{name}{beside}: {ours} against {theirs} {unit}, ratio {ratio}; CPU us {cpu_ours} against {cpu_theirs}, "
        f"ratio {cpu_ratio}{timed}", flush=True,
    )


def _table(results: Sequence[Result], *, times: bool = False) -> list[str]:
    head = ["row", "unit", "gateway", "peer", "ratio", "CPU us", "peer's CPU us", "CPU ratio"]
    head += ["p50, p99 ms", "peer's"] if times else []
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for result in results:
        row = cells(result) + (list(map(_times, result.times)) if times else [])
        lines.append("| " + " | ".join(row) + " |")
    return lines


def write_report(path: Path, results: Sequence[Result], flush_ms: float) -> None:
    """Replace what stands between the marks of `path`; the text around them is written by hand."""
    of_web = [result for result in results if result.row.protocol in OF_WEB]
    others = [result for result in results if result.row.protocol not in OF_WEB]
    for marks, some in (((BEGIN, END), others), (WEB, of_web)):
        if some:
            replace_between(path, *marks, "\n".join(_told(some, flush_ms, times=marks == WEB)).strip())


def _told(results: Sequence[Result], flush_ms: float, *, times: bool) -> list[str]:
    quiet = [result for result in results if not result.busy]
    busy = [result for result in results if result.busy]
    text = [
        f"Run of {datetime.datetime.now(datetime.UTC).date()}: {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, fdatasync of 4 KiB {flush_ms:.2f} ms. Medians; a ratio above 1 means that the "
        "gateway is ahead. CPU is the server's, in microseconds an operation (a message, or a megabyte).", "",
        *_table(quiet, times=times), "",
    ]
    if busy:
        text += ["The same rows, each with one CPU-bound session (full-text searches without end) beside it on the "
                 "same server:", "", *_table(busy, times=times), ""]
    return text


def replace_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between the two marks of `path`."""
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
