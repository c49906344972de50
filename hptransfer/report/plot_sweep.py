"""Loss against LR (or init std): where each line's optimum lies, and where the transferred value falls on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hptransfer.common.number_text import power_text, value_text
from hptransfer.report.canvas import caption, empty, key, octave_axis, panels, per_row
from hptransfer.report.points import Lines, line_views, points, prepared, series_in, transferred
from hptransfer.report.style import DIVERGED, INK, MARKERS, look, sequence, series_text

__all__ = ["carried", "dotted_text", "fitted_optimum", "loss_limits", "plot_init", "plot_lr", "plot_sweep"]

_BY = {"cell": "width · density"}
NAMES = {"lr": "base learning rate", "init_std": "base init std"}


def plot_lr(
    frame: pd.DataFrame,
    cells: pd.DataFrame | None = None,
    *,
    base: Mapping[str, Any] | None = None,
    view: Lines | None = None,
) -> Figure:
    """Held-out loss against base LR, a panel a series, a line a density (or what `view` says)."""
    return plot_sweep(frame, cells, axis="lr", base=base, view=view)


def plot_init(
    frame: pd.DataFrame,
    cells: pd.DataFrame | None = None,
    *,
    base: Mapping[str, Any] | None = None,
    view: Lines | None = None,
) -> Figure:
    """Held-out loss against base init std, drawn as `plot_lr` draws the LR."""
    return plot_sweep(frame, cells, axis="init_std", base=base, view=view)


def plot_sweep(
    frame: pd.DataFrame,
    cells: pd.DataFrame | None = None,
    *,
    axis: str,
    base: Mapping[str, Any] | None = None,
    view: Lines | None = None,
) -> Figure:
    """The common body of `plot_lr` and `plot_init`."""
    rows = prepared(frame)
    table = points(rows, axis, base)
    if table.empty or table["x"].nunique() < 2:
        return _none(axis)
    view = view or line_views(table)[0]
    table = table[[key in view.keys for key in zip(table["width"], table["density"], table["depth"], strict=True)]]
    if table.empty:
        return _none(axis)
    series = [s for s in series_in(rows) if s in set(table["series"])]
    values = carried(cells, series, rows, base, axis)
    many = len(view.keys) > 1
    colours = sequence("density" if view.by == "density" else "width", len(view.keys))
    with look():
        columns = per_row(len(series))
        room = 0.65 + 0.075 * max(len(label) for label in view.labels)  # inches: the key lies right of the last panel
        figure, axes = panels(len(series), columns=columns, right=max(1.0, room) if many else 0.2)
        low, high = float(table["x"].min()), float(table["x"].max())
        limits = loss_limits(table)
        for i, (ax, name) in enumerate(zip(axes, series, strict=True)):
            ax.set_ylim(*limits)
            octave_axis(ax, low, high, NAMES[axis])
            ax.set_xlim(low * 2**-0.4, high * 2**0.4)
            _transferred_line(ax, values[name])
            _panel(ax, table[table["series"] == name], view, colours, cells, name, axis)
            ax.set_title(series_text(name))
            if i % columns == 0:
                ax.set_ylabel("held-out loss (nats a token)")
        if many:
            # Listed as the lines lie: sparser is worse, wider is better.
            rows_of_key = list(zip(view.labels, colours, _markers(len(colours)), strict=True))
            labels, inks, marks = zip(*(rows_of_key if view.by == "density" else rows_of_key[::-1]), strict=True)
            key(axes[columns - 1], _BY.get(view.by, view.by), labels, inks, marks)
        caption(figure, _caption(view, values, lost=bool((table["n_diverged"] > 0).any())))
    return figure


def dotted_text(values: Mapping[str, float]) -> str:
    """What the dotted line is: `transferred 2⁻⁷` when it is one value for all series; empty when none is known."""
    known = {value for value in values.values() if math.isfinite(value)}
    if len(known) != 1:
        return "transferred" if known else ""
    value = known.pop()
    power = power_text(value)
    return f"transferred {power}" if "·" not in power else f"transferred {value_text(value)} ({power})"


def _caption(view: Lines, values: Mapping[str, float], *, lost: bool) -> str:
    held, dotted = view.held_text(), dotted_text(values)
    at = (f"At {held}.   " if held else "") + (f"Dotted: {dotted}.   " if dotted else "")
    return at + "Band: range over seeds.   ◇ fitted optimum." + ("   × a seed diverged there." if lost else "")


def _markers(count: int) -> list[str]:
    return [MARKERS[i % len(MARKERS)] for i in range(count)]


def loss_limits(table: pd.DataFrame) -> tuple[float, float]:
    """Limits of the loss axis that show every line's optimum well.

    The best points of all lines set the scale; what lies far above leaves the panel through its top.
    """
    finite = table[np.isfinite(table["mean"])]
    best = finite.groupby(["series", "width", "density", "depth"])["mean"].min()
    low, top = float(best.min()), float(best.max())
    worst = float(finite["mean"].max())
    room = max(1.1 * (top - low), 0.12 * abs(low))
    high = min(worst, top + room)
    pad = 0.06 * max(high - low, 1e-6)
    return low - pad, high + pad


def fitted_optimum(cells: pd.DataFrame | None, series: str, key: Sequence[float], axis: str) -> tuple[float, float]:
    """Fitted (optimum, loss there) of one cell from the judgement's cells; NaN where there is none."""
    if cells is None or cells.empty:
        return math.nan, math.nan
    found = cells[
        (cells["series"] == series)
        & np.isclose(cells["width"].astype(float), key[0])
        & np.isclose(cells["density"].astype(float), key[1])
        & (cells["axis_name"] == axis)
    ]
    if "depth" in found and key[2] > 0:
        found = found[np.isclose(found["depth"].astype(float), key[2])]
    if found.empty:
        return math.nan, math.nan
    return float(found["optimum"].iloc[0]), float(found["min_loss"].iloc[0])


