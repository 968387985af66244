"""Figures: the page's text, the table against the code that counts, and names that do not exist."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from gateway.model.ports import Metrics
from gateway.ops.metric_table import TABLE, Declared, Kind
from gateway.ops.metrics import MAX_SERIES, PrometheusMetrics

GATEWAY = Path(__file__).parents[3] / "gateway"
SMALL = (
    Declared("logins_total", Kind.COUNTER, "Logins.", ("result",)),
    Declared("open", Kind.GAUGE, "Open.", shown="shown_open"),
    Declared("seconds", Kind.TIMING, "Time.", ("command",), (0.1, 1.0)),
)


def small(*, strict: bool = True) -> PrometheusMetrics:
    return PrometheusMetrics(SMALL, strict=strict, process=False)


def test_the_page() -> None:
    metrics: Metrics = (made := small())
    metrics.count("logins_total", result="ok")
    metrics.count("logins_total", 2, result="ok")
    metrics.count("logins_total", result='a"b\n')
    metrics.gauge("open", 3)
    metrics.gauge("open", 2)
    metrics.shift("open", 5)
    metrics.shift("open", -1)
    metrics.observe("seconds", 0.5, command="NOOP")
    lines = made.page().decode().splitlines()
    assert "# HELP gateway_logins_total Logins." in lines
    assert "# TYPE gateway_logins_total counter" in lines
    assert 'gateway_logins_total{result="ok"} 3.0' in lines
    assert 'gateway_logins_total{result="a\\"b\\n"} 1.0' in lines
    assert "gateway_shown_open 6.0" in lines
    assert 'gateway_seconds_bucket{command="NOOP",le="0.1"} 0.0' in lines
    assert 'gateway_seconds_bucket{command="NOOP",le="1.0"} 1.0' in lines
    assert 'gateway_seconds_sum{command="NOOP"} 0.5' in lines


@pytest.mark.parametrize("use", [
    lambda metrics: metrics.count("unknown"),
    lambda metrics: metrics.count("open"),
    lambda metrics: metrics.gauge("logins_total", 1, result="x"),
    lambda metrics: metrics.shift("unknown", 1),
    lambda metrics: metrics.count("logins_total"),
    lambda metrics: metrics.count("logins_total", other="x"),
    lambda metrics: metrics.observe("seconds", 1, command="x", more="y"),
])
def test_what_is_not_declared_is_an_error_in_tests_and_dropped_in_service(use: Any) -> None:
    with pytest.raises(ValueError, match="is not declared as"):
        use(small())
    lenient = small(strict=False)
    use(lenient)
    assert b"} 1" not in lenient.page()


def test_series_are_bounded() -> None:
    metrics = small(strict=False)
    for number in range(MAX_SERIES + 50):
        metrics.count("logins_total", result=str(number))
    assert metrics.page().decode().count("gateway_logins_total{") == MAX_SERIES
    metrics.count("logins_total", result="0")
    assert 'gateway_logins_total{result="0"} 2.0' in metrics.page().decode()


def test_the_whole_table_can_be_exported_with_the_process() -> None:
    page = PrometheusMetrics().page().decode()
    for item in TABLE:
        name = (item.shown or item.name).removesuffix("_total") + ("_total" if item.kind is Kind.COUNTER else "")
        assert f"# HELP gateway_{name} {item.help}" in page
    assert "process_resident_memory_bytes" in page


def uses() -> list[tuple[str, str, str, frozenset[str]]]:
    """(place, method, name, labels) of each call on something called metrics with a literal name."""
    found = []
    for path in sorted(GATEWAY.rglob("*.py")):
        if path.parent.name == "ops":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            owned = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if owned.strip("_") != "metrics" or node.func.attr not in {"count", "observe", "gauge", "shift"}:
                continue
            assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: a metric's name is a literal"
            names = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            labels = frozenset(names - {"value", "seconds"})
            found.append((f"{path.relative_to(GATEWAY)}:{node.lineno}", node.func.attr, node.args[0].value, labels))
    return found


def test_everything_the_code_counts_is_declared_and_the_other_way_round() -> None:
    method = {Kind.COUNTER: "count", Kind.GAUGE: "gauge", Kind.TIMING: "observe"}
    declared = {(item.name, method[item.kind], frozenset(item.labels)) for item in TABLE}
    used = {(name, "gauge" if how == "shift" else how, labels) for _, how, name, labels in uses()}
    assert len(used) >= 3
    assert used - declared == set(), "add these to gateway/ops/metric_table.py"
    assert declared - used == set(), "nothing counts these"
