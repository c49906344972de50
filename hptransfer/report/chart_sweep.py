"""Loss against LR or init std as a chart of the page, a view for every way to slice the grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import power_text, value_text
from hptransfer.report import chart_kit as kit
from hptransfer.report.chart_kit import LOSS, Chart
from hptransfer.report.plot_sweep import NAMES, carried, dotted_text, fitted_optimum, loss_limits
from hptransfer.report.points import Lines, axis_text, line_views, points, prepared, series_in
from hptransfer.report.style import MARKERS, sequence, series_text

__all__ = ["MAX_VIEWS", "sweep_chart"]

MAX_VIEWS = 12
"""Ways to slice the grid that the page offers; the most telling come first."""


def sweep_chart(results: Results, cells: pd.DataFrame, axis: str) -> Chart | None:
    rows = prepared(results.frame)
    table = points(rows, axis, results.base_values)
    if table["x"].nunique() < 2:
        return None
    values = carried(cells, series_in(rows), rows, results.base_values, axis)
    views = [_sweep_view(table, cells, rows, view, axis, values) for view in line_views(table)[:MAX_VIEWS]]
    word = "learning rate" if axis == "lr" else "init std"
    return {
        "id": axis,
        "pick": "Lines",
        "title": f"Loss against {word}",
        "lead": f"Where a line's lowest point sits away from the dotted line, the transferred {word} is not the best.",
        "note": "Bars: range over seeds. Diamond: fitted optimum. Cross: a seed diverged.",
        "views": views,
    }


def _sweep_view(
    table: pd.DataFrame, cells: pd.DataFrame, rows: pd.DataFrame, view: Lines, axis: str, values: dict[str, float]
) -> dict[str, Any]:
    inside = [k in view.keys for k in zip(table["width"], table["density"], table["depth"], strict=True)]
    mine = table[inside]
    kind = "density" if view.by == "density" else "width"
    light, dark = sequence(kind, len(view.keys)), sequence(kind, len(view.keys), dark=True)
    low, high = np.log2(mine["x"].min()), np.log2(mine["x"].max())
    bottom, top = loss_limits(mine)
    panels, blank = [], []
    for i, label in enumerate(view.labels):
        blank.append(kit.line(label, light[i], dark[i], (), MARKERS[i % len(MARKERS)]))
    for series in (s for s in series_in(rows) if s in set(mine["series"])):
        part = mine[mine["series"] == series]
        lines = [_sweep_line(part, cells, series, k, dict(b), axis) for k, b in zip(view.keys, blank, strict=True)]
        panels.append(
            {
                "title": series_text(series),
                "x": kit.octaves(NAMES[axis], low, high),
                "y": kit.plain_axis(LOSS, bottom, top),
                "lines": [line for line in lines if line["points"] or line["lost"]],
                "rules": [{"x": kit.short(math.log2(values[series]))}] if values[series] > 0 else [],
            }
        )
    by = "width · density" if view.by == "cell" else view.by
    held = view.held_text()
    name = f"by {by}" + (f", at {held}" if held else "")
    key = kit.keys(blank if view.by != "density" else blank[::-1])
    return {"name": name, "key": key if len(key) > 1 else [], "dotted": dotted_text(values), "panels": panels}


def _sweep_line(
    part: pd.DataFrame,
    cells: pd.DataFrame,
    series: str,
    key: tuple[float, float, float],
    line: dict[str, Any],
    axis: str,
) -> dict[str, Any]:
    same = (part["width"] == key[0]) & (part["density"] == key[1]) & (part["depth"] == key[2])
    line["points"], line["lost"] = [], []
    word = "LR" if axis == "lr" else "init std"
    where = f"{series_text(series)}, width {key[0]:g}, density {axis_text('density', key[1])}"
    for row in part[same].sort_values("x").to_dict("records"):
        x, n, lost = math.log2(row["x"]), int(row["n"]), int(row["n_diverged"])
        head = f"{where}\n{word} {power_text(row['x'])} = {value_text(row['x'])}"
        seeds = f"{n} seed{'s' * (n != 1)}" + (f", {lost} diverged" if lost else "")
        if math.isfinite(row["mean"]):
            span = f" ({row['low']:.3f}–{row['high']:.3f})" if n - lost > 1 else ""
            tip = f"{head}\nloss {row['mean']:.4f}{span}\n{seeds}"
            heights = [kit.short(row[c]) for c in ("mean", "low", "high")]
            line["points"].append([kit.short(x), *heights, int(lost > 0), tip])
        if lost:
            line["lost"].append([kit.short(x), f"{head}\n{lost} of {n} seeds diverged"])
    best, loss = fitted_optimum(cells, series, key, axis)
    if math.isfinite(best) and math.isfinite(loss) and best > 0:
        tip = f"{where}\nfitted optimum {power_text(best)} = {value_text(best)}\nloss there {loss:.4f}"
        line["star"] = [kit.short(math.log2(best)), kit.short(loss), tip]
    return line
