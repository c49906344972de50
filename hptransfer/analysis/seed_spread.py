"""How far the optimum of one seed lies from that of another.

Runs of one seed at neighbouring values share their init, mask and batches, so a seed has a loss curve of its own: near
the minimum the common one with a tilt, whose optimum is off by tilt / (2 · curvature). Intervals of an optimum and of
a regret speak of the mean over the seeds that ran. A regret is hardly moved by the seeds' shifts, since it is quadratic
in the distance. A drift is, unless the cells share them, and that they do is not shown: over densities the shift of a
seed in one cell and in the next correlated by .18, .07, .82, .36 and −.17. So the drift's interval (`drift`) takes them
for independent from cell to cell, which is too wide where they are shared and too narrow only where a seed that lies
high in one cell tends to lie low in the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth

from hptransfer.analysis.cells import CellKey
from hptransfer.analysis.optimum import CellPoints, Optimum

__all__ = ["SeedSpread", "seed_spread"]

Array = NDArray[np.float64]
REACH = 2.2
"""Octaves around the optimum in which a seed's own tilt is looked for."""
TYPICAL = 0.1
"""Octaves between the optima of seeds (standard deviation) that are taken for typical: the twelve studies under
`results` that tell have 0.05 to 0.14, two of them none that can be seen."""
TYPICAL_DF = 4.0
"""Degrees of freedom that this is worth beside a study's own: the squares of those twelve differ by about 0.7 of their
mean."""
FEWEST_DF = 3.0
"""Degrees of freedom from which a study's own spread is told."""


@dataclass(frozen=True, slots=True, eq=False)
class SeedSpread:
    """What the seeds' own optima are to the optima of cells.

    `octaves`: standard deviation over seeds of a seed's optimum in the cell of middle curvature, from these rows alone;
    NaN where they do not tell. `shift`: variance (octaves²) of each settled cell's optimum because its seeds are a
    sample, from these rows and what is typical. `df`: degrees of freedom of those variances.
    """

    octaves: float
    shift: Mapping[CellKey, float]
    df: float


def seed_spread(points: Mapping[CellKey, CellPoints], optima: Mapping[CellKey, Optimum]) -> SeedSpread:
    """Estimate the variance of the seeds' tilts, pooled over cells as the noise is, and what it does to each optimum.

    The tilts' sum of squares beyond what the noise explains, over its weight (Henderson's third method), so that seeds
    need not have run at the same values. Mixed with `TYPICAL` by degrees of freedom.
    """
    steep = {key: 2 * o.curvature for key, o in optima.items() if o.status == "ok" and o.curvature > 0}
    if not steep:
        return SeedSpread(math.nan, {}, TYPICAL_DF)
    middle = float(np.median(list(steep.values())))
    near = {key: _near(points[key], optima[key]) for key in steep}
    squares, df, weight, rest, rest_df = np.array([_tilts(*cell) for cell in near.values()]).sum(axis=0).tolist()
    own = mean_square = 0.0
    if not (df and rest_df):
        df = 0.0
    else:
        mean_square = squares / weight
        own = max(0.0, mean_square - df * rest / rest_df / weight)
    typical = (middle * TYPICAL) ** 2
    mixed = TYPICAL_DF * typical + df * own
    variance = mixed / (TYPICAL_DF + df)
    worth = mixed**2 / (TYPICAL_DF * typical**2 + df * mean_square**2)
    shift = {key: variance / steep[key] ** 2 / _effective_seeds(near[key][1]) for key in steep}
    return SeedSpread(math.sqrt(own) / middle if df >= FEWEST_DF else math.nan, shift, worth)


def _near(points: CellPoints, optimum: Optimum) -> tuple[Array, Array]:
    """Octaves from the optimum and losses (seeds × values) within reach of it."""
    away = points.x - optimum.log2
    near = np.abs(away) <= REACH
    return away[near], points.losses[:, near]


def _effective_seeds(losses: Array) -> float:
    """Seeds, each counted by its runs: seeds of 4, 4, 4 and 1 run are worth 3.4 of equal ones."""
    runs = np.isfinite(losses).sum(axis=1)
    return float(runs.sum() ** 2 / (runs @ runs))


def _tilts(away: Array, losses: Array) -> tuple[float, float, float, float, float]:
    """Of one cell: the sum of squares that the seeds' tilts explain, its degrees of freedom, its weight (its mean is
    weight · variance of tilts + degrees · noise), the sum of squares left, its degrees of freedom."""
    line, column = np.nonzero(np.isfinite(losses))
    seed = (line[:, None] == np.arange(len(losses))).astype(np.float64)
    additive = orth(np.column_stack([seed, column[:, None] == np.arange(len(away))]))
    tilted = seed * away[column][:, None]
    tilted -= additive @ (additive.T @ tilted)
    rest = losses[line, column]
    rest = rest - additive @ (additive.T @ rest)
    weight = float((tilted**2).sum())
    span = orth(tilted, rcond=1e-8) if weight > 1e-9 else tilted[:, :0]
    squares, df = float(((span.T @ rest) ** 2).sum()), span.shape[1]
    return squares, df, weight if df else 0.0, float(rest @ rest) - squares, len(rest) - additive.shape[1] - df
