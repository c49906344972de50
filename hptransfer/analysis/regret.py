"""Regret: what is lost at a cell by taking a transferred hyperparameter instead of the cell's own best.

    r = (L(transferred) − min L) / min L,    min L being that of the seeds that ran

Regret cannot be negative, and an estimate of it is biased upward: the fitted minimum is the lowest point of a noisy
curve. An interval from resampling therefore never holds a true zero. Here the interval is the profile likelihood's:
r belongs to it when some vertex v explains the data with that regret,

    T(v)² + (r − r(v))² / var(r | v) ≤ t²,    T(v) = fitted slope at v / its standard error,

so it holds zero exactly when Fieller's interval of the optimum holds the transferred value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray

from hptransfer.analysis.optimum import LocalFit, Optimum

__all__ = ["Regret", "regret_at"]

Array = NDArray[np.float64]
TRUSTED_WEIGHT = 0.01
"""The polynomial speaks between values of at least this share of the largest weight; beyond, the means do."""
CURVE_SHARE = 0.2
"""Allowance for interpolating between means, as a share of what the cubic through four of them adds to the chord."""
VERTICES, TRANSFERS = 49, 13


@dataclass(frozen=True, slots=True)
class Regret:
    """Relative regret with its interval. NaN where unknown; `high` infinite where the data do not bound it.

    `loss` is that at the transferred value, also where there is no minimum to compare it with; NaN outside, where
    `value` is the regret of the nearest value that was run. `how`: `fit` from the polynomial, `means` interpolated
    linearly between measured means (far from the optimum), `outside` beyond the measured values (`low` then rests on
    the loss not falling again), `diverged` at or above a value where seeds diverged.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    loss: float = math.nan
    how: Literal["", "fit", "means", "outside", "diverged"] = ""


def regret_at(optimum: Optimum, log2: float, reference: Optimum | None = None) -> Regret:
    """Regret of taking the value 2^log2 in the cell of `optimum`.

    With `reference` the transferred value is itself a fitted optimum (its `log2` must be `log2`), and the interval
    runs over all values its own interval allows.
    """
    fit = optimum.fit
    if fit is None or math.isnan(optimum.log2):
        return Regret()
    u = log2 - fit.origin
    covered = fit.x[0] - 1e-6 <= log2 <= fit.x[-1] + 1e-6
    scale = optimum.min_loss
    candidates = [(u, 0.0)] if reference is None or reference.fit is None else _transfers(reference, reference.fit, fit)
    ends = [_interval(optimum, fit, _loss_at(fit, c), 1 - spent) for c, spent in candidates]
    low, high = np.array(ends).T
    lowest = float(np.nanmin(low)) / scale if np.isfinite(low).any() else math.nan
    highest = float(np.nanmax(high)) / scale if np.isfinite(high).any() else math.nan
    if not covered and log2 >= optimum.ceiling - 1e-6:
        return Regret(math.inf, lowest, math.inf, math.inf, "diverged")
    at = _loss_at(fit, u)
    value = max(0.0, at.loss - scale) / scale
    if not covered:
        return Regret(value, lowest, math.inf, math.nan, "outside")
    return Regret(value, lowest, highest, at.loss, "fit" if at.inside else "means")


@dataclass(frozen=True, slots=True, eq=False)
class _Loss:
    """The loss at `u`: from the polynomial when `inside`, else `contrast` @ means, off by at most `slack`."""

    u: float
    inside: bool
    contrast: Array
    loss: float
    slack: float


