"""The dashboard in docs/ is that of the table of metrics, and asks for nothing that /metrics does not show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.ops import grafana
from gateway.ops.metric_table import TABLE, Kind
from gateway.ops.metrics import PrometheusMetrics

ROOT = Path(__file__).resolve().parents[3]
NAME = re.compile(r"\bgateway_\w+|\bprocess_\w+")


def exported() -> set[str]:
    """Every name on a page on which each metric has been counted once."""
    metrics = PrometheusMetrics(strict=True)
    for one in TABLE:
        labels = dict.fromkeys(one.labels, "x")
        if one.kind is Kind.COUNTER:
            metrics.count(one.name, **labels)
        elif one.kind is Kind.GAUGE:
            metrics.gauge(one.name, 1, **labels)
        else:
            metrics.observe(one.name, 1, **labels)
    found = re.findall(r"(?m)^([a-z]\w*)(?:\{([^}]*)\})? ", metrics.page().decode())
    return {name for name, _ in found}


def test_the_file_is_that_of_the_table() -> None:
    assert (ROOT / grafana.FILE).read_text() == grafana.text(), "run: python -m gateway.ops.grafana"


def test_every_expression_names_what_is_there_and_every_metric_has_a_panel() -> None:
    page = exported()
    asked: set[str] = set()
    for panel in grafana.dashboard()["panels"]:
        for target in panel.get("targets", ()):
            names = NAME.findall(target["expr"])
            assert names, target["expr"]
            asked.update(names)
    assert asked <= page
    assert len(asked) == len(TABLE)
    assert grafana.INSTANCES in page


def test_every_label_of_an_expression_is_declared() -> None:
    for metric in TABLE:
        for _, expr in grafana.queries(metric):
            (by,) = re.findall(r"by \(([^)]*)\)", expr) or [""]
            assert set(filter(None, by.split(", "))) - {"instance", "le"} == set(metric.labels)
            assert expr.count("(") == expr.count(")")
            assert expr.count("{") == expr.count("}")


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    board = json.loads(grafana.text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["title"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_metrics_that_a_page_names_are_there(page: Path) -> None:
    named = set(re.findall(r"`(gateway_\w+?)(?:\{[^`]*)?`", page.read_text()))
    assert named <= exported()
