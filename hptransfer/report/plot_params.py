"""Loss against the parameters that are not zero: what a sparse model is worth, and the law through all sizes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hptransfer.analysis.compute import LossCurve, fit_loss_curve
from hptransfer.report.canvas import caption, dashes, empty, key, panels, quantity_axis
from hptransfer.report.points import grid_rows, prepared
from hptransfer.report.style import SeriesStyle, look, order_series, series_styles, series_text

__all__ = ["plot_params", "sized_cells"]

SIZES_FOR_A_LAW = 4
"""The law has three constants; three sizes would always lie on it."""
_PLACE = ["series", "width", "density", "depth"]


def sized_cells(frame: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The cells whose loss at the transferred HPs is known, with `params`: the mean of their non-zero parameters."""
    if cells.empty or "params_nonzero" not in frame:
        return pd.DataFrame(columns=[*_PLACE, "loss", "params"])
    sizes = grid_rows(prepared(frame)).groupby(_PLACE, as_index=False)["params_nonzero"].mean()
    known = cells[[*_PLACE, "transferred_loss"]].astype(dict.fromkeys(_PLACE[1:], float))
    both = known.merge(sizes, on=_PLACE).rename(columns={"params_nonzero": "params", "transferred_loss": "loss"})
    finite: pd.DataFrame = both[np.isfinite(both["loss"]) & (both["params"] > 0)]
    return finite.reset_index(drop=True)


def plot_params(frame: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Loss at the transferred HPs against non-zero parameters, a colour a series, whatever the width and density.

    Where a series has four sizes or more and they determine its exponent: the law L = floor + scale / N^exponent.
    """
    table = sized_cells(frame, cells)
    if table["params"].nunique() < 2:
        with look():
            return empty("Only one size so far.")
    names = order_series(list(table["series"]))
    styles = series_styles(names)
    with look():
        figure, (ax,) = panels(1, width=4.4, height=2.8, right=2.9)
        quantity_axis(ax, table["params"].tolist(), "non-zero parameters")
        laws = [_draw_series(ax, table[table["series"] == name], styles[name]) for name in names]
        ax.set_ylabel("held-out loss (nats a token)")
        ax.set_title("loss at the transferred HPs")
        said = [series_text(n) + (f"   {law.loss_text}" if law else "") for n, law in zip(names, laws, strict=True)]
        title = "series and fitted law" if any(laws) else "series"
        key(ax, title, said, [styles[n].colour for n in names], [styles[n].marker for n in names])
        curve = "   Curve: the law, where the sizes determine it." if any(laws) else ""
        caption(figure, f"A mark a cell, whatever its width and density.{curve}")
    return figure


def _draw_series(ax: Axes, rows: pd.DataFrame, style: SeriesStyle) -> LossCurve | None:
    rows = rows.sort_values("params")
    ax.plot(rows["params"], rows["loss"], ls="none", marker=style.marker, color=style.colour, ms=5.5)
    if rows["params"].nunique() < SIZES_FOR_A_LAW:
        return None
    law = fit_loss_curve(rows["params"].tolist(), rows["loss"].tolist())
    if not law.determined:
        return None
    low, high = (math.log(float(value)) for value in (rows["params"].min(), rows["params"].max()))
    sizes = np.exp(np.linspace(low, high, 60))
    ax.plot(sizes, [law.loss(float(n)) for n in sizes], color=style.colour, ls=dashes(style), lw=1.2)
    return law
