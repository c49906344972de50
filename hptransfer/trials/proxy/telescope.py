"""The telescope: a mesh at the smallest width, then double the width and shrink the mesh around the optimum.

As a rule's optimum moves by less and less between widths, the search at each width only has to correct the last
one; most of the trials are spent where a trial is cheap (the Muon paper's telescoping, cost O(C·log N)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hptransfer.analysis.quadratic import LocalQuadratic
from hptransfer.common.errors import InputError
from hptransfer.execute.runner import Runner
from hptransfer.study.study import Range
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.space import HPs, coordinate, mesh, mesh_points, rounded, value_at
from hptransfer.trials.proxy.summary import best_of, fitted_optimum
from hptransfer.trials.proxy.tried import Tried, diverged_everywhere, run_points, spent_flops

__all__ = ["Level", "telescope", "telescope_plan"]

FEWEST = 3
"""Mesh points per axis without which there is no curvature."""

RISE = 0.02
"""The next mesh reaches to where the fitted loss is this much above its minimum, relative."""


@dataclass(frozen=True)
class Level:
    """The mesh of one width and what came of it.

    `optimum` is the fitted minimum, or the best point without a fit; `spacing` is in octaves on a log axis, in eighths
    of the searched range otherwise.
    """

    width: int
    points: int
    spacing: HPs
    tried: tuple[Tried, ...]
    optimum: HPs

    def to_json(self) -> dict[str, Any]:
        """The level as base.json lists it: its cost and where its optimum lies."""
        return {
            "width": self.width,
            "trials": len({t.trial.id for t in self.tried}),
            "diverged": sum(t.status == "diverged" for t in self.tried),
            "flops": spent_flops(self.tried),
            "spacing": dict(self.spacing),
            "loss": min(t.loss for t in self.tried if t.status == "ok"),
            "optimum": dict(self.optimum),
        }


def telescope_plan(proxy: Proxy) -> list[tuple[int, int]]:
    """(width, mesh points per axis) for every level; half the budget or more goes to the first."""
    tune, widths = proxy.tune, proxy.study.telescope_widths
    if any(b <= a for a, b in pairwise(widths)):
        raise InputError("widths must rise", where="tune.telescope_widths", found=list(widths))
    axes, later = len(tune.space), len(widths) - 1
    least = FEWEST**axes * max(1, 2 * later)
    if tune.trials < least:
        raise InputError(
            f"too few trials for a telescope over {axes} hyperparameters and {len(widths)} widths",
            where="tune.trials",
            found=tune.trials,
            allowed=f"at least {least}",
            hint="search fewer hyperparameters, or name fewer telescope_widths",
        )
    fine = mesh_points(tune.trials // 2 // later, axes) if later else 0
    first = mesh_points(tune.trials - later * fine**axes, axes)
    return [(widths[0], first), *((width, fine) for width in widths[1:])]


def telescope(proxy: Proxy, runner: Runner) -> list[Level]:
    """Run every level, smallest width first."""
    space = proxy.space
    ranges: Mapping[str, Range] = space
    levels: list[Level] = []
    done = 0
    plan = telescope_plan(proxy)
    for (width, points), (_, finer) in pairwise([*plan, plan[-1]]):
        grid = mesh(ranges, points)
        if levels:
            grid = [{name: rounded(value, space[name]) for name, value in point.items()} for point in grid]
        tried = run_points(proxy, runner, dict(enumerate(grid, start=done)), seed=proxy.seed, width=width)
        done += len(tried)
        if not any(t.status == "ok" for t in tried):
            raise diverged_everywhere(tried)
        steps = {name: _spacing(axis, space[name], points) for name, axis in ranges.items()}
        fit, fitted = fitted_optimum(tried, space)
        optimum = fitted or dict(best_of(tried).hps)
        levels.append(Level(width, points, steps, tuple(tried), optimum))
        ranges = {
            name: _shrunk(whole, steps[name], optimum[name], fit, i, finer)
            for i, (name, whole) in enumerate(space.items())
        }
    return levels


def _spacing(axis: Range, whole: Range, points: int) -> float:
    """Distance between neighbours of the mesh, in the coordinates of the whole range."""
    return (coordinate(axis.high, whole) - coordinate(axis.low, whole)) / (points - 1)


def _shrunk(whole: Range, step: float, optimum: float, fit: LocalQuadratic | None, index: int, points: int) -> Range:
    """The range of the next mesh, of `points` an axis: one old spacing to either side of the optimum; with a curvature
    only to where the fitted loss has risen by `RISE`, and never so far that the spacing does not halve.
    """
    reach = step
    if fit is not None and (curvature := float(fit.hessian[index, index])) > 0:
        rise = float(np.sqrt(2 * RISE * abs(fit.value) / curvature))
        reach = max(step / 4, min(step, rise, step * (points - 1) / 4))
    centre = coordinate(optimum, whole)
    return Range(
        low=max(whole.low, value_at(centre - reach, whole)),
        high=min(whole.high, value_at(centre + reach, whole)),
        log=whole.log,
    )
