"""What the study cost: compute and time by phase and series."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from hptransfer.common.number_text import flops_text, seconds_text
from hptransfer.report.canvas import caption, empty, panels
from hptransfer.report.points import prepared
from hptransfer.report.style import MUTED, look, order_series, series_styles, series_text

__all__ = ["cost_table", "plot_cost"]

_PHASES = {"tune": "proxy search", "check": "coordinate check", "probe": "probes", "other budget": "other budgets"}


def cost_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a phase, the grid split by series: part, series, trials, flops_dense, flops_nonzero, wall_s (sums)."""
    rows = prepared(frame)
    for name in ("flops_dense", "flops_nonzero", "wall_s"):
        rows[name] = pd.to_numeric(rows[name], errors="coerce").fillna(0.0) if name in rows else 0.0
    grid = rows["phase"] == "grid"
    rows["part"] = rows["phase"].map(_PHASES).fillna("grid")
    rows["series"] = rows["series"].where(grid, "")
    sums = rows.groupby(["part", "series"], as_index=False).agg(
        trials=("loss", "size"),
        flops_dense=("flops_dense", "sum"),
        flops_nonzero=("flops_nonzero", "sum"),
        wall_s=("wall_s", "sum"),
    )
    order = {name: i for i, name in enumerate(order_series(list(sums["series"])))}
    rank = sums["part"].map({"proxy search": 0, "coordinate check": 1}).fillna(2)
    return (
        sums.assign(rank=rank, place=sums["series"].map(order))
        .sort_values(["rank", "place"])
        .drop(columns=["rank", "place"])
        .reset_index(drop=True)
    )


def plot_cost(frame: pd.DataFrame) -> Figure:
    """FLOPs of every part of the study: those spent on non-zeros solid, what masked zeros add pale."""
    table = cost_table(frame) if not frame.empty else pd.DataFrame(columns=["flops_dense"])
    if table.empty or table["flops_dense"].sum() <= 0:
        with look():
            return empty("No costs were stored.")
    rows = table.to_dict("records")
    names = [row["part"] if not row["series"] else f"grid  {series_text(row['series'])}" for row in rows]
    styles = series_styles([s for s in table["series"] if s])
    colours = [styles[s].colour if s else "#5d6b7a" for s in table["series"]]
    with look():
        figure, (ax,) = panels(1, width=5.2, height=0.36 * len(names) + 0.15, left=1.35, right=2.3)
        places = list(range(len(names)))[::-1]
        ax.barh(places, table["flops_dense"], color=colours, alpha=0.25, height=0.6)
        ax.barh(places, table["flops_nonzero"], color=colours, height=0.6)
        for place, row in zip(places, rows, strict=True):
            words = f"{flops_text(row['flops_nonzero'])}   {seconds_text(row['wall_s'])}   {row['trials']} trials"
            ax.annotate(
                words,
                (row["flops_dense"], place),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=MUTED,
                annotation_clip=False,
            )
        ax.set_yticks(places, names)
        ax.set_xlim(0, float(table["flops_dense"].max()))
        ax.set_xticks([])
        ax.grid(False)
        ax.spines["bottom"].set_visible(False)
        ax.set_title("compute spent")
        caption(figure, "Solid: FLOPs on non-zero weights.   Pale: with the zeros.   Time: summed over trials.")
    return figure
