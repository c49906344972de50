"""The loss around its optimum: a local quadratic in octaves, its minimum, and how flat it is.

Whatever seeks a minimum starts here: the proxy search and the bracket search from `local_quadratic`, the judgement of a
cell, whose polynomial is a weighted parabola with small terms on top, from `parabola`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "BOWL",
    "LocalQuadratic",
    "flat_interval",
    "local_quadratic",
    "lowest_within",
    "parabola",
    "powers",
    "shrunk_quadratic",
]

Array = npt.NDArray[np.float64]

NEAR = 0.03
"""Runs within this relative distance of the best loss describe the basin; farther ones are no parabola."""

BOWL, LOOSE = 0.02, 0.6
"""What is expected of a basin at least: a round bowl whose curvature is this share of the loss per squared octave,
every entry of its Hessian loose by this share of that."""

LUCK = 0.006
"""Expected noise of a single run, relative to its loss."""

FADE = 0.01
"""Relative rise above the best loss at which a run counts half as much: farther up the walls are no parabola."""

LEAST_CURVATURE = 1e-9
"""Relative curvature (per squared octave) below which a fit is a straight line and rounding."""


@dataclass(frozen=True)
class LocalQuadratic:
    """loss(x) ≈ value + slope·(x − centre) + ½ (x − centre)ᵀ hessian (x − centre), x in octaves."""

    centre: Array
    value: float
    slope: Array
    hessian: Array
    low: Array
    """Lower corner of the runs it was fitted to."""
    high: Array

    @property
    def vertex(self) -> Array | None:
        """The minimum, or None where the fit has none (a direction along which it does not curve upwards)."""
        if np.linalg.eigvalsh(self.hessian).min() <= LEAST_CURVATURE * abs(self.value):
            return None
        return np.asarray(self.centre - np.linalg.solve(self.hessian, self.slope))


def local_quadratic(points: Array, losses: Array, centre: Array) -> LocalQuadratic | None:
    """Least squares through the runs near the best one; None when they are too few for any parabola.

    `points` is (runs, axes) in octaves, `losses` their finite losses. The full form with cross terms is fitted when
    there are runs enough to spare two degrees of freedom, else the form without cross terms.
    """
    axes = points.shape[1]
    for crossed in (True, False):
        terms = 1 + 2 * axes + (axes * (axes - 1) // 2 if crossed else 0)
        spare = 2 if crossed and axes > 1 else 0
        chosen = _near(losses, terms + spare)
        if len(chosen) < terms + spare:
            continue
        x = points[chosen] - centre
        design = _design(x, crossed)
        solution, _, rank, _ = np.linalg.lstsq(design, losses[chosen], rcond=None)
        if rank == terms:
            return _unpack(np.asarray(solution, dtype=np.float64), centre, crossed, points[chosen])
    return None


def shrunk_quadratic(points: Array, losses: Array) -> LocalQuadratic:
    """The quadratic that few runs in many axes support: its Hessian is drawn towards a round bowl.

    In five axes a plain quadratic has 21 terms, and the runs near the best are hardly more: it follows their luck. The
    bowl is as steep as the runs say, and at least `BOWL`, which was found on the grid of `results/multipliers`.
    """
    axes = points.shape[1]
    chosen = _near(losses, 2 * axes + 3)
    best = float(abs(losses[chosen[0]])) or float(np.ptp(losses[chosen])) or 1.0  # a loss may be 0
    centre = points[chosen[:5]].mean(axis=0)
    x, y = points[chosen] - centre, losses[chosen]
    trust = 1 / (1 + ((y - y.min()) / (FADE * best)) ** 2) / (LUCK * best) ** 2
    bowl = max(BOWL * best, _steepness(x, y, trust))
    design = _design(x, crossed=True)
    free, crosses = 1 + axes, axes * (axes - 1) // 2
    expected = np.concatenate([np.zeros(free), np.full(axes, bowl), np.zeros(crosses)])
    spread = LOOSE * bowl * np.concatenate([np.full(free, np.inf), np.ones(axes), np.full(crosses, 0.5)])
    gram = (design.T * trust) @ design + np.diag(1 / spread**2)
    # Least squares, not a solve: where all these runs share a value, nothing tells the slope along it, and 0 it is.
    solution = np.linalg.lstsq(gram, (design.T * trust) @ y + expected / spread**2, rcond=None)[0]
    return _unpack(np.asarray(solution, dtype=np.float64), centre, True, points[chosen])


def _steepness(x: Array, losses: Array, trust: Array) -> float:
    """The curvature of the round bowl through the runs, the same along every axis."""
    design = np.column_stack([np.ones(len(x)), x, 0.5 * (x**2).sum(axis=1)]) * np.sqrt(trust)[:, None]
    return float(np.linalg.lstsq(design, losses * np.sqrt(trust), rcond=None)[0][-1])


def lowest_within(fit: LocalQuadratic) -> Array:
    """Where the fit is lowest among the runs that it was fitted to: its minimum, or a place on their box's edge."""

    from scipy.optimize import minimize  # here, not above: a plan or a verdict has no use for it, and it loads slowly

    def rise(x: Array) -> float:
        return float(fit.slope @ x + x @ fit.hessian @ x / 2)

    box = list(zip(fit.low - fit.centre, fit.high - fit.centre, strict=True))
    starts = (np.zeros(len(fit.centre)), *(np.array([ends[side] for ends in box]) for side in (0, 1)))
    found = min((minimize(rise, start, bounds=box) for start in starts), key=lambda result: float(result.fun))
    return np.asarray(fit.centre + found.x, dtype=np.float64)