def carried(
    cells: pd.DataFrame | None, series: Sequence[str], rows: pd.DataFrame, base: Mapping[str, Any] | None, axis: str
) -> dict[str, float]:
    """The transferred value of every series: as judged, else as `transferred` tells it; NaN where it is unknown."""
    found = {name: transferred(rows, base, axis) for name in series}
    if cells is not None and not cells.empty:
        mine = cells[cells["axis_name"] == axis].dropna(subset=["transferred"])
        found |= {str(k): float(v) for k, v in mine.groupby("series")["transferred"].first().items()}
    return {name: found[name] for name in series}


def _panel(
    ax: Axes,
    table: pd.DataFrame,
    view: Lines,
    colours: Sequence[str],
    cells: pd.DataFrame | None,
    series: str,
    axis: str,
) -> None:
    for cell, colour, marker in zip(view.keys, colours, _markers(len(colours)), strict=True):
        same = (table["width"] == cell[0]) & (table["density"] == cell[1]) & (table["depth"] == cell[2])
        mine = table[same].sort_values("x")
        if mine.empty:
            continue
        _line(ax, mine, colour, marker)
        best = fitted_optimum(cells, series, cell, axis)
        if np.isfinite(best).all():
            ax.plot(*best, marker="D", ms=6.5, mfc="white", mec=colour, mew=1.7, ls="none", zorder=6)


def _line(ax: Axes, mine: pd.DataFrame, colour: str, marker: str) -> None:
    """Mean of the seeds with their range; points where a seed diverged are open, and a cross marks the top edge."""
    whole = mine[np.isfinite(mine["mean"])]
    ax.fill_between(whole["x"], whole["low"], whole["high"], color=colour, alpha=0.18, lw=0)
    ax.plot(whole["x"], whole["mean"], color=colour, lw=1.6, zorder=3)
    sound = whole[whole["n_diverged"] == 0]
    ax.plot(sound["x"], sound["mean"], ls="none", marker=marker, ms=3.8, color=colour, zorder=4)
    partly = whole[whole["n_diverged"] > 0]
    ax.plot(partly["x"], partly["mean"], ls="none", marker=marker, ms=4.5, mfc="white", mec=colour, zorder=4)
    lost = mine[mine["n_diverged"] > 0]
    top = np.full(len(lost), ax.get_ylim()[1])
    ax.plot(lost["x"], top, ls="none", marker="x", ms=5.5, mew=1.4, color=DIVERGED, clip_on=False, zorder=7)


def _transferred_line(ax: Axes, value: float) -> None:
    if math.isfinite(value):
        ax.axvline(value, color=INK, lw=1.0, ls=(0, (1, 2)), zorder=2)


def _none(axis: str) -> Figure:
    with look():
        return empty(f"No two values of the {NAMES[axis]} have finished yet.")
