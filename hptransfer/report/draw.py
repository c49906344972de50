"""Pictures on paper: a Chart, a Map or Bars as a matplotlib figure, drawn without pyplot.

Every size is in inches and fixed, so that text keeps its place. Nothing of what is shown is decided here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import cast

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from hptransfer.report.figures.chart import Axis, Bars, Chart, Grid, Line, Map, Panel, Picture, View
from hptransfer.report.series_look import DIVERGED, GRID, INK, MUTED, SHADES, LineStyle

__all__ = ["draw", "empty", "look", "spread"]

ASIDE = 5.0
"""Points between lines that share their places, so that marks and bars of one do not hide those of another."""
DOTS = (0, (1, 2))


def draw(picture: Picture) -> Figure:
    """The picture; of a chart every view, one row each."""
    with look():
        if isinstance(picture, Map):
            return _map(picture)
        return _chart(picture) if isinstance(picture, Chart) else _bars(picture)


def empty(text: str) -> Figure:
    """A picture that only says why there is none."""
    with look():
        figure, (ax,) = _panels(1, width=5.0, height=0.5)
        ax.axis("off")
        ax.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, wrap=True)
    return figure


def _panels(
    count: int,
    note: str = "",
    *,
    columns: int = 0,
    width: float = 2.75,
    height: float = 2.45,
    left: float = 0.68,
    right: float = 0.2,
    between: float = 0.22,
    top: float = 0.42,
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels in rows of `columns` (all in one row by default), with a note below.

    `width` and `height` are those of a panel's inside, `left` and `right` the figure's margins, `between` the gap.
    """
    columns = min(columns or count, count)
    rows = -(-count // columns)
    wide = left + right + columns * width + (columns - 1) * between
    said = textwrap.wrap(note, int(15.5 * wide))
    foot, row_gap = 0.68 + 0.15 * len(said), 0.56 + top
    high = top + foot + rows * height + (rows - 1) * row_gap
    figure = Figure(figsize=(wide, high))
    FigureCanvasAgg(figure)
    margins = {"left": left / wide, "right": 1 - right / wide, "top": 1 - top / high, "bottom": foot / high}
    gaps = {"wspace": between / width, "hspace": row_gap / height}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins | gaps)
    axes = list(grid.ravel())
    for spare in axes[count:]:
        spare.remove()
    figure.text(0.1 / wide, 0.1 / high, "\n".join(said), fontsize=7.5, color=MUTED, va="bottom", linespacing=1.3)
    return figure, axes[:count]


def _per_row(count: int) -> int:
    """Panels per row that leave no lonely last one: at most three."""
    return 2 if count == 4 else min(3, count)


def _chart(chart: Chart) -> Figure:
    first, one = chart.views[0], len(chart.views) == 1
    columns = max(_per_row(len(view.panels)) for view in chart.views)
    names = [line.name for view in chart.views for line in (view.key or view.panels[0].lines)]
    longest = max(map(len, names), default=0)
    right = 0.32 + 0.085 * longest if first.direct else max(1.0, 0.65 + 0.075 * longest) if first.key else 0.2
    shared = all(len({panel.y for panel in view.panels}) == 1 for view in chart.views)
    between = max(0.75, right) if first.direct else 0.22 if shared else 0.85
    said = f"{chart.pick} {first.name}. " if one and first.name else ""
    said += f"Dotted: {first.dotted}. " if first.dotted else ""
    places: list[tuple[View, Panel, bool]] = []
    for view in chart.views:
        for number, panel in enumerate(view.panels):
            places.append((view, panel, first.direct or not shared or number % columns == 0))
    figure, axes = _panels(
        len(places),
        said + chart.note,
        columns=columns,
        width=3.3 if first.direct else 2.75,
        height=2.6 if one else 2.1,
        right=right,
        between=between,
        top=0.42 if one else 0.6,
    )
    for ax, (view, panel, labelled) in zip(axes, places, strict=True):
        _panel(ax, panel, view.direct, labelled)
        if not one and panel is view.panels[0]:
            box = ax.get_position()
            place = box.y1 + 0.36 / figure.get_figheight()
            figure.text(box.x0, place, view.name, fontsize=8, color=MUTED, va="center")
    if first.key:
        _key(axes[columns - 1] if len(axes) >= columns else axes[-1], first.key_title, first.key)
    return figure


