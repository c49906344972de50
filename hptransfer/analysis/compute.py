"""What a difference in loss is worth in compute, how loss falls with non-zero parameters, and what tuning cost.

Compute-efficiency gain of A over B: the compute that a law says it takes to reach A's loss, over that for B's loss.
The law is that of Hoffmann et al. (2022), approach 3,

    L(N, D) = 1.69 + 406.4 / N^0.34 + 410.7 / D^0.28,    with D = 20 N tokens and C = 6 N D = 120 N² FLOPs,

which belongs to its own data and tokenizer, so it gives a currency and not a forecast. Its convention is said in words
beside every gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from hptransfer.common.errors import InputError
from hptransfer.study.axes import place_axes

__all__ = [
    "CHINCHILLA",
    "Chinchilla",
    "LossCurve",
    "TuningCost",
    "compute_gain",
    "fit_loss_curve",
    "rule_gains",
    "tuning_cost",
]

Array = NDArray[np.float64]
EXPONENTS = (0.01, 4.0)


@dataclass(frozen=True, slots=True)
class Chinchilla:
    """The parametric law with its constants and the convention on tokens."""

    floor: float = 1.69
    params_scale: float = 406.4
    params_exponent: float = 0.34
    tokens_scale: float = 410.7
    tokens_exponent: float = 0.28
    tokens_per_param: float = 20.0

    @property
    def convention(self) -> str:
        """Constants, tokens per parameter and FLOPs."""
        return (
            f"L = {self.floor:g} + {self.params_scale:g}/N^{self.params_exponent:g}"
            f" + {self.tokens_scale:g}/D^{self.tokens_exponent:g}, D = {self.tokens_per_param:g} N, C = 6 N D"
        )

    def loss(self, params: float) -> float:
        """Loss in nats per token of a dense model of that many parameters, trained on its tokens."""
        of_params = self.params_scale / params**self.params_exponent
        of_tokens = self.tokens_scale / (self.tokens_per_param * params) ** self.tokens_exponent
        return float(self.floor + of_params + of_tokens)

    def params_for(self, loss: float) -> float:
        """The inverse of `loss`; NaN at or below the floor and above the law's value at one parameter."""
        low, high = 0.0, math.log(1e30)
        if not self.loss(math.exp(high)) < loss < self.loss(1.0):
            return math.nan
        return math.exp(_root(lambda x: self.loss(math.exp(x)) - loss, low, high, tolerance=1e-12))

    def compute_for(self, loss: float) -> float:
        """Training FLOPs, 6 N D."""
        params = self.params_for(loss)
        return 6 * params * self.tokens_per_param * params


CHINCHILLA = Chinchilla()


@dataclass(frozen=True, slots=True)
class LossCurve:
    """L = floor + scale · N^−exponent at a fixed token budget, the exponent with its interval (NaN: too few points)."""

    floor: float
    scale: float
    exponent: float
    exponent_low: float
    exponent_high: float

    @property
    def determined(self) -> bool:
        """Whether the data say what the exponent is: its interval lies inside the range that is searched."""
        return EXPONENTS[0] < self.exponent_low and self.exponent_high < EXPONENTS[1]

    @property
    def loss_text(self) -> str:
        """The fitted law as a formula."""
        return f"L = {self.floor:.4g} + {self.scale:.4g}/N^{self.exponent:.3g}"

    def loss(self, params: float) -> float:
        """Fitted loss at that many non-zero parameters."""
        return float(self.floor + self.scale * params**-self.exponent)


def compute_gain(loss: float, other_loss: float) -> float:
    """How many times the compute the law asks for `loss` over `other_loss`: above 1 when `loss` is the better.

    What a percentage is worth falls with the level: a loss 8.2% lower is worth 4.1 below 2.935 and 2.9 below 3.72.
    """
    return CHINCHILLA.compute_for(loss) / CHINCHILLA.compute_for(other_loss)


