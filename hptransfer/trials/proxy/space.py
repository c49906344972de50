"""What is searched: which hyperparameters, on which axes, and how a point of the space becomes a proxy trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import exp2, isfinite, log2
from typing import Any

from hptransfer.common.errors import InputError
from hptransfer.common.seams import OPTIMIZERS
from hptransfer.study.base import TUNED_TRAINING
from hptransfer.study.study import Cell, Range, Study, TuneSpec
from hptransfer.study.trial import Trial
from hptransfer.trials.settled import Settled

__all__ = [
    "HPs",
    "check_tune",
    "coordinate",
    "finite",
    "mesh",
    "mesh_points",
    "planned_trials",
    "proxy_trial",
    "rounded",
    "seed_offset",
    "space_of",
    "tune_of",
    "tune_warnings",
    "value_at",
]

HPs = Mapping[str, float]
"""Searched hyperparameters by name, in the units of a study file."""

BETAS = ("beta1", "beta2")
"""What some optimizers have and others do not."""
SEED_BLOCK = 100_000
"""Tune seeds start at a multiple of this above every seed of the grid, so that no search trial is a grid trial."""


def tune_of(study: Study) -> TuneSpec:
    """The search of a study that has one."""
    assert study.tune is not None
    return study.tune


def space_of(tune: TuneSpec) -> dict[str, Range]:
    """What `tune` searches, by name, in the order of the study file."""
    return {str(name): axis for name, axis in tune.space.items()}


def check_tune(study: Study) -> TuneSpec:
    """The search of `study`, refused where it cannot mean anything."""
    tune = study.tune
    if tune is None:
        raise InputError("nothing to search", where="tune", hint="add a `tune:` section with a `space`")
    for name, axis in tune.space.items():
        where = f"tune.space.{name}"
        if name in TUNED_TRAINING and axis.high >= 1:
            raise InputError("must stay below 1", where=f"{where}.high", found=axis.high, allowed="0 ≤ value < 1")
        if name in BETAS and name not in OPTIMIZERS.get(study.training.optimizer).numbers(study.training, 0):
            raise InputError(
                f"{study.training.optimizer} has no {name}", where=where, hint="search it with optimizer: adamw"
            )
        if name in ("lr", "init_std", "alpha_input", "alpha_output") and axis.low <= 0:
            raise InputError("must be above 0", where=f"{where}.low", found=axis.low)
    if tune.pruner != "none" and tune.strategy == "telescope":
        raise InputError(
            "the telescope fits every point of its mesh, so none may be pruned", where="tune.pruner", found=tune.pruner
        )
    return tune


def tune_warnings(study: Study) -> list[str]:
    """What is allowed and yet likely to mislead, in sentences that say why. Empty without a search."""
    tune = study.tune
    if tune is None:
        return []
    found = []
    shapes = study.grid.shapes(study.base.depth)
    widest = max((cell.width for cell in shapes), default=study.base.width)
    if study.base.width > widest:
        found.append(
            f"the proxy (width {study.base.width}) is wider than the widest target ({widest}): each search trial costs"
            " more than a target run, and nothing is known about transfer downwards in width"
        )
    if tune.steps is not None and tune.steps != study.training.steps:
        found.append(
            f"the proxy trains {tune.steps} steps and the grid {study.training.steps}: the best LR falls as the"
            " horizon grows, so the tuned LR will sit off the grid's optimum"
        )
    if tune.pruner != "none":
        found.append(
            f"pruner {tune.pruner} ends runs by their rank at 1/8, 1/4 and 1/2 of the steps, and early rank misleads:"
            " the best LR falls as the horizon grows, so the tuned LR may come out too high"
        )
    if tune.strategy == "telescope" and tune.rule == "sp":
        found.append("telescope moves the optimum from width to width, and under rule sp the optimum drifts with width")
    return found


def planned_trials(study: Study) -> int:
    """How many trials the search will run, finalists counted; equal points and replaced finalists may change it."""
    tune = study.tune
    return 0 if tune is None else tune.trials + min(tune.finalists, tune.trials) * tune.finalist_seeds


def seed_offset(study: Study) -> int:
    """The first seed of the search: a multiple of 100 000 above every seed of the grid."""
    return SEED_BLOCK * (max(study.grid.seeds) // SEED_BLOCK + 1)


def proxy_trial(settled: Settled, hps: HPs, *, seed: int, width: int | None = None) -> Trial:
    """A dense trial of the proxy with `hps` in place of the study's own values."""
    study, tune = settled.study, tune_of(settled.study)
    size = Cell(width=width or study.base.width, depth=study.base.depth)
    return settled.with_hps(hps).trial(size, rule=tune.rule, seed=seed, steps=tune.steps)


def rounded(value: float, axis: Range) -> float:
    """Five significant digits, inside the range.

    A proposal is a result of linear algebra and may differ in its last bits between machines; rounded, it names the
    same trial on all of them.
    """
    return min(max(float(f"{value:.5g}"), axis.low), axis.high)


def coordinate(value: float, axis: Range) -> float:
    """Place on an axis: octaves on a log axis, otherwise eighths of the range, so that steps are of like size."""
    return log2(value) if axis.log else 8 * value / (axis.high - axis.low)


def value_at(place: float, axis: Range) -> float:
    """The inverse of `coordinate`."""
    return exp2(place) if axis.log else place * (axis.high - axis.low) / 8


def mesh(ranges: Mapping[str, Range], points: int) -> list[dict[str, float]]:
    """Every combination of `points` evenly spaced values an axis, ends included."""
    return [
        dict(zip(ranges, values, strict=True)) for values in product(*(_even(axis, points) for axis in ranges.values()))
    ]


def mesh_points(budget: int, dimensions: int) -> int:
    """The most points an axis for which the whole mesh stays within `budget`."""
    points = 1
    while (points + 1) ** dimensions <= budget:
        points += 1
    return points


def _even(axis: Range, points: int) -> Sequence[float]:
    low, high = coordinate(axis.low, axis), coordinate(axis.high, axis)
    inner = [value_at(low + (high - low) * i / (points - 1), axis) for i in range(1, points - 1)]
    return [axis.low, *inner, axis.high]


def finite(value: Any) -> bool:
    """Whether a stored loss is a number (a missing one reads as None or NaN)."""
    return value is not None and isfinite(value)