def _panel(ax: Axes, panel: Panel, direct: bool, labelled: bool) -> None:
    ax.set(title=panel.title, xlabel=panel.x.label)
    _ticks(ax, panel.x, panel.y)
    if labelled:
        ax.set_ylabel(panel.y.label)
    else:
        ax.tick_params(labelleft=False)
    for x in panel.at_x:
        ax.axvline(x, color=INK, lw=1, ls=DOTS, zorder=2)
    for y in panel.at_y:
        ax.axhline(y, color=INK, lw=1, ls=DOTS, zorder=2)
    names = list(dict.fromkeys(line.name for line in panel.lines))
    for line in panel.lines:
        aside = ASIDE * (names.index(line.name) - (len(names) - 1) / 2) if direct else 0.0
        _line(ax, line, panel.y.high, aside)
    if direct:
        _names(ax, [line for line in panel.lines if line.points and line.drawn != "thin"], panel)


def _ticks(ax: Axes, x: Axis, y: Axis) -> None:
    """Limits and ticks; they are final, whatever is drawn afterwards."""
    ax.set_autoscale_on(False)
    for axis, limit, tick in ((x, ax.set_xlim, ax.set_xticks), (y, ax.set_ylim, ax.set_yticks)):
        limit(axis.low, axis.high)
        inside = [(place, text) for place, text in axis.ticks if axis.low <= place <= axis.high]
        tick([place for place, _ in inside], [text for _, text in inside])


def _line(ax: Axes, line: Line, top: float, aside: float) -> None:
    figure = cast(Figure, ax.figure)
    where = ax.transData + ScaledTranslation(aside / 72, 0, figure.dpi_scale_trans)
    colour, thin = line.style.light, line.drawn == "thin"
    x, y = [p.x for p in line.points], [p.y for p in line.points]
    if line.drawn != "dots":
        steps = "steps-post" if line.drawn == "steps" else "default"
        width = 0.9 if thin else 1.2 if line.drawn == "curve" else 1.6
        ax.plot(x, y, color=colour, ls=_dashes(line.style), lw=width, drawstyle=steps, transform=where, zorder=3)
    barred = [(p.x, p.low, p.high) for p in line.points if p.low is not None and p.high is not None]
    if barred:
        places, low, high = (np.array(part) for part in zip(*barred, strict=True))
        ax.vlines(places, low, high, color=colour, lw=1.3, alpha=0.5, transform=where, zorder=3)
    if not line.bare:
        fills = ["white" if p.open else colour for p in line.points]
        marks = ax.scatter(x, y, s=22, marker=line.style.marker, c=fills, edgecolors=colour, zorder=4, label="marks")
        marks.set_offset_transform(where)
    if line.lost:
        crosses = [cross.x for cross in line.lost], [top] * len(line.lost)
        look = {"ms": 5.5, "mew": 1.4, "color": DIVERGED, "clip_on": False, "zorder": 7}
        ax.plot(*crosses, "x", transform=where, label="lost", **look)  # type: ignore[arg-type]
    if line.star:
        height = min(line.star.y, top)
        ax.plot(line.star.x, height, "D", ms=6.5, mfc="white", mec=colour, mew=1.7, zorder=6, label="star")


def _dashes(style: LineStyle) -> str | tuple[float, tuple[float, ...]]:
    return (0.0, style.dash) if style.dash else "-"


