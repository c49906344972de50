"""What transferring gave up against a search at the target itself, cell by cell, and who is best where each is tuned.

All of it is paired: the runs that are compared share their seeds, so that of a difference only what seeds disagree on
is noise. A cell's own loss is that of the minimum fitted to its line of LRs, seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from hptransfer.analysis.cells import CellKey
from hptransfer.analysis.noise import pool_noise
from hptransfer.analysis.optimum import CellPoints, Optimum, fit_optimum, own_noise
from hptransfer.analysis.quadratic import powers
from hptransfer.study.axes import place_axes

__all__ = ["DirectVerdict", "Interval", "compare_directly", "paired"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds and its two-sided interval; ends are NaN from a single seed, all of it without a seed."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class DirectVerdict:
    """One cell of one series. Losses are in the task's unit, shares relative to the own loss (0.01 is one percent)."""

    key: CellKey
    hps: Mapping[str, float]
    """What the search in this cell found; the LR is that of its winner, not of the line's minimum."""
    trials: int
    lr: float
    """LR of the line's minimum."""
    loss: float
    """At that minimum, mean over the seeds."""
    given_up: Interval
    """What the transferred HPs lose against it, relative."""
    against: Interval
    """Own loss against the reference series' own loss in the same cell, relative; above 0: the reference is better."""
    doubt: str = ""
    """Why the minimum is no minimum of the line, such as `edge`; empty where it is one."""


def paired(mine: Mapping[int, float], other: Mapping[int, float], *, confidence: float = 0.95) -> Interval:
    """Relative difference `mine / other − 1`, over the seeds that both have. A diverged run makes it infinite."""
    seeds = [seed for seed in sorted(mine.keys() & other.keys()) if not math.isnan(mine[seed] + other[seed])]
    if not seeds:
        return Interval()
    away = np.array([mine[seed] - other[seed] for seed in seeds]) / float(np.mean([other[seed] for seed in seeds]))
    mean = float(away.mean())
    if len(seeds) < 2 or not math.isfinite(mean):
        return Interval(mean)
    half = float(stdtrit(len(seeds) - 1, 0.5 + confidence / 2)) * float(away.std(ddof=1)) / math.sqrt(len(seeds))
    return Interval(mean, mean - half, mean + half)


def compare_directly(
    frame: pd.DataFrame, cells: Sequence[Mapping[str, Any]], *, reference: str = "", confidence: float = 0.95
) -> list[DirectVerdict]:
    """Judge the cells of a `direct.json` by the rows of their trials; those without any row are left out.

    `reference`: the series that the others are held against; empty: no comparison between series.
    """
    rows = {str(row["trial_id"]): row for row in frame.to_dict("records")} if "trial_id" in frame else {}
    known = [(cell, line) for cell in cells if (line := [rows[i] for i in cell["line"] if i in rows])]
    points = [CellPoints.of((row["lr"], row["seed"], _loss(row)) for row in line) for _, line in known]
    noise = pool_noise([own_noise(p) for p in points])
    optima = [fit_optimum(p, n, confidence=confidence) for p, n in zip(points, noise, strict=True)]
    keys = [_key(cell) for cell, _ in known]
    own = [
        dict(zip(sorted({int(r["seed"]) for r in line}), _lowest(p, o), strict=True))
        for (_, line), p, o in zip(known, points, optima, strict=True)
    ]
    best = {key.place: losses for key, losses in zip(keys, own, strict=True) if key.series == reference}
    found = []
    for (cell, _), key, optimum, losses in zip(known, keys, optima, own, strict=True):
        there = {int(rows[i]["seed"]): _loss(rows[i]) for i in cell["transferred"] if i in rows}
        found.append(
            DirectVerdict(
                key,
                cell["hps"],
                int(cell["trials"]),
                2.0 ** (optimum.log2 if _fitted(optimum) else optimum.best_seen),
                float(np.nanmean(list(losses.values()))),
                paired(there, losses, confidence=confidence),
                paired(losses, best.get(key.place, {}), confidence=confidence)
                if key.series != reference
                else Interval(),
                "" if optimum.status == "ok" else optimum.status,
            )
        )
    return found


def _key(cell: Mapping[str, Any]) -> CellKey:
    named = [axis for axis in place_axes() if axis.name in cell]
    place = tuple((axis.name, axis.number(cell[axis.name])) for axis in named)
    return CellKey(str(cell["rule"]), str(cell["variant"]), place)


def _loss(row: Mapping[Any, Any]) -> float:
    return float(row["loss"]) if row["status"] == "ok" else math.inf


def _fitted(optimum: Optimum) -> bool:
    return optimum.fit is not None and math.isfinite(optimum.log2)


def _lowest(points: CellPoints, optimum: Optimum) -> Array:
    """Every seed's loss at the minimum of the line: read off the fit, else of the value with the lowest mean."""
    fit = optimum.fit
    if fit is None or not _fitted(optimum):
        column = np.abs(points.x - optimum.best_seen) < 1e-6
        return points.losses[:, column][:, 0] if column.any() else np.full(len(points.losses), math.inf)
    near = [int(np.abs(points.x - x).argmin()) for x in fit.x]
    read = powers(np.array([optimum.log2 - fit.origin]), len(fit.beta) - 1)[0] @ fit.estimator
    return np.asarray(points.losses[:, near] @ read, dtype=np.float64)
