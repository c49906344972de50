"""What transferring gave up against a search at the target itself, cell by cell, and who is best where each is tuned.

All of it is paired: the runs that are compared share their seeds, so that of a difference only what seeds disagree on
is noise. A cell's own loss is that of the minimum fitted to its line of LRs, seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from hptransfer.analysis.cells import CellKey, places_in_words
from hptransfer.analysis.noise import pool_noise
from hptransfer.analysis.optimum import CellPoints, Optimum, fit_optimum, own_noise
from hptransfer.analysis.quadratic import powers
from hptransfer.study.axes import place_axes
from hptransfer.study.direct import DirectCell

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
    where: str
    """`width 128, density 1/16`."""
    hps: Mapping[str, float]
    """What the search in this cell found; the LR is that of its winner, not of the line's minimum."""
    lr: float = math.nan
    """LR of the line's minimum."""
    loss: float = math.nan
    """At that minimum, mean over the seeds."""
    given_up: Interval = field(default_factory=Interval)
    """What the transferred HPs lose against it, relative."""
    against: Interval = field(default_factory=Interval)
    """Own loss against the reference's own loss in the same cell, relative; above 0: the reference is better."""
    is_reference: bool = False
    doubts: tuple[str, ...] = ()
    """Why the own loss is no sure minimum, in sentences; empty where it is one."""


def paired(mine: Mapping[int, float], other: Mapping[int, float], *, confidence: float = 0.95) -> Interval:
    """Relative difference `mine / other − 1`, over the seeds that both have.

    Infinite where a run of `mine` diverged and none of `other`, minus infinity the other way round, NaN where both did.
    """
    seeds = [seed for seed in sorted(mine.keys() & other.keys()) if not math.isnan(mine[seed] + other[seed])]
    if not seeds:
        return Interval()
    lost, gained = (any(math.isinf(losses[seed]) for seed in seeds) for losses in (mine, other))
    if lost or gained:
        return Interval(math.nan if lost and gained else math.inf if lost else -math.inf)
    away = np.array([mine[seed] - other[seed] for seed in seeds]) / float(np.mean([other[seed] for seed in seeds]))
    mean = float(away.mean())
    if len(seeds) < 2:
        return Interval(mean)
    half = float(stdtrit(len(seeds) - 1, 0.5 + confidence / 2)) * float(away.std(ddof=1)) / math.sqrt(len(seeds))
    return Interval(mean, mean - half, mean + half)


def compare_directly(
    frame: pd.DataFrame,
    cells: Sequence[DirectCell],
    *,
    references: Collection[str] = (),
    confidence: float = 0.95,
) -> list[DirectVerdict]:
    """Judge the cells of a `direct.json` by the rows of their trials; those without any row are left out, those whose
    search found nothing have no loss and say why.

    `references`: the rule or series that the others of the same variant are held against; the first that is there.
    """
    rows = {str(row["trial_id"]): row for row in frame.to_dict("records")} if "trial_id" in frame else {}
    known = [cell for cell in cells if cell.failed or any(i in rows for i in cell.line)]
    keys = [_key(cell) for cell in known]
    reference = next((name for name in references if any(name in (key.rule, key.series) for key in keys)), "")
    own = _own_losses([cell for cell in known if not cell.failed], rows, confidence)
    best = {
        (key.variant, key.place): own[cell].losses
        for cell, key in zip(known, keys, strict=True)
        if cell in own and reference in (key.rule, key.series)
    }
    found = []
    for cell, key, where in zip(known, keys, places_in_words(keys), strict=True):
        is_reference = reference in (key.rule, key.series)
        if cell not in own:
            found.append(DirectVerdict(key, where, {}, is_reference=is_reference, doubts=(cell.failed,)))
            continue
        mine = own[cell]
        there = {int(rows[i]["seed"]): _loss(rows[i]) for i in cell.transferred if i in rows}
        held = {} if is_reference else best.get((key.variant, key.place), {})
        found.append(
            DirectVerdict(
                key,
                where,
                cell.hps,
                2.0**mine.log2,
                float(np.nanmean(list(mine.losses.values()))),
                paired(there, mine.losses, confidence=confidence),
                paired(mine.losses, held, confidence=confidence),
                is_reference,
                (*mine.doubts, *cell.warnings),
            )
        )
    return found


@dataclass(frozen=True)
class _Own:
    """The minimum of one line, by seed."""

    log2: float
    losses: Mapping[int, float]
    doubts: tuple[str, ...]


def _own_losses(
    cells: Sequence[DirectCell], rows: Mapping[str, Mapping[Any, Any]], confidence: float
) -> dict[DirectCell, _Own]:
    lines = [[rows[i] for i in cell.line if i in rows] for cell in cells]
    points = [CellPoints.of((row["lr"], row["seed"], _loss(row)) for row in line) for line in lines]
    noise = pool_noise([own_noise(p) for p in points])
    optima = [fit_optimum(p, n, confidence=confidence) for p, n in zip(points, noise, strict=True)]
    found = {}
    for cell, line, p, optimum in zip(cells, lines, points, optima, strict=True):
        seeds = sorted({int(row["seed"]) for row in line})
        losses = dict(zip(seeds, _lowest(p, optimum).tolist(), strict=True))
        if _fitted(optimum):
            found[cell] = _Own(optimum.log2, losses, ())
        else:
            doubt = f"no minimum inside its line of LRs ({optimum.status}): the lowest value stands for it"
            found[cell] = _Own(optimum.best_seen, losses, (doubt,))
    return found


def _key(cell: DirectCell) -> CellKey:
    place = tuple(
        (axis.name, axis.number(getattr(cell, axis.name))) for axis in place_axes() if hasattr(cell, axis.name)
    )
    return CellKey(cell.rule, cell.variant, place)


def _loss(row: Mapping[Any, Any]) -> float:
    return float(row["loss"]) if row["status"] == "ok" else math.inf


def _fitted(optimum: Optimum) -> bool:
    return optimum.fit is not None and optimum.status != "edge" and math.isfinite(optimum.log2)


def _lowest(points: CellPoints, optimum: Optimum) -> Array:
    """Every seed's loss at the minimum of the line: read off the fit, else of the value with the lowest mean."""
    fit = optimum.fit
    if fit is None or not _fitted(optimum):
        column = np.abs(points.x - optimum.best_seen) < 1e-6
        return points.losses[:, column][:, 0] if column.any() else np.full(len(points.losses), math.inf)
    near = [int(np.abs(points.x - x).argmin()) for x in fit.x]
    read = powers(np.array([optimum.log2 - fit.origin]), len(fit.beta) - 1)[0] @ fit.estimator
    return np.asarray(points.losses[:, near] @ read, dtype=np.float64)
