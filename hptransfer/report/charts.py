"""The page's charts as plain data: what to draw, with every number's text ready for hovering.

The script in the page knows lines, points and axes and nothing of hyperparameters; everything that is decided is
decided here, by the same functions the matplotlib pictures use. Shape of a chart:

    {id, pick, title, lead, note, views: [{name, key, direct, dotted, panels: [panel]}]}
    panel: {title, x: axis, y: axis, lines: [line], rules: [{x}|{y}]}
    axis: {label, low, high, ticks: [[place, text]]}
    line: {name, light, dark, dash, marker, points: [[x, y, low, high, open, tip]], lost: [[x, tip]], star: [x, y, tip]}

Places on an axis are already in octaves where the axis is logarithmic.
"""

from __future__ import annotations

import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.report.chart_cells import sparsity_chart, stability_chart
from hptransfer.report.chart_kit import Chart
from hptransfer.report.chart_runs import check_chart, tuning_chart
from hptransfer.report.chart_sweep import sweep_chart

__all__ = ["charts"]


def charts(results: Results) -> list[Chart]:
    """Every line chart of the page that has data, in reading order."""
    cells = results.judgement.cells if results.judgement else pd.DataFrame()
    found = [
        sweep_chart(results, cells, "lr"),
        stability_chart(cells),
        sparsity_chart(cells),
        sweep_chart(results, cells, "init_std"),
        check_chart(results.check, results.check_says),
        tuning_chart(results),
    ]
    return [chart for chart in found if chart is not None]
