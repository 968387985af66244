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


@dataclass(frozen=True)
class Result:
    row: Row
    peer: str
    ours: Sequence[Sample]
    theirs: Sequence[Sample]
    busy: bool

    @staticmethod
    def _median(samples: Sequence[Sample]) -> float:
        return statistics.median(sample.value for sample in samples)

    @staticmethod
    def _cpu(samples: Sequence[Sample]) -> float | None:
        known = [sample.cpu_us for sample in samples if sample.cpu_us is not None]
        return statistics.median(known) if known else None

    @property
    def values(self) -> tuple[float, float]:
        return self._median(self.ours), self._median(self.theirs)

    @property
    def cpu(self) -> tuple[float | None, float | None]:
        return self._cpu(self.ours), self._cpu(self.theirs)

    @property
    def ratio(self) -> float:
        """How many times better than the peer: above 1 is ahead, whichever way the unit runs."""
        ours, theirs = self.values
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


def cells(result: Result) -> list[str]:
    ours, theirs = result.values
    cpu_ours, cpu_theirs = result.cpu
    return [
        result.row.name, result.row.unit, _number(ours), f"{_number(theirs)} ({result.peer})", f"{result.ratio:.2f}",
        _number(cpu_ours), _number(cpu_theirs), _number(result.cpu_ratio),
    ]


def print_result(result: Result) -> None:
    name, unit, ours, theirs, ratio, cpu_ours, cpu_theirs, cpu_ratio = cells(result)
    beside = " beside a busy session" if result.busy else ""
    print(
        f"{name}{beside}: {ours} against {theirs} {unit}, ratio {ratio}; CPU us {cpu_ours} against {cpu_theirs}, "
        f"ratio {cpu_ratio}", flush=True,
    )


def _table(results: Sequence[Result]) -> list[str]:
    head = ["row", "unit", "gateway", "peer", "ratio", "CPU us", "peer's CPU us", "CPU ratio"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cells(result)) + " |" for result in results]
    return lines


def write_report(path: Path, results: Sequence[Result], flush_ms: float) -> None:
    """Replace what stands between the marks of `path`; the text around them is written by hand."""
    quiet = [result for result in results if not result.busy]
    busy = [result for result in results if result.busy]
    text = [
        f"Run of {datetime.datetime.now(datetime.UTC).date()}: {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, fdatasync of 4 KiB {flush_ms:.2f} ms. Medians; a ratio above 1 means that the "
        "gateway is ahead. CPU is the server's, in microseconds an operation (a message, or a megabyte).", "",
        *_table(quiet), "",
    ]
    if busy:
        text += ["The same rows, each with one CPU-bound session (full-text searches without end) beside it on the "
                 "same server:", "", *_table(busy), ""]
    replace_between(path, BEGIN, END, "\n".join(text).strip())


def replace_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between the two marks of `path`."""
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
