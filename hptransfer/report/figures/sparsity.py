"""Loss against sparsity: each series at the transferred HPs and at its own best."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import regret_text, sparsity_text
from hptransfer.report.figures.chart import Chart, Line, Lost, Panel, Point, View
from hptransfer.report.figures.labels import loss_label
from hptransfer.report.figures.scales import around, linear_axis, place, scaled_axis
from hptransfer.report.points import judged_cells
from hptransfer.report.series_look import LineStyle, order_series, series_styles, series_text

__all__ = ["sparsity"]

MOST_WIDTHS = 3


def sparsity(results: Results) -> Chart | None:
    """A panel per width, at most the three largest; the limits are those of what is shown."""
    cells = judged_cells(results)
    widths = sorted(float(str(w)) for w, group in cells.groupby("width") if group["density"].nunique() > 1)
    cells = cells[cells["width"].isin(widths[-MOST_WIDTHS:])]
    losses = cells[["min_loss", "transferred_loss"]].astype(float).to_numpy()
    if not np.isfinite(losses).any():
        return None
    styles = series_styles(order_series(list(cells["series"])))
    y = linear_axis(loss_label(results), *around(losses[np.isfinite(losses)]))
    panels = []
    for width, rows in cells.groupby("width"):
        x = scaled_axis("density", [float(v) for v in rows["density"]], as_sparsity=True)
        lines = [line for name in styles for line in _lines(rows[rows["series"] == name], name, styles[name])]
        panels.append(Panel(f"width {width:g}", x, y, tuple(lines)))
    crosses = " Cross: diverged." if np.isposinf(losses[:, 1]).any() else ""
    return Chart(
        "sparsity",
        "Loss against sparsity",
        "The gap between a rule's filled and open marks is what tuning every cell anew would buy.",
        "Filled: at the transferred values, where they were run. Open, thin: each cell at its own best." + crosses,
        (View("", tuple(panels), direct=True, file="sparsity"),),
    )


def _lines(rows: pd.DataFrame, name: str, style: LineStyle) -> tuple[Line, Line]:
    best, carried, lost = [], [], []
    for row in rows.sort_values("density", ascending=False).to_dict("records"):
        x = place("density", float(row["density"]))
        head = f"{series_text(name)}, {sparsity_text(float(row['density']))} sparse"
        own, moved = float(row["min_loss"]), float(row["transferred_loss"])
        if math.isfinite(own):
            best.append(Point(x, own, f"{head}\nat its own best: loss {own:.4f}", open=True))
        if math.isfinite(moved):
            regret = regret_text(float(row["regret"]), float(row["regret_high"]))
            carried.append(Point(x, moved, f"{head}\ntransferred: loss {moved:.4f}\nregret {regret}"))
        elif math.isinf(moved):
            lost.append(Lost(x, f"{head}\ndiverged at the transferred values"))
    text = series_text(name)
    return Line(text, style, tuple(best), drawn="thin"), Line(text, style, tuple(carried), tuple(lost))
