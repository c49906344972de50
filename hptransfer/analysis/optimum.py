"""Where is the minimum of a loss curve over a swept hyperparameter, and how sure are we?

One cell is one target (rule, width, density, depth): losses of several seeds at several values of one
hyperparameter. With `x` = log2 of the value, seed `s` and value `j`, the model is

    loss[s, j] = f(x[j]) + offset[s] + residual[s, j],    residual variance σ²

The offset is shared by all values of a seed (they see the same init and batches), so it moves neither the minimum nor
a difference of losses; only σ² matters, and it is pooled over values and cells (`noise.py`). `f` is taken as a local
quadratic with weights that fall with the rise above the minimum, so that a wall at high LR does not pull on it, plus
cubic and quartic terms shrunk to zero: real curves are steeper on the high side. How far they are shrunk depends on the
noise alone, never on what was fitted, so nothing selects on noise. The interval is Fieller's: every point at which the
fitted slope cannot be told from zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval
from numpy.typing import NDArray
from scipy.special import stdtrit

from hptransfer.analysis.quadratic import parabola, powers

__all__ = ["CellPoints", "LocalFit", "Noise", "Optimum", "OptimumStatus", "at_confidence", "fit_optimum", "own_noise"]

Array = NDArray[np.float64]
Side = Literal["", "low", "high"]
OptimumStatus = Literal["ok", "edge", "one-sided", "open", "flat", "few points", "one seed"]

RISE_WEIGHT = 0.1
"""What the local polynomial may miss at a value: this share of its rise above the minimum, growing with the rise."""
SKEW, KURTOSIS = 0.35, 0.1
"""Allowed size of the cubic and quartic coefficients over the quadratic one (octaves): a loss that falls as a power
0.3 of LR and rises as its square has 0.39 and 0.17, one of powers ½ and 1½ has 0.23 and 0.07."""
SHRINKAGE_SHARE = 0.5
"""Share of the squared shrinkage bias counted as variance: coverage stays between 95 and 99% without asymmetry and
close to 92% with all of what is allowed for."""
ROUNDING = 1e-7
"""Relative rounding of an fp32 loss: the least noise ever assumed."""
NEAREST = 5
"""Values nearest the minimum that set the scale of the weights."""
NEAR = 7
"""Values nearest the minimum that tell the noise."""
FEW_DF = 4
"""Degrees of freedom among the seeds, two seeds at five values, below which they do not tell the noise: taken for
less than it is, it would let the cubic and quartic terms follow every wiggle (at seven runs of one cell the error of
the vertex doubles)."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Variance of one seed-by-value residual (the seed's offset removed), and its degrees of freedom."""

    variance: float
    df: float


@dataclass(frozen=True, slots=True, eq=False)
class CellPoints:
    """Losses of one cell. `x`: log2 of the swept values, rising; `losses`: seeds × values.

    NaN marks a run that is missing, infinity one that diverged.
    """

    x: Array
    losses: Array

    @classmethod
    def of(cls, rows: Iterable[tuple[float, int, float]]) -> CellPoints:
        """From (value, seed, loss); a loss that is NaN or infinite counts as diverged; the last of equals stays."""
        table = {(round(math.log2(value), 6), int(seed)): float(loss) for value, seed, loss in rows}
        ran = {key: loss if math.isfinite(loss) else math.inf for key, loss in table.items()}
        xs, seeds = (sorted(set(part)) for part in zip(*ran, strict=True))
        losses = np.array([[ran.get((x, seed), math.nan) for x in xs] for seed in seeds])
        return cls(np.array(xs), losses)


@dataclass(frozen=True, slots=True, eq=False)
class LocalFit:
    """The local polynomial, in `u` = x − origin: f(u) = Σ beta[k]·u^k, beta = estimator @ means."""

    origin: float
    x: Array
    means: Array
    sigma: Array
    """Covariance of the means (common offset left out)."""
    weights: Array
    estimator: Array
    beta: Array
    cov: Array
    t: float
    """Quantile for the two-sided interval."""
    df: float


