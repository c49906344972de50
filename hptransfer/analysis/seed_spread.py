"""How far the optimum of one seed lies from that of another.

Runs of one seed at neighbouring values share their init, mask and batches, so a seed has a loss curve of its own, with
an optimum of its own. Intervals speak of the mean over the seeds that ran; for the optimum over all seeds there might
be, add this spread over the root of their number. Neither a drift, since the cells share their seeds, nor a regret,
since it is quadratic in the distance, is moved much by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hptransfer.analysis.optimum import CellPoints, Optimum

__all__ = ["seed_spread"]

REACH = 2.2
"""Octaves around the optimum in which a seed's own slope is looked for."""
FEWEST_DF = 3


def seed_spread(points: Sequence[CellPoints], optima: Sequence[Optimum]) -> float:
    """Standard deviation over seeds of a seed's own optimum, in octaves, pooled over cells; NaN where too few ran.

    In every cell the residuals of each seed are given a slope of their own. Its variance beyond what the residuals
    explain is the variance of the seeds' slopes at the optimum, and over twice the curvature that of their optima.
    """
    spreads, weights = [], []
    for cell, optimum in zip(points, optima, strict=True):
        table = _complete(cell, optimum)
        if table is None:
            continue
        x, losses = table
        away = x - x.mean()
        rest = losses - losses.mean(axis=0) - losses.mean(axis=1, keepdims=True) + losses.mean()
        slopes = rest @ away / (away @ away)
        left = rest - np.outer(slopes, away)
        df = len(slopes) - 1
        noise = float((left**2).sum()) / (df * (len(x) - 2)) / float(away @ away)
        spreads.append((float((slopes**2).sum()) / df - noise) / (2 * optimum.curvature) ** 2)
        weights.append(df)
    if sum(weights) < FEWEST_DF:
        return math.nan
    return math.sqrt(max(0.0, float(np.average(spreads, weights=weights))))


def _complete(cell: CellPoints, optimum: Optimum) -> tuple[np.ndarray, np.ndarray] | None:
    """Values near the optimum and the losses of the seeds that ran at all of them; None unless 3 values and 2 seeds."""
    if not (optimum.status == "ok" and optimum.curvature > 0):
        return None
    near = np.abs(cell.x - optimum.log2) <= REACH
    finite = np.isfinite(cell.losses[:, near])
    near[near] = finite.sum(axis=0) >= 2
    seeds = np.isfinite(cell.losses[:, near]).all(axis=1)
    if near.sum() < 3 or seeds.sum() < 2:
        return None
    return cell.x[near], cell.losses[np.ix_(seeds, near)]
