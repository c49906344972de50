"""Small pieces every picture is put together from: a figure of panels, axes in octaves, labels that keep apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from hptransfer.common.number_text import density_text, power_text, quantity, sparsity_text
from hptransfer.report.style import MUTED, SeriesStyle, series_text

__all__ = [
    "Spread",
    "caption",
    "dashes",
    "empty",
    "key",
    "label_lines",
    "label_room",
    "octave_axis",
    "panels",
    "per_row",
    "quantity_axis",
    "share_axis",
    "spread",
    "thinned",
    "unit_axis",
]

Spread = Sequence[float]


def panels(
    count: int,
    *,
    columns: int = 0,
    width: float = 2.75,
    height: float = 2.45,
    share_y: bool = True,
    left: float = 0.68,
    right: float = 0.2,
    between: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` equal panels in rows of `columns` (all in one row by default), drawn without pyplot.

    Every size is in inches and fixed, so that text keeps its place: `width` and `height` are those of a panel's
    inside, `left` and `right` the margins of the figure, `between` the gap (by default what `share_y` needs).
    """
    columns = min(columns or count, count)
    rows = -(-count // columns)
    gap = between or (0.22 if share_y else 0.75)
    top, foot, row_gap = 0.42, 0.84, 0.98
    wide = left + right + columns * width + (columns - 1) * gap
    high = top + foot + rows * height + (rows - 1) * row_gap
    figure = Figure(figsize=(wide, high))
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        rows,
        columns,
        squeeze=False,
        sharey=share_y,
        gridspec_kw={
            "left": left / wide,
            "right": 1 - right / wide,
            "top": 1 - top / high,
            "bottom": foot / high,
            "wspace": gap / width,
            "hspace": row_gap / height,
        },
    )
    axes = list(grid.ravel())
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes[:count]


def empty(text: str) -> Figure:
    """A picture that only says why there is none."""
    figure, (ax,) = panels(1, width=5.0, height=0.5)
    ax.axis("off")
    ax.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, wrap=True)
    return figure


def dashes(style: SeriesStyle) -> str | tuple[float, tuple[float, ...]]:
    """The line style as matplotlib takes it."""
    return (0.0, style.dash) if style.dash else "-"


def octave_axis(ax: Axes, low: float, high: float, label: str, *, most: int = 8) -> None:
    """A log2 x axis from `low` to `high` (values, not exponents), with whole powers of two as ticks."""
    ax.set_xscale("log", base=2)
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / most))
    ticks = [2.0**k for k in range(first, last + 1) if k % step == 0] or [low, high]
    _ticks(ax, ticks, power_text)
    ax.set_xlabel(label)


def share_axis(ax: Axes, densities: Sequence[float], *, as_sparsity: bool = False) -> None:
    """A log2 x axis of densities, the dense end on the left."""
    ax.set_xscale("log", base=2)
    _ticks(ax, thinned(sorted(set(densities), reverse=True)), sparsity_text if as_sparsity else density_text)
    ax.set_xlim(max(densities) * 2**0.35, min(densities) * 2**-0.35)
    ax.set_xlabel("sparsity" if as_sparsity else "density")


def unit_axis(ax: Axes, values: Sequence[float], label: str) -> None:
    """A log2 x axis of widths or depths, ticked at the values themselves."""
    ax.set_xscale("log", base=2)
    _ticks(ax, thinned(sorted(set(values))), lambda v: f"{v:g}")
    ax.set_xlim(min(values) * 2**-0.35, max(values) * 2**0.35)
    ax.set_xlabel(label)