@dataclass(frozen=True, slots=True)
class Optimum:
    """The fitted minimum of one cell.

    `vertex`, `low`, `high` are values of the hyperparameter (not logs); `log2`, `log2_low`, `log2_high` their log2.
    NaN where there is no fit; `low`/`high` are 0 and infinity on a side the data leave open, NaN without any noise
    estimate. `curvature` is the loss rise per squared octave; `min_loss` the fitted loss there,
    without a fit the lowest mean; NaN where a single value was run, which says nothing of a minimum.
    """

    status: OptimumStatus
    log2: float = math.nan
    log2_low: float = math.nan
    log2_high: float = math.nan
    curvature: float = math.nan
    min_loss: float = math.nan
    n_points: int = 0
    n_seeds: int = 0
    n_diverged: int = 0
    best_seen: float = math.nan
    """log2 of the value with the lowest mean loss."""
    side: Side = ""
    """Side of the grid on which values are missing, where the status is `edge` or `one-sided`."""
    step: float = math.nan
    """Median spacing of the values, octaves."""
    ceiling: float = math.inf
    """log2 of the lowest value above the minimum at which a seed diverged."""
    fit: LocalFit | None = field(default=None, repr=False, compare=False)

    @property
    def vertex(self) -> float:
        """The optimum as a value of the hyperparameter."""
        return _power(self.log2)

    @property
    def low(self) -> float:
        """Lower end of the interval, as a value."""
        return _power(self.log2_low)

    @property
    def high(self) -> float:
        """Upper end of the interval, as a value."""
        return _power(self.log2_high)

    @property
    def half_width(self) -> float:
        """Half the interval, octaves; infinite when open, NaN when unknown."""
        return (self.log2_high - self.log2_low) / 2

    @property
    def settled(self) -> bool:
        """True when the minimum is inside the grid and its interval closed."""
        return self.status == "ok"


def _power(x: float) -> float:
    return math.nan if math.isnan(x) else 2.0**x if x < 1000 else math.inf


def value_means(losses: Array) -> tuple[Array, Array, float, float]:
    """Means by value with the seeds' offsets removed: (means, covariance / σ², residual SS, degrees of freedom).

    Balanced tables take plain means. With holes a two-way additive model is solved; when the seeds of the
    values do not overlap enough to tell offsets from values, no offset is removed.
    """
    n_seeds, n_values = losses.shape
    present = np.isfinite(losses)
    if present.all():
        means = losses.mean(axis=0)
        rest = losses - means - losses.mean(axis=1, keepdims=True) + means.mean()
        return means, np.eye(n_values) / n_seeds, float((rest * rest).sum()), float((n_seeds - 1) * (n_values - 1))
    line, column = np.nonzero(present)
    y = losses[line, column]
    design = np.zeros((len(y), n_values + n_seeds - 1))
    design[np.arange(len(y)), column] = 1.0
    for k in range(n_seeds - 1):  # offsets that sum to zero
        design[line == k, n_values + k] = 1.0
        design[line == n_seeds - 1, n_values + k] = -1.0
    gram = design.T @ design
    if np.linalg.matrix_rank(gram) < gram.shape[0]:
        design = design[:, :n_values]
        gram = design.T @ design
    inverse = np.linalg.inv(gram)
    solution = inverse @ (design.T @ y)
    rest = y - design @ solution
    free = float(len(y) - gram.shape[0])
    return solution[:n_values], inverse[:n_values, :n_values], float(rest @ rest), free


def _block(points: CellPoints) -> tuple[NDArray[np.intp], int, float]:
    """Columns of the run of fully finite values around the lowest mean, its place there, and the ceiling."""
    diverged = np.isinf(points.losses).any(axis=0)
    usable = np.isfinite(points.losses).any(axis=0) & ~diverged
    columns = np.flatnonzero(usable)
    if not len(columns):
        return columns, -1, float(points.x[diverged].min(initial=math.inf))
    means = value_means(points.losses[:, columns])[0]
    best = columns[int(np.argmin(means))]
    walls = np.flatnonzero(diverged)
    floor, top = walls[walls < best].max(initial=-1), walls[walls > best].min(initial=len(points.x))
    block = columns[(columns > floor) & (columns < top)]
    return block, int(np.flatnonzero(block == best)[0]), float(points.x[top:].min(initial=math.inf))


