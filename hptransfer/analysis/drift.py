"""How far the optimum moves per octave of density, width and depth.

The fitted optima of a series are regressed on log2 of its axes by weighted least squares. An optimum's own standard
error is not all: cells differ by what a local polynomial misses, so a cell-to-cell scatter is estimated as well
(DerSimonian and Laird's moment estimator, with a small floor) and its few degrees of freedom enter the interval.

Nor is the error about all seeds there might be: a cell's optimum also moves with the seeds that ran. These shifts count
as independent from cell to cell (`seed_spread` says why) and as part of what each cell is known to be off by, so that
the scatter is what lies beyond them. Were the cells to share them, that scatter would be their own: of the intervals
with and without shifts the wider is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

__all__ = ["OptimumErrors", "Slope", "drift_slopes"]

Array = NDArray[np.float64]
SCATTER_FLOOR = 0.02
"""Least cell-to-cell scatter of an optimum, octaves."""
Path = Literal["alone", "adjusted", "joint"]


@dataclass(frozen=True, slots=True)
class Slope:
    """Octaves of optimum per octave of an axis, with a two-sided interval; NaN where it cannot be told.

    `inner_low`, `inner_high` span the interval of two one-sided tests, each at 1 − confidence.
    `path`: the axis varies `alone` in some cells, only together with others but separably (`adjusted`), or only
    along one `joint` path, where the slope is that of the path.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    inner_low: float = math.nan
    inner_high: float = math.nan
    path: Path = "alone"

    def equivalent(self, margin: float) -> bool:
        """True when both one-sided tests place the slope within ±margin."""
        return -margin < self.inner_low and self.inner_high < margin

    def beyond(self, margin: float) -> bool:
        """True when the two-sided interval lies wholly outside ±margin."""
        return self.low > margin or self.high < -margin


@dataclass(frozen=True, slots=True, eq=False)
class OptimumErrors:
    """How far each cell's optimum may be off, in octaves.

    `noise`: its standard error about the seeds that ran (NaN: no intervals), with `noise_df` degrees of freedom;
    `shift`: its variance because other seeds have other optima, with `shift_df`.
    """

    noise: Array
    noise_df: float
    shift: Array
    shift_df: float


def drift_slopes(
    axes: Mapping[str, Array], optimum: Array, errors: OptimumErrors, *, confidence: float = 0.95
) -> dict[str, Slope]:
    """Slope of `optimum` (log2) on every axis that takes two values or more; `axes`: log2 position of every cell."""
    varying = {name: x for name, x in axes.items() if np.ptp(x) > 1e-9} if len(optimum) > 1 else {}
    together = np.column_stack([np.ones(len(optimum)), *varying.values()])
    separable = np.linalg.matrix_rank(together) == together.shape[1]
    slopes: dict[str, Slope] = {}
    for k, (name, x) in enumerate(varying.items()):
        others = np.array([v for n, v in varying.items() if n != name]).T.round(6)
        path: Path = "joint" if not separable else "alone" if _varies_alone(x, others) else "adjusted"
        design = together if separable else np.column_stack([np.ones(len(optimum)), x])
        slopes[name] = _slope(design, k + 1 if separable else 1, optimum, errors, confidence, path)
    return slopes


def _varies_alone(x: Array, others: Array) -> bool:
    if not others.size:
        return True
    whole = np.column_stack([x.round(6), others])
    return len(np.unique(others, axis=0)) < len(np.unique(whole, axis=0))


def _slope(design: Array, column: int, optimum: Array, errors: OptimumErrors, confidence: float, path: Path) -> Slope:
    if np.isnan(errors.noise).any():
        value = float(np.linalg.lstsq(design, optimum, rcond=None)[0][column])
        return Slope(value, path=path)
    shared = replace(errors, shift=np.zeros(len(optimum)))
    slopes = [_estimate(design, column, optimum, e, confidence, path) for e in (errors, shared)]
    return max(slopes, key=lambda slope: slope.high - slope.low)


def _estimate(
    design: Array, column: int, optimum: Array, errors: OptimumErrors, confidence: float, path: Path
) -> Slope:
    """The slope with shifts that are independent from cell to cell."""
    n, p = design.shape
    known = errors.noise**2 + errors.shift
    estimated = _scatter(design, optimum, known) if n > p else 0.0
    variance = known + max(estimated, SCATTER_FLOOR**2)
    weighted = design / variance[:, None]
    rows = np.linalg.solve(weighted.T @ design, weighted.T)[column]
    value, total = float(rows @ optimum), float(rows**2 @ variance)
    scatter = estimated * float(rows @ rows) if estimated > SCATTER_FLOOR**2 else 0.0
    shift = float(rows**2 @ errors.shift)
    # Satterthwaite: what comes from scatter is worth n − p degrees of freedom, the rest those it was told with.
    unsure = (total - shift - scatter) ** 2 / errors.noise_df + shift**2 / errors.shift_df
    free = total**2 / (unsure + (scatter**2 / (n - p) if scatter else 0.0))
    outer, inner = (float(stdtrit(free, q)) * math.sqrt(total) for q in (0.5 + confidence / 2, confidence))
    return Slope(value, value - outer, value + outer, value - inner, value + inner, path)


def _scatter(design: Array, optimum: Array, variance: Array) -> float:
    """Moment estimate of the between-cell variance left by the regression; 0 where the errors explain all."""
    n, p = design.shape
    weighted = design / variance[:, None]
    hat = np.linalg.solve(weighted.T @ design, weighted.T)
    rest = optimum - design @ (hat @ optimum)
    excess = float((rest**2 / variance).sum()) - (n - p)
    scale = float((1 / variance).sum() - np.trace(hat @ (design / variance[:, None])))
    return max(0.0, excess / scale) if scale > 0 else 0.0