def powers(x: Array, order: int = 2) -> Array:
    """Columns 1, x, x², … of one axis: the design of a polynomial, whose first three columns are a quadratic's."""
    return np.asarray(x[:, None] ** np.arange(order + 1), dtype=np.float64)


def parabola(design: Array, losses: Array, weights: Array) -> Array:
    """Value, slope and half the curvature of the weighted parabola, of `powers` of order 2 or more."""
    weighted = (design * weights[:, None]).T[:3]
    return np.asarray(np.linalg.solve(weighted @ design[:, :3], weighted @ losses), dtype=np.float64)


def flat_interval(fit: LocalQuadratic, axis: int, share: float) -> tuple[float, float] | None:
    """Where the slice along `axis` through the centre stays within `share` of its minimum, in octaves.

    None when the slice does not curve upwards.
    """
    curvature, slope = fit.hessian[axis, axis], fit.slope[axis]
    if curvature <= LEAST_CURVATURE * abs(fit.value):
        return None
    bottom = fit.centre[axis] - slope / curvature
    least = fit.value - slope**2 / (2 * curvature)
    half = np.sqrt(2 * share * abs(least) / curvature)
    return float(bottom - half), float(bottom + half)


def _near(losses: Array, fewest: int) -> npt.NDArray[np.intp]:
    """Runs within `NEAR` of the best, and at least the `fewest` best."""
    order = np.argsort(losses, kind="stable")
    best = losses[order[0]]
    near = int((losses <= best + NEAR * abs(best)).sum())
    return order[: max(near, fewest)]


def _design(x: Array, crossed: bool) -> Array:
    """Columns 1, xᵢ and ½xᵢ², then xᵢxⱼ when crossed."""
    columns = [np.ones(len(x)), *x.T, *(0.5 * x.T**2)]
    if crossed:
        one, other = np.triu_indices(x.shape[1], 1)
        columns += [*(x[:, one] * x[:, other]).T]
    return np.stack(columns, axis=1)


def _unpack(solution: Array, centre: Array, crossed: bool, points: Array) -> LocalQuadratic:
    axes = len(centre)
    hessian = np.diag(solution[1 + axes : 1 + 2 * axes])
    if crossed:
        one, other = np.triu_indices(axes, 1)
        hessian[one, other] = hessian[other, one] = solution[1 + 2 * axes :]
    slope, low, high = solution[1 : 1 + axes], points.min(axis=0), points.max(axis=0)
    return LocalQuadratic(np.asarray(centre, dtype=float), float(solution[0]), slope, hessian, low, high)