def own_noise(points: CellPoints) -> Noise | None:
    """Residual noise of one cell near its minimum (noise grows towards divergence), None with a single seed.

    Where the seeds share too few values to tell it, what a parabola leaves over is taken instead.
    """
    x, losses = _near_minimum(points)
    if len(losses) < 2:
        return None
    means, _, squares, df = value_means(losses)
    if df < FEW_DF:
        return _about_a_parabola(x, losses)
    return Noise(max(squares / df, (ROUNDING * abs(float(means.mean()))) ** 2), df)


def _near_minimum(points: CellPoints) -> tuple[Array, Array]:
    """log2 values from the lowest mean and losses (seeds × values) of the nearest values; none with fewer than two."""
    block, place, _ = _block(points)
    if len(block) < 2:
        return points.x[:0], points.losses[:0]
    away = points.x[block] - points.x[block[place]]
    near = np.sort(np.argsort(np.abs(away), kind="stable")[:NEAR])
    losses = points.losses[:, block[near]]
    return away[near], losses[np.isfinite(losses).any(axis=1)]


def _about_a_parabola(x: Array, losses: Array) -> Noise | None:
    """Noise about one parabola near the minimum with an offset per seed; None without a degree of freedom to spare.

    What the curve has beyond a parabola counts as noise too, which errs on the side of a wide interval.
    """
    line, column = np.nonzero(np.isfinite(losses))
    y = losses[line, column]
    offsets = (line[:, None] == np.arange(len(losses))).astype(np.float64)
    design = np.column_stack([powers(x[column])[:, 1:], offsets])
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    df = float(len(y) - rank)
    if df < 1:
        return None
    rest = y - design @ solution
    return Noise(max(float(rest @ rest) / df, (ROUNDING * abs(float(y.mean()))) ** 2), df)


def fit_optimum(points: CellPoints, noise: Noise | None = None, *, confidence: float = 0.95) -> Optimum:
    """Fit the minimum of one cell.

    `noise` is the pooled residual noise; without it the cell's own is used. The wiggles of a single seed scale the
    fit, but say nothing of other seeds: there is a vertex and no interval (status `one seed`). Diverged runs (NaN or
    infinite loss) bound the fit from their side and are counted, not fitted.
    """
    block, place, ceiling = _block(points)
    seen = Optimum(
        "few points",
        n_points=len(block),
        n_seeds=int(np.isfinite(points.losses[:, block]).sum(axis=0).max(initial=0)),
        n_diverged=int(np.isinf(points.losses).sum()),
        step=float(np.median(np.diff(points.x))) if len(points.x) > 1 else math.nan,
        ceiling=ceiling,
    )
    if place < 0:
        return seen
    x = points.x[block]
    means, unit, _, _ = value_means(points.losses[:, block])
    seen = replace(seen, best_seen=float(x[place]))
    if len(block) < 4 or place in (0, len(block) - 1):
        side: Side = "low" if place == 0 and len(block) > 1 else "high" if place == len(block) - 1 and place else ""
        lowest = float(means[place]) if len(block) > 1 else math.nan
        return replace(seen, status="edge" if side else "few points", side=side, min_loss=lowest)
    known = noise or own_noise(points)
    scale = known or _about_a_parabola(*_near_minimum(points))
    floor = (ROUNDING * abs(float(means[place]))) ** 2
    variance = max(scale.variance, floor) if scale else floor
    t = _quantile(known.df, confidence) if known else math.nan
    fit = _fit(x, means, variance * unit, place, t, known.df if known else 0.0)
    return _describe(fit, seen, known is not None)


def at_confidence(optimum: Optimum, confidence: float) -> Optimum:
    """The same fitted optimum with an interval of another confidence; its status stays what it was."""
    if optimum.fit is None or math.isnan(optimum.fit.t):
        return optimum
    fit = replace(optimum.fit, t=_quantile(optimum.fit.df, confidence))
    low, high = _fieller(fit, optimum.log2 - fit.origin)
    return replace(optimum, log2_low=fit.origin + low, log2_high=fit.origin + high, fit=fit)


def _quantile(df: float, confidence: float) -> float:
    return float(stdtrit(df, 0.5 + confidence / 2))


