"""Pictures of the judged cells: where the optimum lies, what the transferred value costs, loss against sparsity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hptransfer.common.number_text import density_text, percent_text, power_text, regret_text
from hptransfer.report.canvas import (
    caption,
    dashes,
    empty,
    label_lines,
    label_room,
    panels,
    per_row,
    share_axis,
    unit_axis,
)
from hptransfer.report.points import axis_text, cell_slices
from hptransfer.report.style import INK, MUTED, SeriesStyle, look, order_series, series_styles, series_text

__all__ = [
    "REGRET_EDGES",
    "octave_limits",
    "plot_regret",
    "plot_sparsity",
    "plot_stability",
    "regret_colours",
    "regret_edges",
]

Floats = npt.NDArray[np.floating[Any]]
_NAMES = {"lr": "best base learning rate", "init_std": "best base init std"}
REGRET_EDGES = (0.01, 0.02, 0.05, 0.1)
"""Where the colour of a regret changes, above the study's delta."""


def plot_stability(cells: pd.DataFrame, *, axis: str = "lr") -> Figure:
    """Fitted optimum with its interval, against density and against width: level lines transfer.

    One panel an axis that varies (the others held where the most cells are, at the largest and sparsest), one line
    a series. A cell without an interval is an open marker; the dotted line is the transferred value.
    """
    mine = cells[(cells["axis_name"] == axis) & np.isfinite(cells["optimum"].astype(float))]
    slices = cell_slices(mine)
    if not slices:
        with look():
            return empty("The optimum is known in fewer than two cells, so there is nothing to compare yet.")
    styles = series_styles(order_series(list(mine["series"])))
    with look():
        room = label_room(styles)
        figure, axes = panels(len(slices), width=3.4, height=2.6, right=room, between=max(0.75, room), share_y=False)
        limits = octave_limits(mine)
        for ax, (by, held, rows) in zip(axes, slices, strict=True):
            _stability_panel(ax, by, rows, styles, limits)
            ax.set_title(f"against {by}" + (f"   at {held}" if held else ""))
        axes[0].set_ylabel(_NAMES[axis])
        caption(figure, "Bars: interval of the fitted optimum.   Open: no interval.   Dotted: the transferred value.")
    return figure


def octave_limits(mine: pd.DataFrame) -> tuple[float, float]:
    """Limits in octaves: every optimum and the transferred value, with intervals cut three octaves outside them."""
    centres = np.log2(pd.concat([mine["optimum"], mine["transferred"]]).astype(float).dropna())
    ends = np.log2(pd.concat([mine["optimum_low"], mine["optimum_high"]]).astype(float).dropna())
    ends = ends[np.isfinite(ends)].clip(centres.min() - 3, centres.max() + 3)
    low, high = float(min([centres.min(), *ends])), float(max([centres.max(), *ends]))
    pad = max(0.4, 0.08 * (high - low))
    return low - pad, high + pad


def _stability_panel(
    ax: Axes, by: str, rows: pd.DataFrame, styles: dict[str, SeriesStyle], limits: tuple[float, float]
) -> None:
    values = sorted(float(v) for v in rows[by].unique())
    if by == "density":
        share_axis(ax, values)
    else:
        unit_axis(ax, values, by)
    ax.set_ylim(*limits)
    ax.yaxis.set_major_formatter(lambda v, _: power_text(2.0**v))
    ax.yaxis.set_major_locator(MaxNLocator(7, integer=True))
    carried = rows["transferred"].dropna().astype(float).unique()
    if len(carried) == 1:
        ax.axhline(math.log2(carried[0]), color=INK, lw=1, ls=(0, (1, 2)), zorder=1)
    names = order_series(list(rows["series"]))
    ends, texts, inks = [], [], []
    for i, name in enumerate(names):
        line = rows[rows["series"] == name].sort_values(by, ascending=by != "density")
        x: Floats = line[by].to_numpy(np.float64) * 2 ** (0.07 * (i - (len(names) - 1) / 2))
        y = np.log2(line["optimum"].astype(float).to_numpy())
        _intervals(ax, x, y, line, styles[name])
        ends.append((float(x[-1]), float(y[-1])))
        texts.append(series_text(name))
        inks.append(styles[name].colour)
    label_lines(ax, ends, texts, inks)


