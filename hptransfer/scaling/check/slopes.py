"""The slope of log size on log width or log density: one for every seed, and their mean with its interval.

The seed is what is repeated. Within one seed sizes at several places share weights, masks and the batch, so they are
not independent; over seeds the slopes are, and their spread says how well the mean is known (Student's t).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from hptransfer.common.module_kind import module_kind

__all__ = ["Axis", "FloatArray", "MeanSlope", "mean_slope", "other_axis", "quantile", "seed_slopes", "sizes"]

Axis = Literal["width", "density"]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class MeanSlope:
    """The mean slope over seeds and its standard error: NaN where a size is not finite, infinite error of one seed."""

    slope: float
    error: float
    seeds: int

    def half_width(self, alpha: float) -> float:
        """Half the interval that leaves out `alpha` on each side."""
        return quantile(1 - alpha, self.seeds) * self.error if self.error else 0.0

    def chance_above(self, limit: float) -> float:
        """How likely a mean slope as high as this is where the true one is `limit`."""
        if not self.error:
            return float(self.slope <= limit)
        return float(stdtr(self.seeds - 1, (limit - self.slope) / self.error)) if self.seeds > 1 else 1.0

    def chance_beyond(self, limit: float) -> float:
        """How likely a mean slope as far from 0 as this is where the true one is `limit`, on either side of 0."""
        size = MeanSlope(abs(self.slope), self.error, self.seeds)
        return (
            min(1.0, size.chance_above(limit) + size.chance_above(-limit)) if self.error else size.chance_above(limit)
        )


def quantile(share: float, seeds: int) -> float:
    """Student's t that this share of means lies below; infinite for one seed."""
    return float(stdtrit(seeds - 1, share)) if seeds > 1 else math.inf


def other_axis(axis: Axis) -> Axis:
    """The axis that is held while a slope over `axis` is taken."""
    return "density" if axis == "width" else "width"


def sizes(frame: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """One size for each kind of module, seed and place on the axes: the mean over the modules of that kind.

    `features` are those of the largest of them. Over width, where there are as many scores everywhere, a gradient is
    what comes around them; `through` says that all of it comes through them.
    """
    if "scores" not in frame:  # measured before they were
        frame = frame.assign(scores=0, around=math.nan)
    values = frame.assign(module=frame["module"].map({name: module_kind(name) for name in frame["module"].unique()}))
    gradient = values["kind"].isin(["gradient", "input_gradient"])
    values["through"] = False
    if axis == "width":
        if values["scores"].nunique() == 1:  # what comes through them shrinks as they do, and as a readout's outputs
            around = values["around"]
            values["through"] = gradient & (around == 0)
            values["value"] = values["value"].where(~(gradient & (around > 0)), around)
        # Behind a 1/m readout the gradient of one unit is ∝ 1/m, the sum over units is Θ(1).
        values.loc[gradient, "value"] *= values.loc[gradient, "features"]
    keys = ["rule", "module", "kind", "step", axis, other_axis(axis), "seed"]
    said = {"value": ("value", "mean"), "role": ("role", "first"), "features": ("features", "max")}
    said["through"] = ("through", "all")
    return values.groupby(keys, sort=False).agg(**said).reset_index()


def seed_slopes(group: pd.DataFrame, axis: Axis) -> FloatArray:
    """The least-squares slope of each seed; places that differ in the other axis have levels of their own.

    NaN where a size is not finite or not positive. Sizes of exactly zero (a module that does nothing) have no slope: 0.
    """
    x, y = np.log(group[axis].to_numpy(float)), group["value"].to_numpy(float)
    seed, numbers = pd.factorize(group["seed"])
    if not np.isfinite(y).all() or (y <= 0).any():
        return np.full(len(numbers), 0.0 if (y == 0).all() else math.nan)
    log_y = np.log(y)
    level = seed + len(numbers) * pd.factorize(group[other_axis(axis)])[0]
    count = np.bincount(level)
    x = x - (np.bincount(level, x) / np.maximum(count, 1))[level]
    return np.asarray(np.bincount(seed, x * log_y) / np.bincount(seed, x * x), float)


def mean_slope(slopes: FloatArray) -> MeanSlope:
    """The mean of the seeds' slopes and its standard error."""
    seeds = len(slopes)
    error = float(slopes.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else math.inf
    return MeanSlope(float(slopes.mean()), error, seeds)
