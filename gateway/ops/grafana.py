"""A dashboard for Grafana, made from the table of metrics: a panel each, in rows by what they are of.

`python -m gateway.ops.grafana` writes docs/grafana-dashboard.json anew; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from .metric_table import TABLE, Declared, Kind
from .metrics import PREFIX

FILE: Final = Path("docs/grafana-dashboard.json")
INSTANCES: Final = "gateway_store_reader_processes"
"""Every gateway shows it, from its start on."""
TITLE: Final = "Mail gateway"
UID: Final = "mail-gateway"
SCHEMA: Final = 39
"""Of Grafana 10.4; later ones read it too."""

_ROWS: Final = (
    ("Mail programs", ("imap", "auth")),
    ("Submission and intake", ("smtp", "lmtp")),
    ("Queue and delivery", ("queue", "delivery")),
    ("HTTP", ("web", "webhook", "webhooks", "events")),
    ("Accounts elsewhere", ("connector", "connectors", "oauth", "sync")),
    ("Store", ("store", "janitor", "search", "texts", "audit")),
)
"""Title, first words of names. What fits none comes last, under "Others"."""
_OTHERS: Final = "Others"
_ONLY: Final = 'instance=~"$instance"'
_RATE: Final = "[$__rate_interval]"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 8
_HEIGHT: Final = 7
_COLUMNS: Final = 24 // _WIDTH
_QUANTILES: Final = (("median", "0.5"), ("99 %", "0.99"))


def shown(metric: Declared) -> str:
    """The name on the page of /metrics, without what a kind appends."""
    return f"{PREFIX}_{metric.shown or metric.name}".removesuffix("_total" if metric.kind is Kind.COUNTER else "")


def queries(metric: Declared) -> list[tuple[str, str]]:
    """(legend, PromQL) for what a metric tells: a rate, a level, or how long things take."""
    labels = ", ".join(metric.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels)
    if metric.kind is Kind.COUNTER:
        by = f" by ({labels})" if labels else ""
        return [(legend or "a second", f"sum{by} (rate({shown(metric)}_total{{{_ONLY}}}{_RATE}))")]
    if metric.kind is Kind.GAUGE:
        by = f" by (instance, {labels})" if labels else " by (instance)"
        return [(f"{{{{instance}}}} {legend}".strip(), f"sum{by} ({shown(metric)}{{{_ONLY}}})")]
    by = f" by (le, {labels})" if labels else " by (le)"
    rate = f"sum{by} (rate({shown(metric)}_bucket{{{_ONLY}}}{_RATE}))"
    return [(f"{legend} {name}".strip(), f"histogram_quantile({part}, {rate})") for name, part in _QUANTILES]


def _unit(metric: Declared) -> str:
    if metric.kind is Kind.TIMING or metric.name.endswith("_seconds"):
        return "s"
    if "octets" in metric.name:
        return "Bps" if metric.kind is Kind.COUNTER else "bytes"
    return "ops" if metric.kind is Kind.COUNTER else "short"


def _panel(metric: Declared, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number, "type": "timeseries", "title": metric.help.partition(":")[0].rstrip("."), "datasource": _SOURCE,
        "description": metric.help, "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": _unit(metric), "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expr, "legendFormat": legend, "datasource": _SOURCE}
            for index, (legend, expr) in enumerate(queries(metric))
        ],
    }  # fmt: skip


def _grouped(table: Iterable[Declared]) -> list[tuple[str, list[Declared]]]:
    groups: dict[str, list[Declared]] = {title: [] for title in (*(title for title, _ in _ROWS), _OTHERS)}
    for metric in table:
        first = metric.name.partition("_")[0]
        groups[next((title for title, words in _ROWS if first in words), _OTHERS)].append(metric)
    return [(title, metrics) for title, metrics in groups.items() if metrics]


def dashboard(table: Sequence[Declared] = TABLE) -> dict[str, Any]:
    """The whole, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, metrics in _grouped(table):
        row = {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}  # fmt: skip
        panels.append(row)
        y += 1
        for index, metric in enumerate(metrics):
            place = y + index // _COLUMNS * _HEIGHT
            panels.append(_panel(metric, len(panels) + 1, index % _COLUMNS * _WIDTH, place))
        y += -(-len(metrics) // _COLUMNS) * _HEIGHT
    return {
        "uid": UID, "title": TITLE, "tags": ["mail"], "schemaVersion": SCHEMA, "version": 1, "editable": True,
        "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "timezone": "browser",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            {"name": "instance", "label": "Instance", "type": "query", "datasource": _SOURCE, "includeAll": True,
             "multi": True, "refresh": 2, "current": {"text": "All", "value": "$__all"},
             "query": f"label_values({INSTANCES}, instance)"},
        ]},
        "panels": panels,
    }  # fmt: skip


def text(table: Sequence[Declared] = TABLE) -> str:
    return json.dumps(dashboard(table), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
