"""Does the optimum stay put? The best value of every cell over density, width and depth: level lines transfer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import power_text, value_text
from hptransfer.report.figures.chart import Chart, Line, Panel, Point, View
from hptransfer.report.figures.labels import base_label, file_name
from hptransfer.report.figures.scales import octave_axis, place, scaled_axis
from hptransfer.report.points import axis_text, cell_slices, judged_cells
from hptransfer.report.series_look import LineStyle, order_series, series_styles, series_text

__all__ = ["stability"]


def stability(results: Results) -> Chart | None:
    """A view per swept axis; a panel per scaled axis that varies, the others held where most cells are."""
    cells = judged_cells(results)
    views = []
    for axis in dict.fromkeys(cells["axis_name"].astype(str)):
        mine = cells[(cells["axis_name"] == axis) & np.isfinite(cells["optimum"].astype(float))]
        styles = series_styles(order_series(list(mine["series"])))
        panels = [_panel(by, held, rows, styles, _limits(mine), axis) for by, held, rows in cell_slices(mine)]
        if panels:
            ending = {"lr": "", "init_std": "-init"}.get(axis, f"-{file_name(axis)}")
            view = View(base_label(axis), tuple(panels), direct=True, dotted="transferred", file=f"stability{ending}")
            views.append(view)
    if not views:
        return None
    return Chart(
        "stability",
        "Does the optimum stay put?",
        "A level line transfers. A slope is the number of octaves the best value moves.",
        "Bars: interval of the fitted optimum. Open: no interval.",
        tuple(views),
        "Optimum of the",
    )


def _limits(mine: pd.DataFrame) -> tuple[float, float]:
    """Limits in octaves: every optimum and the transferred value, with intervals cut three octaves outside them."""
    centres = np.log2(pd.concat([mine["optimum"], mine["transferred"]]).astype(float).dropna())
    ends = np.log2(pd.concat([mine["optimum_low"], mine["optimum_high"]]).astype(float).dropna())
    ends = ends[np.isfinite(ends)].clip(centres.min() - 3, centres.max() + 3)
    low, high = float(min([centres.min(), *ends])), float(max([centres.max(), *ends]))
    pad = max(0.4, 0.08 * (high - low))
    return low - pad, high + pad


def _panel(
    by: str, held: str, rows: pd.DataFrame, styles: dict[str, LineStyle], limits: tuple[float, float], axis: str
) -> Panel:
    lines = []
    for name in order_series(list(rows["series"])):
        part = rows[rows["series"] == name].sort_values(by, ascending=by != "density")
        marks = []
        for row in part.to_dict("records"):
            best, low, high = (float(row[c]) for c in ("optimum", "optimum_low", "optimum_high"))
            known = math.isfinite(low) and math.isfinite(high) and low > 0
            ends = f"between {power_text(low)} and {power_text(high)}" if known else "no interval"
            where = f"{series_text(name)}, {by} {axis_text(by, float(row[by]))}"
            tip = f"{where}\nbest {power_text(best)} = {value_text(best)}\n{ends}"
            mark = Point(place(by, float(row[by])), math.log2(best), tip, open=not known)
            if known:
                low, high = (min(max(math.log2(v), limits[0] - 1), limits[1] + 1) for v in (low, high))
                mark = replace(mark, low=low, high=high)
            marks.append(mark)
        lines.append(Line(series_text(name), styles[name], tuple(marks)))
    carried = rows["transferred"].dropna().astype(float).unique()
    return Panel(
        f"against {by}" + (f", at {held}" if held else ""),
        scaled_axis(by, [float(v) for v in rows[by]]),
        octave_axis(f"best {base_label(axis)}", *limits, pad=0),
        tuple(lines),
        at_y=(math.log2(carried[0]),) if len(carried) == 1 else (),
    )
