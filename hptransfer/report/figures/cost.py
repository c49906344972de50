"""What the study cost: compute and time by phase and series."""

from __future__ import annotations

import pandas as pd

from hptransfer.analysis.results import OTHER_BUDGET, OTHER_VERSION, Results
from hptransfer.common.number_text import flops_text, seconds_text
from hptransfer.report.figures.chart import Bar, Bars
from hptransfer.report.points import prepared
from hptransfer.report.series_look import NEUTRAL, order_series, series_styles, series_text

__all__ = ["cost", "cost_table"]

_SUMS = ("flops_dense", "flops_nonzero", "wall_s")
_PHASES = {
    "tune": "proxy search",
    "check": "coordinate check",
    "probe": "probes",
    "direct": "direct searches",
    OTHER_BUDGET: "other budgets",
    OTHER_VERSION: "other versions",
}


def cost_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per phase, the grid split by series: part, series, trials, flops_dense, flops_nonzero, wall_s (sums)."""
    rows = prepared(frame)
    for name in _SUMS:
        rows[name] = pd.to_numeric(rows[name], errors="coerce").fillna(0.0) if name in rows else 0.0
    grid = rows["phase"] == "grid"
    rows["part"] = rows["phase"].map(_PHASES).fillna("grid")
    rows["series"] = rows["series"].where(grid, "")
    sums = rows.assign(trials=1).groupby(["part", "series"], as_index=False)[["trials", *_SUMS]].sum()
    order = order_series(list(sums["series"]))
    first = {"proxy search": 0, "coordinate check": 1}
    rank = [(first.get(p, 2), order.index(s)) for p, s in zip(sums["part"], sums["series"], strict=True)]
    return sums.iloc[sorted(range(len(sums)), key=rank.__getitem__)].reset_index(drop=True)


def cost(results: Results) -> Bars | None:
    """FLOPs of every part of the study: those spent on non-zeros solid, what masked zeros add pale."""
    if results.frame.empty:
        return None
    table = cost_table(results.frame)
    styles = series_styles([name for name in table["series"] if name])
    bars = [
        Bar(
            f"grid, {series_text(row['series'])}" if row["series"] else row["part"],
            styles.get(row["series"], NEUTRAL),
            row["flops_dense"],
            row["flops_nonzero"],
            f"{flops_text(row['flops_nonzero'])} · {seconds_text(row['wall_s'])} · {row['trials']} trials",
        )
        for row in table.to_dict("records")
    ]
    note = "Whole bar: FLOPs with the zeros. Solid part: on non-zero weights. Time: summed over trials."
    return Bars("cost", "Compute spent", note, tuple(bars))
