"""Charts as SVG files: pages show them as images, so that their own style needs no leave from the page's policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

# Colours that can be told apart on light and dark ground, also by people who see no red or green.
_COLOURS: Final = ("#4f81e0", "#d98a2b", "#3aa57f")
_INK: Final = "#7a8190"
_FEW: Final = 5


def bars(title: str, labels: Sequence[str], values: Sequence[int]) -> bytes:
    """A bar for each label."""
    import pygal

    chart = pygal.Bar(**_options(title), show_legend=False, x_label_rotation=0)
    chart.x_labels = list(labels)
    # Every label would not fit.
    chart.x_labels_major_count = 6
    chart.show_minor_x_labels = False
    chart.add(title, list(values))
    _whole(chart, values)
    return _rendered(chart)


def lines(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> bytes:
    """A line for each series, over the same labels; None is a gap."""
    import pygal

    alone = len(labels) < 2  # no line yet, so that it would not be seen
    chart = pygal.Line(**_options(title), show_legend=len(series) > 1, show_dots=alone, dots_size=4, x_label_rotation=0)
    chart.x_labels = list(labels)
    chart.x_labels_major_count = 6
    chart.show_minor_x_labels = False
    for name, values in series.items():
        chart.add(name, list(values))
    _whole(chart, [value for values in series.values() for value in values if value is not None])
    return _rendered(chart)


def _whole(chart: Any, values: Sequence[float]) -> None:
    """Of a few things nobody draws fifths."""
    most = max(values, default=0)
    if most < _FEW:
        chart.y_labels = list(range(int(most) + 2))


def _options(title: str) -> dict[str, Any]:
    import pygal
    from pygal.style import Style

    style = Style(
        background="transparent", guide_stroke_color=_INK, major_guide_stroke_color=_INK, guide_stroke_dasharray="1,6",
        major_guide_stroke_dasharray="1,6", plot_background="transparent", foreground=_INK, foreground_strong=_INK,
        foreground_subtle=_INK, colors=_COLOURS, font_family="system-ui, sans-serif", label_font_size=13,
        major_label_font_size=13, legend_font_size=14, title_font_size=16, no_data_font_size=15,
    )
    config = pygal.Config(
        js=[], title=title, style=style, width=1000, height=260, explicit_size=False, range=None, margin=14,
        no_data_text="Nothing yet", min_scale=2, include_x_axis=True, legend_at_bottom=True, legend_box_size=12,
        max_scale=5, truncate_label=-1, value_formatter=lambda value: f"{value:g}",
    )
    return {"config": config}


def _still(root: Any) -> Any:
    """Without the script that would show values under the mouse: images run none."""
    for parent in root.iter():
        for child in [one for one in parent if str(one.tag).endswith("script")]:
            parent.remove(child)
    return root


def _rendered(chart: Any) -> bytes:
    chart.add_xml_filter(_still)
    octets: bytes = chart.render()
    return octets
