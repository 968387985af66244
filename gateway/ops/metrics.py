"""Counters and timings for Prometheus, cheap enough to stand in every command (about 1 us a count)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from .metric_table import TABLE, Declared, Kind

log = structlog.get_logger(__name__)

PREFIX: Final = "gateway"
MAX_SERIES: Final = 500  # label combinations of one metric; a page that grows with its peers would be a leak
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Key = tuple[str, ...]


class PrometheusMetrics:
    """`model.ports.Metrics` over a registry of its own.

    `strict`: a name, kind or label that the table lacks is a ValueError (tests); else it is logged once and dropped,
    for no request may fail because of a figure.
    """

    def __init__(self, table: Iterable[Declared] = TABLE, *, strict: bool = False, process: bool = True) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._strict = strict
        self._declared = {item.name: item for item in table}
        self._parents: dict[str, MetricWrapperBase] = {
            item.name: self._make(item) for item in self._declared.values()
        }
        self._counters: dict[_Key, Counter] = {}
        self._gauges: dict[_Key, Gauge] = {}
        self._timings: dict[_Key, Histogram] = {}
        self._series: dict[str, int] = {}
        self._told: set[str] = set()
        if process:
            ProcessCollector(registry=self.registry)

    def _make(self, item: Declared) -> MetricWrapperBase:
        name = f"{PREFIX}_{item.shown or item.name}"
        if item.kind is Kind.COUNTER:
            return Counter(name, item.help, item.labels, registry=self.registry)
        if item.kind is Kind.GAUGE:
            return Gauge(name, item.help, item.labels, registry=self.registry)
        return Histogram(name, item.help, item.labels, buckets=item.buckets, registry=self.registry)

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        """Add `value` to a counter."""
        key = (name, *labels, *labels.values()) if labels else (name,)
        child = self._counters.get(key)
        if child is None:
            made = self._child(name, Kind.COUNTER, labels)
            if not isinstance(made, Counter):
                return
            child = self._counters[key] = made
        child.inc(value)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add one duration to a timing."""
        key = (name, *labels, *labels.values()) if labels else (name,)
        child = self._timings.get(key)
        if child is None:
            made = self._child(name, Kind.TIMING, labels)
            if not isinstance(made, Histogram):
                return
            child = self._timings[key] = made
        child.observe(seconds)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        child = self._gauge(name, labels)
        if child is not None:
            child.set(value)

    def shift(self, name: str, by: float, **labels: str) -> None:
        """Add `by`, which may be negative, to a gauge: several listeners make one figure."""
        child = self._gauge(name, labels)
        if child is not None:
            child.inc(by)

    def _gauge(self, name: str, labels: dict[str, str]) -> Gauge | None:
        key = (name, *labels, *labels.values()) if labels else (name,)
        child = self._gauges.get(key)
        if child is None:
            made = self._child(name, Kind.GAUGE, labels)
            if not isinstance(made, Gauge):
                return None
            child = self._gauges[key] = made
        return child

    def _child(self, name: str, kind: Kind, labels: dict[str, str]) -> MetricWrapperBase | None:
        """The series of these labels, made on first use; None when it is not exported."""
        item = self._declared.get(name)
        if item is None or item.kind is not kind or set(item.labels) != set(labels):
            wrong = f"metric {name!r} is not declared as {kind.value} with labels {sorted(labels)}"
            if self._strict:
                raise ValueError(wrong)
            self._tell(name, wrong)
            return None
        if not labels:
            return self._parents[name]
        made = self._series.get(name, 0)
        if made >= MAX_SERIES:
            self._tell(name, f"metric {name!r} has {MAX_SERIES} label combinations already")
            return None
        self._series[name] = made + 1
        return self._parents[name].labels(**labels)

    def _tell(self, name: str, reason: str) -> None:
        if name not in self._told:
            self._told.add(name)
            log.error("metrics.dropped", reason=reason)

    def page(self) -> bytes:
        """The text that Prometheus reads (CONTENT_TYPE)."""
        return generate_latest(self.registry)