def _names(ax: Axes, lines: Sequence[Line], panel: Panel) -> None:
    """Names of lines in the right margin at the height of their ends, kept apart, each tied to its end by a hair."""
    low, high = panel.y.low, panel.y.high
    figure = cast(Figure, ax.figure)
    gap = (high - low) * 10.5 / (figure.get_figheight() * 72 * ax.get_position().height)
    ends = [line.points[-1] for line in lines]
    heights = spread([min(max(end.y, low), high) for end in ends], gap, low + gap / 3, high - gap / 3)
    for line, end, height in zip(lines, ends, heights, strict=True):
        share, colour = (height - low) / (high - low), line.style.light
        look = {"va": "center", "fontsize": 8, "fontweight": "bold", "color": colour, "annotation_clip": False}
        ax.annotate(line.name, (1.0, share), (7, 0), "axes fraction", "offset points", **look)  # type: ignore[arg-type]
        hair = {"arrowstyle": "-", "color": colour, "lw": 0.7, "alpha": 0.6, "shrinkA": 5, "shrinkB": 0}
        start = (end.x, min(end.y, high))
        ax.annotate("", (1.015, share), start, "axes fraction", "data", arrowprops=hair, annotation_clip=False)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as needed so that neighbours are at least `gap` apart, within [low, high].

    The order is kept; where there is no room for all, they share it evenly.
    """
    if not len(places):
        return []
    from scipy.optimize import isotonic_regression  # takes a quarter of a second, and most pictures need none

    order = np.argsort(places, kind="stable")
    gap = min(gap, (high - low) / max(1, len(places) - 1))
    # Lowered by the room that those below it take, each may lie anywhere above the one before: a rising sequence.
    taken = gap * np.arange(len(places))
    lowered = isotonic_regression(np.asarray(places)[order] - taken).x
    out = np.empty(len(places))
    out[order] = np.clip(lowered, low, high - taken[-1]) + taken
    return [float(place) for place in out]


def _beside(ax: Axes) -> tuple[Figure, float, float, float, float]:
    """The figure, its size in inches, and the upper right corner of a panel."""
    figure, box = cast(Figure, ax.figure), ax.get_position()
    wide, high = figure.get_figwidth(), figure.get_figheight()
    return figure, wide, high, box.x1 + 0.16 / wide, box.y1


def _key(ax: Axes, title: str, lines: Sequence[Line]) -> None:
    """The names of lines in the margin right of a panel, from above."""
    figure, wide, high, x, y = _beside(ax)
    step = min(0.19, ax.get_position().height * high / (len(lines) + 1))
    figure.text(x, y, title, fontsize=8, color=MUTED, va="center")
    for i, line in enumerate(lines):
        row = y - (i + 1.15) * step / high
        style, ends = line.style, [x, x + 0.12 / wide, x + 0.24 / wide]
        ink = "none" if line.drawn == "dots" else _dashes(style)
        look = {"color": style.light, "lw": 1.8, "ls": ink, "marker": style.marker, "ms": 4.2, "markevery": [1]}
        figure.add_artist(Line2D(ends, [row] * 3, **look))  # type: ignore[arg-type]
        figure.text(x + 0.33 / wide, row, line.name, fontsize=8, va="center")


def _map(picture: Map) -> Figure:
    grids = picture.grids
    columns, first = _per_row(len(grids)), grids[0]
    width = max(1.9, 0.62 * max(len(grid.columns) for grid in grids))
    height = max(0.8, 0.42 * max(len(grid.rows) for grid in grids))
    between = 0.22 if all(grid.rows == first.rows for grid in grids) else 0.6
    figure, axes = _panels(
        len(grids), picture.note, columns=columns, width=width, height=height, right=1.25, between=between
    )
    for number, (ax, grid) in enumerate(zip(axes, grids, strict=True)):
        _squares(ax, grid)
        ax.set_xlabel(picture.column_label)
        if number % columns == 0:
            ax.set_ylabel(picture.row_label)
        elif grid.rows == first.rows:
            ax.tick_params(labelleft=False)
    _, wide, high, x, y = _beside(axes[columns - 1])
    for number, text in enumerate(picture.scale):
        row = y - (number + 0.5) * 0.2 / high
        figure.text(x, row, "■", color=SHADES[number], fontsize=12, va="center_baseline")
        figure.text(x + 0.18 / wide, row, text, color=MUTED, fontsize=8, va="center_baseline")
    return figure


def _squares(ax: Axes, grid: Grid) -> None:
    columns, rows = range(len(grid.columns)), range(len(grid.rows))
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), title=grid.title)
    ax.set_xticks(columns, grid.columns)
    ax.set_yticks(rows, grid.rows)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for i, line in enumerate(grid.squares):
        for j, square in enumerate(line):
            if square is not None:
                fill = "white" if square.shade is None else SHADES[square.shade]
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fc=fill, ec="white", lw=2))
                ink = "white" if (square.shade or 0) >= len(SHADES) - 2 else INK
                weight = "bold" if square.bold else "normal"
                ax.text(j, i, square.text, ha="center", va="center", fontsize=8, fontweight=weight, color=ink)


def _bars(picture: Bars) -> Figure:
    bars = picture.bars
    figure, (ax,) = _panels(1, picture.note, width=5.2, height=0.36 * len(bars) + 0.15, left=1.35, right=2.3)
    rows, colours = range(len(bars)), [bar.style.light for bar in bars]
    ax.barh(rows, [bar.whole for bar in bars], color=colours, alpha=0.25, height=0.6)
    ax.barh(rows, [bar.part for bar in bars], color=colours, height=0.6)
    for row, bar in enumerate(bars):
        aside = {"xytext": (6, 0), "textcoords": "offset points", "annotation_clip": False}
        ax.annotate(bar.words, (bar.whole, row), va="center", fontsize=8, color=MUTED, **aside)  # type: ignore[arg-type]
    ax.set_yticks(rows, [bar.name for bar in bars])
    longest = max(bar.whole for bar in bars) or 1.0
    ax.set(xlim=(0, longest), ylim=(len(bars) - 0.5, -0.5), xticks=[], title=picture.title)
    ax.grid(False)
    ax.spines["bottom"].set_visible(False)
    return figure


def look() -> AbstractContextManager[None]:
    """Matplotlib settings of every picture. Nothing global is changed once it ends; the output is reproducible."""
    ink, muted = ("text.color", "axes.labelcolor"), ("xtick.color", "ytick.color")
    colours = dict.fromkeys(ink, INK) | dict.fromkeys(muted, MUTED) | {"grid.color": GRID}
    return matplotlib.style.context(["hptransfer.report.paper", colours])