def quantity_axis(ax: Axes, values: Sequence[float], label: str) -> None:
    """A log x axis ticked at 1, 2 and 5 times powers of ten, written with their prefix; at the ends where none fits."""
    ax.set_xscale("log")
    low, high = min(values), max(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [t for d in decades for t in (10.0**d, 2 * 10.0**d, 5 * 10.0**d) if low * 0.95 <= t <= high * 1.05]
    _ticks(ax, thinned(ticks if len(ticks) > 1 else [low, high]), quantity)
    ax.set_xlabel(label)


def thinned(values: Sequence[float], most: int = 7) -> list[float]:
    """At most `most` of the values, evenly picked and always the first."""
    step = max(1, math.ceil(len(values) / most))
    return list(values[::step])


def _ticks(ax: Axes, ticks: Sequence[float], text: Callable[[float], str]) -> None:
    ax.xaxis.set_major_locator(FixedLocator(list(ticks)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(list(ticks), [text(t) for t in ticks])


def spread(places: Spread, gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as needed so that neighbours are at least `gap` apart, within [low, high].

    The order is kept; where there is no room for all, they share it evenly.
    """
    if not len(places):
        return []
    order = np.argsort(np.asarray(places), kind="stable")
    if gap * (len(places) - 1) > high - low:
        gap = (high - low) / max(1, len(places) - 1)
    moved = [float(min(max(places[i], low), high)) for i in order]
    for _ in range(200):
        settled = True
        for i in range(len(moved) - 1):
            short = gap - (moved[i + 1] - moved[i])
            if short > 1e-9:
                moved[i] -= short / 2
                moved[i + 1] += short / 2
                settled = False
        if moved[0] < low:
            moved[0], settled = low, False
        if moved[-1] > high:
            moved[-1], settled = high, False
        if settled:
            break
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    excess = moved[-1] - high
    if excess > 0:
        moved = [m - excess for m in moved]
    out = [0.0] * len(moved)
    for place, index in zip(moved, order, strict=True):
        out[index] = place
    return out


def per_row(count: int) -> int:
    """Panels a row that leave no lonely last one: at most three."""
    return 2 if count == 4 else min(3, count)


def label_room(names: Iterable[str]) -> float:
    """Inches of right margin that `label_lines` needs for these series."""
    return 0.32 + 0.085 * max(len(series_text(name)) for name in names)


def label_lines(ax: Axes, ends: Sequence[tuple[float, float]], texts: Sequence[str], colours: Sequence[str]) -> None:
    """Names of lines in the right margin at the height of their ends, kept apart, each tied to its end by a hair line.

    `ends` are data coordinates; call it after the limits are final, with room left in the right margin.
    """
    low, high = ax.get_ylim()
    points_high = ax.figure.get_figheight() * 72 * ax.get_position().height  # type: ignore[union-attr]
    gap = (high - low) * 10.5 / points_high
    places = spread([min(max(y, low), high) for _, y in ends], gap, low + gap / 3, high - gap / 3)
    for (x, y), place, text, colour in zip(ends, places, texts, colours, strict=True):
        height = (place - low) / (high - low)
        ax.annotate(
            text,
            (1.0, height),
            xycoords="axes fraction",
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            fontweight="bold",
            color=colour,
            annotation_clip=False,
        )
        line = {"arrowstyle": "-", "color": colour, "lw": 0.7, "alpha": 0.6, "shrinkA": 5, "shrinkB": 0}
        ax.annotate(
            "",
            (1.015, height),
            xycoords="axes fraction",
            xytext=(x, min(y, high)),
            textcoords="data",
            arrowprops=line,
            annotation_clip=False,
        )


def key(ax: Axes, title: str, labels: Sequence[str], colours: Sequence[str], markers: Sequence[str]) -> None:
    """The names of the lines in the margin right of a panel, the last at the top as it lies in the panel."""
    figure = ax.figure
    box = ax.get_position()
    inches_wide, inches_high = figure.get_figwidth(), figure.get_figheight()  # type: ignore[union-attr]
    step = min(0.19, box.height * inches_high / (len(labels) + 1))
    x, y = box.x1 + 0.16 / inches_wide, box.y1
    figure.text(x, y, title, fontsize=8, color=MUTED, va="center")
    for i, (label, colour, marker) in enumerate(reversed(list(zip(labels, colours, markers, strict=True)))):
        row = y - (i + 1.15) * step / inches_high
        figure.add_artist(
            Line2D([x, x + 0.24 / inches_wide], [row, row], color=colour, lw=1.8, marker=marker, ms=4.2, markevery=[1])
        )
        figure.text(x + 0.33 / inches_wide, row, label, fontsize=8, va="center")


def caption(figure: Figure, text: str) -> None:
    """One muted line under the picture that says what its marks mean."""
    figure.text(0.1 / figure.get_figwidth(), 0.12 / figure.get_figheight(), text, fontsize=7.5, color=MUTED)
