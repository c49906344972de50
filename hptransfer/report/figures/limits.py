"""Where a picture's limits are set, and its axes: linear, in octaves, of what is scaled, of quantities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.common.number_text import power_text, quantity, sparsity_text
from hptransfer.report.figures.chart import Axis
from hptransfer.report.points import PLACE, axis_text

__all__ = [
    "activation_limits",
    "around",
    "linear_axis",
    "loss_limits",
    "octave_axis",
    "optimum_limits",
    "place",
    "quantity_axis",
    "scaled_axis",
    "trial_limits",
]

MOST_TICKS = 7


def around(values: Sequence[float]) -> tuple[float, float]:
    """Limits with a little room on both sides of finite values."""
    low, high = float(min(values)), float(max(values))
    pad = 0.08 * max(high - low, 1e-6)
    return low - pad, high + pad


def loss_limits(table: pd.DataFrame) -> tuple[float, float]:
    """Limits of the loss axis that show every line's optimum well.

    The best points of all lines set the scale; what lies far above leaves the panel through its top. Where every run
    diverged any limits will do: there are only crosses.
    """
    finite = table[np.isfinite(table["mean"])]
    if finite.empty:
        return 0.0, 1.0
    best = finite.groupby(["series", *PLACE])["mean"].min()
    low, top = float(best.min()), float(best.max())
    room = max(1.1 * (top - low), 0.12 * abs(low))
    high = min(float(finite["mean"].max()), top + room)
    pad = 0.06 * max(high - low, 1e-6)
    return low - pad, high + pad


def optimum_limits(cells: Sequence[CellVerdict]) -> tuple[float, float]:
    """Limits in octaves: every optimum and the transferred value, with intervals cut three octaves outside them."""
    centres = [c.optimum.log2 for c in cells] + [math.log2(c.transferred) for c in cells if c.transferred > 0]
    ends = [end for c in cells for end in (c.optimum.log2_low, c.optimum.log2_high) if math.isfinite(end)]
    low, high = min(centres), max(centres)
    low, high = min([low, *(max(end, low - 3) for end in ends)]), max([high, *(min(end, high + 3) for end in ends)])
    pad = max(0.4, 0.08 * (high - low))
    return low - pad, high + pad


def trial_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """From just below the best loss of a search to the 80th percentile: the far tail says nothing about the optimum."""
    finite = rows.loc[~rows["diverged"], "loss"].dropna()
    if finite.empty:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.quantile(0.8))
    pad = 0.1 * max(high - low, 0.01)
    return low - pad, high + pad


def activation_limits(sizes: pd.Series) -> tuple[float, float]:
    """In octaves, two at least: what hardly moves shall look level."""
    low, high = math.log2(sizes.min()), math.log2(sizes.max())
    return min(low, high - 2) - 0.4, high + 0.4


def linear_axis(label: str, low: float, high: float, count: int = 6) -> Axis:
    """A linear axis with round ticks."""
    places = [float(t) for t in MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= t <= high]
    step = places[1] - places[0] if len(places) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(label, low, high, tuple((t, f"{t:.{digits}f}".replace("-", "−")) for t in places))


def octave_axis(label: str, low: float, high: float, pad: float = 0.4) -> Axis:
    """An axis between two exponents of two, ticked at whole ones."""
    whole = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    step = max(1, math.ceil(len(whole) / MOST_TICKS))
    ticks = tuple((float(k), power_text(2.0**k)) for k in whole if k % step == 0)
    return Axis(label, low - pad, high + pad, ticks)


def scaled_axis(by: str, values: Sequence[float], *, as_sparsity: bool = False) -> Axis:
    """An axis of densities (dense end left, as −log2), widths or depths (log2), ticked at the values themselves."""
    unique = sorted(set(values), reverse=by == "density")
    ticks = tuple((place(by, v), sparsity_text(v) if as_sparsity else axis_text(by, v)) for v in _thinned(unique))
    low, high = place(by, unique[0]), place(by, unique[-1])
    pad = 0.06 * max(high - low, 1.0)
    return Axis("sparsity" if as_sparsity else by, low - pad, high + pad, ticks)


def place(by: str, value: float) -> float:
    """Where a density (as −log2), width or depth (as log2) lies."""
    return -math.log2(value) if by == "density" else math.log2(value)


def quantity_axis(label: str, values: Sequence[float]) -> Axis:
    """A log10 axis ticked at 1, 2 and 5 times powers of ten, written with their prefix; at the ends where none fits."""
    low, high = min(values), max(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_ones = [t for d in decades for t in (10.0**d, 2 * 10.0**d, 5 * 10.0**d) if low <= t <= high]
    ticks = tuple((math.log10(t), quantity(t)) for t in _thinned(round_ones if len(round_ones) > 1 else [low, high]))
    return Axis(label, *around([math.log10(low), math.log10(high)]), ticks)


def _thinned(values: Sequence[float]) -> list[float]:
    """At most so many of the values, evenly picked and always the first."""
    return list(values[:: max(1, math.ceil(len(values) / MOST_TICKS))])
