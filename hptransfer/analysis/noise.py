"""Pooling the residual noise of many cells, so that two seeds are enough for an interval.

One cell of 5 values and 2 seeds has 4 degrees of freedom (t = 2.8); ten such cells together have 40 (t = 2.0). Cells
differ in noise all the same, so each cell's variance is drawn towards the common one as far as the spread between
cells allows: the moderated variance of Smyth (2004), "Linear models and empirical Bayes methods".

Seeds whose whole curve lies a little further left or right make neighbouring residuals alike, which a residual variance
does not see. On values an octave apart the same shift also swells that variance, by more than the slope at the vertex
gains (a tenth of an octave of shift leaves coverage between 93 and 99%); on finer ones less so. Real seeds differ by a
twentieth to a seventh (`seed_spread`): an interval holds the optimum of the seeds that ran, not that of all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from hptransfer.analysis.optimum import Noise

__all__ = ["pool_noise"]


def pool_noise(own: Sequence[Noise | None]) -> list[Noise | None]:
    """Moderated noise of every cell, from each cell's own; a cell without its own takes the common one.

    All None when no cell has any (one seed everywhere).
    """
    known = [n for n in own if n is not None]
    if not known:
        return [None] * len(own)
    variance = np.array([n.variance for n in known])
    df = np.array([n.df for n in known])
    common, prior_df = _common(variance, df)
    total = float(df.sum())
    pooled: list[Noise | None] = []
    for n in own:
        if n is None or math.isinf(prior_df):
            pooled.append(Noise(common, min(prior_df, total)))
        else:
            both = prior_df + n.df
            pooled.append(Noise((prior_df * common + n.df * n.variance) / both, min(both, total)))
    return pooled


def _common(variance: NDArray[np.float64], df: NDArray[np.float64]) -> tuple[float, float]:
    """Common variance and the degrees of freedom it is worth (infinite when cells do not differ)."""
    plain = float((df * variance).sum() / df.sum())
    if len(variance) < 2:
        return plain, math.inf
    logs = np.log(variance) - digamma(df / 2) + np.log(df / 2)
    extra = float(logs.var(ddof=1) - polygamma(1, df / 2).mean())
    if extra <= 0:
        return plain, math.inf
    prior_df = 2 * _trigamma_inverse(extra)
    return float(np.exp(logs.mean() + digamma(prior_df / 2) - math.log(prior_df / 2))), prior_df


def _trigamma_inverse(y: float) -> float:
    """x with trigamma(x) = y, by Newton's method on 1/trigamma (Smyth 2004, appendix)."""
    if y > 1e7:
        return 1 / math.sqrt(y)
    if y < 1e-6:
        return 1 / y
    x = 0.5 + 1 / y
    for _ in range(50):
        value = float(polygamma(1, x))
        step = value * (1 - value / y) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