def fit_loss_curve(params: Sequence[float], loss: Sequence[float], *, confidence: float = 0.95) -> LossCurve:
    """Fit floor + scale·N^−exponent by least squares, floor and scale not negative, to finite losses of known sizes.

    For a given exponent the rest is linear, so the fit is a search over one number; its interval holds every exponent
    whose residuals are not significantly larger (F test).
    """
    n, y = np.asarray(params, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if (sizes := len(np.unique(n))) < 3:
        hint = "run more widths or densities"
        raise InputError("a power law with a floor needs three sizes or more", found=sizes, hint=hint)
    from scipy.optimize import minimize_scalar

    unit = float(np.exp(np.log(n).mean()))  # keeps N^−exponent near 1
    n = n / unit
    grid = np.geomspace(*EXPONENTS, 400)
    squares = np.array([_linear(n, y, a)[2] for a in grid])
    best = int(np.argmin(squares))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(lambda a: _linear(n, y, a)[2], bounds=around, method="bounded")
    exponent = float(found.x) if found.fun <= squares[best] else float(grid[best])
    floor, scale, least = _linear(n, y, exponent)
    free = len(y) - 3
    exponents = math.nan, math.nan
    if free > 0:
        limit = least * (1 + float(stdtrit(free, 0.5 + confidence / 2)) ** 2 / free) + 1e-18
        exponents = _crossing(n, y, exponent, limit, grid[0]), _crossing(n, y, exponent, limit, grid[-1])
    return LossCurve(floor, scale * unit**exponent, exponent, *exponents)


def _crossing(n: Array, y: Array, inside: float, limit: float, end: float) -> float:
    """The exponent between `inside` and `end` at which the residual squares reach `limit`; `end` if they never do."""
    if _linear(n, y, end)[2] <= limit:
        return float(end)
    return _root(lambda a: _linear(n, y, a)[2] - limit, inside, end, tolerance=1e-9)


def _root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    # Imported where it is used: it takes a quarter of a second, and most commands need no root.
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=tolerance))


def _linear(n: Array, y: Array, exponent: float) -> tuple[float, float, float]:
    """Best (floor, scale, residual squares) at a given exponent, both at least 0."""
    x = n**-exponent
    centred = x - x.mean()
    spread = float(centred @ centred)
    scale = max(float(centred @ y) / spread, 0.0) if spread > 0 else 0.0
    floor = float(y.mean() - scale * x.mean())
    if floor < 0:
        floor, scale = 0.0, max(float(x @ y) / float(x @ x), 0.0)
    rest = y - floor - scale * x
    return floor, scale, float(rest @ rest)


def rule_gains(cells: pd.DataFrame, series: str, other: str) -> pd.DataFrame:
    """Gain of `series` over `other` in every target both have, from `Judgement.cells`.

    Columns: width, density, depth (and what else they are scaled along), gain_transferred (both at the transferred
    value), gain_tuned (each at its own best). NaN where a loss is unknown or the law cannot reach it.
    """
    place = [axis.name for axis in place_axes() if axis.name in cells]
    known = sorted(cells["series"].unique())
    for name in (series, other):
        if name not in known:
            raise InputError("no such series", found=name, allowed=", ".join(known))
    pair = cells[cells["series"] == series].merge(cells[cells["series"] == other], on=place, suffixes=("", "_other"))
    for gain, loss in (("gain_transferred", "transferred_loss"), ("gain_tuned", "min_loss")):
        pair[gain] = [compute_gain(a, b) for a, b in zip(pair[loss], pair[f"{loss}_other"], strict=True)]
    return pair[[*place, "gain_transferred", "gain_tuned"]]


@dataclass(frozen=True, slots=True)
class TuningCost:
    """FLOPs of the proxy search against the same trials, each at the costliest cell of the grid (`target_flops`).

    Numbers are NaN without a search, without a grid, or where a trainer knows no cost.
    """

    proxy_trials: int
    proxy_flops: float
    target_flops: float

    @property
    def saved(self) -> float:
        """The share that transfer saves."""
        known = self.proxy_flops > 0 and self.target_flops > 0
        return 1 - self.proxy_flops / self.target_flops if known else math.nan


def tuning_cost(frame: pd.DataFrame, base: Mapping[str, Any] | None = None) -> TuningCost:
    """Cost of finding the base HPs, from the store's rows (and `base.json` when the search ran elsewhere)."""
    if missing := [c for c in ("phase", "flops_dense") if c not in frame]:
        raise InputError(f"columns are missing: {', '.join(missing)}", where="results", allowed="phase and flops_dense")
    flops = frame["flops_dense"].astype(float)
    tune, grid = flops[frame["phase"] == "tune"], flops[frame["phase"] == "grid"]
    trials, proxy = len(tune), float(tune.sum(skipna=False))
    if not trials and base:
        trials, proxy = int(base.get("trials") or 0), float(base.get("flops") or math.nan)
    target = trials * float(grid.max()) if trials else math.nan  # of no rows the greatest is NaN
    return TuningCost(trials, proxy if trials else math.nan, target)