def _intervals(ax: Axes, x: Floats, y: Floats, line: pd.DataFrame, style: SeriesStyle) -> None:
    low = np.log2(line["optimum_low"].astype(float).to_numpy())
    high = np.log2(line["optimum_high"].astype(float).to_numpy())
    known = np.isfinite(low) & np.isfinite(high)
    ax.plot(x, y, color=style.colour, ls=dashes(style), zorder=3)
    ax.vlines(x[known], low[known], high[known], color=style.colour, lw=1.4, alpha=0.75, zorder=3)
    ax.plot(x[known], y[known], ls="none", marker=style.marker, color=style.colour, ms=5.5, zorder=4)
    ax.plot(x[~known], y[~known], ls="none", marker=style.marker, mec=style.colour, mfc="white", ms=5.5, zorder=4)


def regret_edges(delta: float) -> list[float]:
    """Where the colour of a regret changes: at delta, then at the fixed steps above it."""
    return [delta, *(e for e in REGRET_EDGES if e > delta)]


def regret_colours(delta: float) -> tuple[list[float], list[str]]:
    """(edges, colours): one more colour than edges, from nearly white (below delta) to dark."""
    edges = regret_edges(delta)
    scale = LinearSegmentedColormap.from_list("regret", ["#f3f6f4", "#fbd9a5", "#f0975a", "#c8483a", "#7c1430"])
    return edges, [str(_hex(scale(i / len(edges)))) for i in range(len(edges) + 1)]


def _hex(rgba: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgba[:3])


def plot_regret(cells: pd.DataFrame, *, delta: float = 0.005) -> Figure:
    """What the transferred value costs in every cell: relative regret, width upwards, sparser to the right.

    A panel a series. Bold: the interval's lower end is above delta. A question mark: the cell is not settled.
    """
    mine = cells[cells["regret"].notna() | cells["status"].notna()]
    if mine.empty:
        with look():
            return empty("No cell has been judged yet.")
    names = order_series(list(mine["series"]))
    widths = sorted(float(w) for w in mine["width"].unique())
    densities = sorted((float(d) for d in mine["density"].unique()), reverse=True)
    with look():
        columns = per_row(len(names))
        wide = max(1.9, 0.62 * len(densities))
        figure, axes = panels(len(names), columns=columns, width=wide, height=max(0.8, 0.42 * len(widths)), right=1.15)
        edges, colours = regret_colours(delta)
        for ax, name in zip(axes, names, strict=True):
            _regret_panel(ax, mine[mine["series"] == name], widths, densities, delta)
            ax.set_title(series_text(name))
        axes[0].set_ylabel("width")
        _regret_key(axes[columns - 1], edges, colours)
        caption(
            figure,
            "Regret of the transferred value against the fitted minimum.   Bold: surely above "
            f"{percent_text(delta, 1)}.   ≥: not run there.   ?: not settled.",
        )
    return figure