def _loss_at(fit: LocalFit, u: float) -> _Loss:
    """Beyond the trusted values: a cubic through the four nearest means, or the chord where that overshoots."""
    ends = fit.x - fit.origin
    trusted = ends[fit.weights >= TRUSTED_WEIGHT]
    contrast = np.zeros(len(ends))
    if trusted[0] - 1e-6 <= u <= trusted[-1] + 1e-6:
        return _Loss(u, True, contrast, float(polyval(u, fit.beta)), 0.0)
    right = int(np.clip(np.searchsorted(ends, u), 1, len(ends) - 1))
    share = float(np.clip((u - ends[right - 1]) / (ends[right] - ends[right - 1]), 0.0, 1.0))
    contrast[right - 1], contrast[right] = 1 - share, share
    chord = float(contrast @ fit.means)
    first = int(np.clip(right - 2, 0, len(ends) - 4))
    four = ends[first : first + 4]
    place = float(np.clip(u, ends[0], ends[-1]))
    cubic = np.zeros(len(ends))
    for k in range(4):
        others = np.delete(four, k)
        cubic[first + k] = np.prod((place - others) / (four[k] - others))
    loss = float(cubic @ fit.means)
    if not min(fit.means[right - 1 : right + 1]) <= loss <= max(fit.means[right - 1 : right + 1]):
        return _Loss(u, False, contrast, chord, CURVE_SHARE * abs(loss - chord))
    return _Loss(u, False, cubic, loss, CURVE_SHARE * abs(loss - chord))


def _transfers(reference: Optimum, base: LocalFit, fit: LocalFit) -> list[tuple[float, float]]:
    """Candidates for a fitted transferred value (in the cell's `u`), with the share of t² each uses up at the base."""
    low, high = max(reference.log2_low, base.x[0]), min(reference.log2_high, base.x[-1])
    if not low < high:
        return [(reference.log2 - fit.origin, 0.0)]
    xs = np.union1d(np.linspace(low, high, TRANSFERS), [reference.log2])
    gradient = _gradient(xs - base.origin, len(base.beta))
    t2 = (gradient @ base.beta) ** 2 / np.einsum("ij,jk,ik->i", gradient, base.cov, gradient)
    return list(zip((xs - fit.origin).tolist(), np.minimum(t2 / base.t**2, 1.0).tolist(), strict=True))


def _gradient(u: Array, size: int) -> Array:
    """Rows of the polynomial's derivative: 0, 1, 2u, 3u², …"""
    k = np.arange(size)
    return np.asarray(k * u[:, None] ** np.maximum(k - 1, 0), dtype=np.float64)


def _interval(optimum: Optimum, fit: LocalFit, at: _Loss, left: float) -> tuple[float, float]:
    """Ends of the profile interval of the absolute regret, with the share `left` of t²; NaN without noise."""
    if math.isnan(fit.t) or math.isnan(optimum.log2_low):
        return math.nan, math.nan
    low = max(optimum.log2_low, fit.x[0]) - fit.origin
    high = min(optimum.log2_high, fit.x[-1]) - fit.origin
    vertices = np.linspace(low, high, VERTICES)
    if at.inside and low < at.u < high:
        vertices = np.append(vertices, at.u)
    size = len(fit.beta)
    gradient = _gradient(vertices, size)
    at_vertex = vertices[:, None] ** np.arange(size)
    beta, cov = fit.beta, fit.cov
    if at.inside:
        pick = at.u ** np.arange(size) - at_vertex
    else:
        joint = np.vstack([fit.estimator, at.contrast])
        beta, cov = joint @ fit.means, joint @ fit.sigma @ joint.T
        cov[:size, :size] = fit.cov
        gradient = np.pad(gradient, ((0, 0), (0, 1)))
        pick = np.pad(-at_vertex, ((0, 0), (0, 1)), constant_values=1.0)
    slope, swept = gradient @ beta, gradient @ cov
    slope_var = (swept * gradient).sum(axis=1)
    cross = (swept * pick).sum(axis=1)
    middle = pick @ beta - cross * slope / slope_var
    spread = ((pick @ cov) * pick).sum(axis=1) - cross**2 / slope_var
    room = left * fit.t**2 - slope**2 / slope_var
    allowed = room >= -1e-6 * fit.t**2
    if not allowed.any():
        return math.nan, math.nan
    half = np.sqrt(np.maximum(spread, 0.0) * np.maximum(room, 0.0)) + at.slack
    ends = float((middle - half)[allowed].min()), float((middle + half)[allowed].max())
    return max(0.0, ends[0]), max(0.0, ends[1])