def _weights(x: Array, means: Array, sigma: Array, place: int) -> Array:
    """Inverse of noise plus model error; the model error grows as the square of the rise above the minimum."""
    rise = means - means[place]
    near = np.argsort(np.abs(x - x[place]), kind="stable")[:NEAREST]
    reference = max(float(np.median(rise[near])), 3 * math.sqrt(float(np.diag(sigma).min())))
    missed = RISE_WEIGHT * np.maximum(rise, reference) ** 2 / reference
    weights: Array = 1.0 / (np.diag(sigma) + missed**2)
    weights /= weights.max()
    return weights


def _fit(x: Array, means: Array, sigma: Array, place: int, t: float, df: float) -> LocalFit:
    weights = _weights(x, means, sigma, place)
    origin = float(x[place])
    basis = powers(x - origin, min(4, len(x) - 1))
    weighted = basis * weights[:, None]
    rough = float(parabola(basis, means, weights)[2])
    if rough <= 0:
        rough = float((means.max() - means.min() + np.sqrt(np.diag(sigma).min())) / np.square(x - origin).max())
    prior = np.array([SKEW, KURTOSIS])[: basis.shape[1] - 3] * rough
    gram = weighted.T @ basis
    higher = np.arange(3, basis.shape[1])
    gram[higher, higher] += float(np.diag(sigma).min()) / (prior * prior)
    estimator = np.asarray(np.linalg.solve(gram, weighted.T), dtype=np.float64)
    # What shrinking the higher terms leaves in the coefficients, were those terms of the size allowed for.
    left = (estimator @ basis[:, higher] - np.eye(basis.shape[1])[:, higher]) * prior
    cov = np.asarray(estimator @ sigma @ estimator.T + SHRINKAGE_SHARE * left @ left.T, dtype=np.float64)
    beta: Array = estimator @ means
    return LocalFit(origin, x, means, sigma, weights, estimator, beta, cov, t, df)


def _vertex(beta: Array) -> float:
    """The minimum of the polynomial nearest 0; NaN where there is none."""
    roots = np.roots(polyder(beta)[::-1])
    real = roots.real[np.abs(roots.imag) < 1e-9]
    minima = real[polyval(real, polyder(beta, 2)) > 0]
    return float(minima[np.argmin(np.abs(minima))]) if len(minima) else math.nan


def _describe(fit: LocalFit, seen: Optimum, noisy: bool) -> Optimum:
    u = _vertex(fit.beta)
    seen = replace(seen, min_loss=float(fit.means.min()), fit=fit)
    if not math.isfinite(u):
        return replace(seen, status="flat")
    ends = fit.x - fit.origin
    if not ends[0] < u < ends[-1]:
        return replace(seen, status="edge", side="low" if u <= ends[0] else "high")
    low, high = _fieller(fit, u) if noisy else (math.nan, math.nan)
    gap = float(np.median(np.diff(fit.x))) / 4  # a value this near the vertex lies on neither side of it
    below, above = int((ends < u - gap).sum()), int((ends > u + gap).sum())
    status: OptimumStatus = "ok"
    if min(below, above) < 2:
        status = "one-sided"
    elif not noisy:
        status = "one seed"
    elif low < ends[0] or high > ends[-1]:
        status = "open"
    return replace(
        seen,
        status=status,
        log2=fit.origin + u,
        log2_low=fit.origin + low,
        log2_high=fit.origin + high,
        curvature=float(polyval(u, polyder(fit.beta, 2))) / 2,
        min_loss=float(polyval(u, fit.beta)),
        side=("low" if below < above else "high") if status == "one-sided" else "",
    )


def _fieller(fit: LocalFit, u: float) -> tuple[float, float]:
    """Ends of the connected set around `u` where |slope| ≤ t·se(slope); infinite on an open side."""
    order = len(fit.beta) - 1
    powers = np.arange(1, order + 1)
    slope = fit.beta[1:] * powers
    spread = np.zeros(2 * order - 1)
    scaled = fit.cov[1:, 1:] * np.outer(powers, powers)
    for i in range(order):
        spread[i : i + order] += scaled[i]
    excess = np.convolve(slope, slope) - fit.t**2 * spread
    roots = np.roots(excess[::-1])
    real = roots[np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots.real))].real
    return float(real[real < u].max(initial=-math.inf)), float(real[real > u].min(initial=math.inf))