def _regret_panel(ax: Axes, mine: pd.DataFrame, widths: list[float], densities: list[float], delta: float) -> None:
    edges, colours = regret_colours(delta)
    norm = BoundaryNorm([-math.inf, *edges, math.inf], len(colours))
    matrix = np.full((len(widths), len(densities)), np.nan)
    for row in mine.to_dict("records"):
        i, j = widths.index(float(row["width"])), densities.index(float(row["density"]))
        value, low, high = (float(row[key]) for key in ("regret", "regret_low", "regret_high"))
        matrix[i, j] = value
        shade = norm(value) if not math.isnan(value) else 0
        text = regret_text(value, high, 1) if math.isfinite(value) else "div." if value > 0 else "–"
        if row["status"] == "INCONCLUSIVE":
            text += "?"
        weight = "bold" if low > delta else "normal"
        ink = "white" if shade >= len(colours) - 2 else INK
        ax.text(j, i, text, ha="center", va="center", fontsize=8, fontweight=weight, color=ink)
    cmap = ListedColormap(colours).with_extremes(bad="#ffffff")
    ax.imshow(
        np.ma.masked_invalid(np.where(np.isposinf(matrix), 1e9, matrix)),
        cmap=cmap,
        norm=norm,
        aspect="auto",
        origin="lower",
    )
    ax.set_xticks(range(len(densities)), [density_text(d) for d in densities])
    ax.set_yticks(range(len(widths)), [f"{w:g}" for w in widths])
    ax.set_xticks(np.arange(len(densities) - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(widths) - 1) + 0.5, minor=True)
    ax.grid(False)
    ax.grid(True, which="minor", color="white", lw=2)
    ax.tick_params(which="both", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel("density")


def _regret_key(ax: Axes, edges: Sequence[float], colours: Sequence[str]) -> None:
    figure, box = ax.figure, ax.get_position()
    wide, high = figure.get_figwidth(), figure.get_figheight()  # type: ignore[union-attr]
    names = [f"≤ {100 * edges[0]:g}%", *(f"> {100 * e:g}%" for e in edges)]
    x, y = box.x1 + 0.2 / wide, box.y1
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        row = y - (i + 0.5) * 0.2 / high
        figure.text(x, row, "■", color=colour, fontsize=12, va="center_baseline")
        figure.text(x + 0.18 / wide, row, name, color=MUTED, fontsize=8, va="center_baseline")


def plot_sparsity(cells: pd.DataFrame) -> Figure:
    """Loss against sparsity: each series at the transferred HPs (solid marks) and at its own best (open, thin).

    A panel a width, at most the three largest. The gap between a series' two lines is what tuning every cell anew
    would buy.
    """
    widths = [float(str(w)) for w, g in cells.groupby("width") if g["density"].nunique() > 1]
    known = cells[cells["width"].isin(sorted(widths)[-3:])][["min_loss", "transferred_loss"]].astype(float).to_numpy()
    if not np.isfinite(known).any():
        with look():
            return empty("No loss to compare at two densities so far.")
    shown = sorted(widths)[-3:]
    names = order_series(list(cells["series"]))
    styles = series_styles(names)
    with look():
        figure, axes = panels(len(shown), width=2.9, height=2.6, right=label_room(names))
        values = known[np.isfinite(known)]
        pad = 0.08 * max(float(values.max() - values.min()), 1e-6)
        for ax, width in zip(axes, shown, strict=True):
            rows = cells[cells["width"] == width]
            share_axis(ax, [float(d) for d in rows["density"].unique()], as_sparsity=True)
            ax.set_ylim(values.min() - pad, values.max() + pad)
            ends = [_sparsity_lines(ax, rows[rows["series"] == n], styles[n]) for n in names]
            ax.set_title(axis_title(width))
            if ax is axes[-1]:
                kept = [(e, n) for e, n in zip(ends, names, strict=True) if e is not None]
                label_lines(
                    ax, [e for e, _ in kept], [series_text(n) for _, n in kept], [styles[n].colour for _, n in kept]
                )
        axes[0].set_ylabel("held-out loss (nats a token)")
        lost = "   × diverged." if np.isposinf(known[:, 1]).any() else ""
        caption(figure, f"Solid: transferred HPs, where they were run.   Open: each cell's own best.{lost}")
    return figure


def axis_title(width: float) -> str:
    """Title of a width's panel."""
    return f"width {axis_text('width', width)}"


def _sparsity_lines(ax: Axes, rows: pd.DataFrame, style: SeriesStyle) -> tuple[float, float] | None:
    rows = rows.sort_values("density", ascending=False)
    x = rows["density"].astype(float).to_numpy()
    best, carried = (rows[c].astype(float).to_numpy() for c in ("min_loss", "transferred_loss"))
    ax.plot(x, best, color=style.colour, lw=0.9, ls=dashes(style), marker=style.marker, mfc="white", ms=5, alpha=0.9)
    ax.plot(
        x,
        np.where(np.isfinite(carried), carried, np.nan),
        color=style.colour,
        ls=dashes(style),
        marker=style.marker,
        lw=1.9,
    )
    lost = np.isposinf(carried)
    ax.plot(x[lost], np.full(lost.sum(), ax.get_ylim()[1]), ls="none", marker="x", color=style.colour, clip_on=False)
    ends = [(float(a), float(b)) for a, b in zip(x, carried, strict=True) if math.isfinite(b)]
    return ends[-1] if ends else None
