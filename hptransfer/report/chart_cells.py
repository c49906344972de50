"""The judged cells as charts of the page: the optimum over the axes, loss against sparsity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.common.number_text import power_text, regret_text, sparsity_text, value_text
from hptransfer.report import chart_kit as kit
from hptransfer.report.chart_kit import LOSS, Chart
from hptransfer.report.plot_cells import octave_limits
from hptransfer.report.plot_sweep import NAMES
from hptransfer.report.points import axis_text, cell_slices
from hptransfer.report.style import SeriesStyle, order_series, series_styles, series_text

__all__ = ["sparsity_chart", "stability_chart"]


def stability_chart(cells: pd.DataFrame) -> Chart | None:
    views = []
    for axis in ("lr", "init_std"):
        if cells.empty:
            continue
        mine = cells[(cells["axis_name"] == axis) & np.isfinite(cells["optimum"].astype(float))]
        slices = cell_slices(mine)
        if slices:
            styles = series_styles(order_series(list(mine["series"])))
            panels = [_stability_panel(by, held, rows, styles, octave_limits(mine), axis) for by, held, rows in slices]
            views.append({"name": NAMES[axis], "key": [], "direct": 1, "dotted": "transferred", "panels": panels})
    if not views:
        return None
    return {
        "id": "stability",
        "pick": "Of the",
        "title": "Does the optimum stay put?",
        "lead": "A level line transfers. A slope is the number of octaves the best value moves.",
        "note": "Bars: interval of the fitted optimum. Open: no interval. Dotted: the transferred value.",
        "views": views,
    }


def _stability_panel(
    by: str, held: str, rows: pd.DataFrame, styles: Mapping[str, SeriesStyle], limits: tuple[float, float], axis: str
) -> dict[str, Any]:
    lines = []
    for name in order_series(list(rows["series"])):
        line = kit.styled(name, styles[name])
        part = rows[rows["series"] == name].sort_values(by, ascending=by != "density")
        for row in part.to_dict("records"):
            best, low, high = (float(row[c]) for c in ("optimum", "optimum_low", "optimum_high"))
            known = math.isfinite(low) and math.isfinite(high) and low > 0
            ends = f"\nbetween {power_text(low)} and {power_text(high)}" if known else "\nno interval"
            where = f"{series_text(name)}, {by} {axis_text(by, float(row[by]))}"
            tip = f"{where}\nbest {power_text(best)} = {value_text(best)}{ends}"
            cut = (
                [kit.short(min(max(math.log2(v), limits[0] - 1), limits[1] + 1)) for v in (low, high)]
                if known
                else [None] * 2
            )
            line["points"].append(
                [kit.short(kit.place(by, float(row[by]))), kit.short(math.log2(best)), *cut, int(not known), tip]
            )
        lines.append(line)
    carried = rows["transferred"].dropna().astype(float).unique()
    rule = [{"y": kit.short(math.log2(carried[0]))}] if len(carried) == 1 else []
    return {
        "title": f"against {by}" + (f", at {held}" if held else ""),
        "x": kit.places(by, [float(v) for v in rows[by]]),
        "y": kit.octaves(f"best {NAMES[axis]}", *limits, pad=0),
        "lines": lines,
        "rules": rule,
    }


def sparsity_chart(cells: pd.DataFrame) -> Chart | None:
    if cells.empty:
        return None
    widths = sorted((float(str(w)) for w, g in cells.groupby("width") if g["density"].nunique() > 1), reverse=False)[
        -3:
    ]
    finite = cells[["min_loss", "transferred_loss"]].astype(float).to_numpy()
    finite = finite[np.isfinite(finite)]
    if not widths or not len(finite):
        return None
    names = order_series(list(cells["series"]))
    styles = series_styles(names)
    panels = []
    pad = 0.08 * max(float(np.ptp(finite)), 1e-6)
    for width in widths:
        rows = cells[cells["width"] == width]
        lines = [line for n in names for line in _sparsity_lines(rows[rows["series"] == n], n, styles[n])]
        panels.append(
            {
                "title": f"width {width:g}",
                "x": kit.places("density", [float(v) for v in rows["density"]], as_sparsity=True),
                "y": kit.plain_axis(LOSS, float(finite.min()) - pad, float(finite.max()) + pad),
                "lines": lines,
                "rules": [],
            }
        )
    return {
        "id": "sparsity",
        "title": "Loss against sparsity",
        "lead": "The gap between a rule's filled and open marks is what tuning every cell anew would buy.",
        "note": "Filled: at the transferred values, where they were run. Open, thin: each cell at its own best."
        " Cross: diverged.",
        "views": [{"name": "", "key": [], "direct": 1, "panels": panels}],
    }


def _sparsity_lines(rows: pd.DataFrame, name: str, style: SeriesStyle) -> list[dict[str, Any]]:
    carried, best = kit.styled(name, style), kit.styled(name, style) | {"thin": 1}
    for row in rows.sort_values("density", ascending=False).to_dict("records"):
        x, density = kit.place("density", float(row["density"])), float(row["density"])
        head = f"{series_text(name)}, {sparsity_text(density)} sparse"
        own, moved = float(row["min_loss"]), float(row["transferred_loss"])
        regret = regret_text(float(row["regret"]), float(row["regret_high"]))
        if math.isfinite(own):
            tip = f"{head}\nat its own best: loss {own:.4f}"
            best["points"].append([kit.short(x), kit.short(own), None, None, 1, tip])
        if math.isfinite(moved):
            tip = f"{head}\ntransferred: loss {moved:.4f}\nregret {regret}"
            carried["points"].append([kit.short(x), kit.short(moved), None, None, 0, tip])
        elif math.isinf(moved):
            carried["lost"].append([kit.short(x), f"{head}\ndiverged at the transferred values"])
    return [best, carried]
