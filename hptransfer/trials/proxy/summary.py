"""What base.json says beyond the winner: the basin around it, its edges, and the search run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, log2
from typing import Any

import numpy as np

from hptransfer.analysis.quadratic import (
    BOWL,
    LocalQuadratic,
    flat_interval,
    local_quadratic,
    lowest_within,
    shrunk_quadratic,
)
from hptransfer.study.study import Range
from hptransfer.trials.proxy.finalists import Finalist
from hptransfer.trials.proxy.space import HPs, coordinate, rounded, value_at
from hptransfer.trials.proxy.tried import Tried

__all__ = ["basin", "best_of", "edge_warnings", "fitted_optimum", "flat_directions", "history"]

FLAT = 0.005
"""The flat range holds the LRs whose loss is within this of the best, relative."""

MANY = 3
"""Axes from which a search cannot afford the runs of a plain quadratic."""

SMALL = 0.2
"""Weights below this are left out of a flat direction's name."""

EDGE = 0.05
"""A winner within this share of a searched range from its end may have its optimum outside."""


def best_of(tried: Sequence[Tried]) -> Tried:
    """The run with the least loss among those that reached their end."""
    return min((t for t in tried if t.status == "ok"), key=lambda t: (t.loss, t.number))


def fitted_optimum(tried: Sequence[Tried], space: Mapping[str, Range]) -> tuple[LocalQuadratic | None, HPs | None]:
    """The quadratic around the best run, and its minimum when that lies among the runs near the best."""
    ended, best = [t for t in tried if t.status == "ok"], best_of(tried)
    places = np.array([[coordinate(t.hps[name], axis) for name, axis in space.items()] for t in ended])
    losses = np.array([t.loss for t in ended])
    if len(space) >= MANY and len(ended) > len(space):
        shrunk = shrunk_quadratic(places, losses)
        return shrunk, _hps_at(lowest_within(shrunk), space)
    centre = np.array([coordinate(best.hps[name], axis) for name, axis in space.items()])
    fit = local_quadratic(places, losses, centre)
    vertex = None if fit is None else fit.vertex
    if fit is None or vertex is None or (vertex < fit.low).any() or (vertex > fit.high).any():
        return fit, None
    return fit, _hps_at(vertex, space)


def _hps_at(place: np.ndarray, space: Mapping[str, Range]) -> HPs:
    return {name: rounded(value_at(float(x), axis), axis) for (name, axis), x in zip(space.items(), place, strict=True)}


def basin(space: Mapping[str, Range], tried: Sequence[Tried], winner: Finalist) -> dict[str, float]:
    """The loss along the LR through the winner: `curvature` in loss per octave², and the LRs within half a percent.

    From a local quadratic over all searched axes, sliced along the LR. The range is cut to the searched one and always
    holds the winner. Without an upward curve it spans the LRs whose runs were measured within half a percent of the
    best, and there is no curvature; nothing at all when the LR was not searched.
    """
    if "lr" not in space:
        return {}
    names, lr = list(space), winner.hps["lr"]
    ended = [t for t in tried if t.status == "ok"]
    places = np.array([_place(t.hps, space, names) for t in ended])
    losses = np.array([t.loss for t in ended])
    fit = local_quadratic(places, losses, np.array(_place(winner.hps, space, names)))
    axis = names.index("lr")
    flat = None if fit is None else flat_interval(fit, axis, FLAT)
    ends = log2(space["lr"].low), log2(space["lr"].high)
    if fit is None or flat is None or flat[0] > ends[1] or flat[1] < ends[0]:
        level = [t.hps["lr"] for t in ended if t.loss <= losses.min() * (1 + FLAT)]
        return {"flat_low": min([*level, lr]), "flat_high": max([*level, lr])}
    low = space["lr"].low if flat[0] <= ends[0] else 2.0 ** flat[0]
    high = space["lr"].high if flat[1] >= ends[1] else 2.0 ** flat[1]
    return {"flat_low": min(low, lr), "flat_high": max(high, lr), "curvature": float(fit.hessian[axis, axis])}


def _place(hps: HPs, space: Mapping[str, Range], names: Sequence[str]) -> list[float]:
    """Coordinates of a point; the LR always in octaves, whatever axis it was searched on."""
    return [log2(hps[name]) if name == "lr" else coordinate(hps[name], space[name]) for name in names]


def flat_directions(space: Mapping[str, Range], tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """Combinations of the searched values that the loss hardly knows, flattest first.

    Those principal axes of the fitted quadratic that may be walked half across the searched range at a cost below half
    a percent: `direction` holds a weight per name (of octaves, unit length), `reach` how many octaves that takes (None:
    the fit does not rise at all). The fit expects a round bowl, and only where the runs bring its curvature below a
    quarter of that do they show a valley. Empty where every combination matters, or runs are too few.
    """
    ended, names = [t for t in tried if t.status == "ok"], list(space)
    if len(names) < 2 or len(ended) <= len(names):
        return []
    fit = shrunk_quadratic(
        np.array([[coordinate(t.hps[n], space[n]) for n in names] for t in ended]), np.array([t.loss for t in ended])
    )
    sizes = np.array([coordinate(axis.high, axis) - coordinate(axis.low, axis) for axis in space.values()])
    found = []
    for curvature, axis in zip(*_principal(fit.hessian), strict=True):
        across = float((sizes / np.maximum(np.abs(axis), 1e-9)).min())
        reach = float(np.sqrt(2 * FLAT * abs(fit.value) / curvature)) if curvature > 0 else np.inf
        if 2 * reach >= across and curvature < BOWL * abs(fit.value) / 4:
            weights = {name: round(float(w), 3) for name, w in zip(names, axis, strict=True) if abs(w) >= SMALL}
            found.append({"direction": weights, "reach": reach if np.isfinite(reach) else None})
    return found


def _principal(hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Curvatures, rising, and their directions, each with its largest weight above 0."""
    curvatures, axes = np.linalg.eigh(hessian)
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])
    return curvatures, (axes * signs).T


def edge_warnings(space: Mapping[str, Range], hps: HPs, around: Mapping[str, float] | None = None) -> list[str]:
    """A sentence for every winning value that sits at an end of its range, and for every end of the LR's range that the
    basin `around` the winner reaches though the winner does not (see `basin`)."""
    found = []
    for name, axis in space.items():
        low, high = coordinate(axis.low, axis), coordinate(axis.high, axis)
        share = (coordinate(hps[name], axis) - low) / (high - low)
        if not EDGE < share < 1 - EDGE:
            end = "low" if share <= EDGE else "high"
            found.append(
                f"the best {name} ({hps[name]:.3g}) lies at the {end} end of the searched range"
                f" ({axis.low:.3g} to {axis.high:.3g}); the true optimum may lie beyond: widen tune.space.{name}"
            )
        elif name == "lr":
            found += _cut_basin(axis, around or {})
    return found


def _cut_basin(axis: Range, around: Mapping[str, float]) -> list[str]:
    reached = {
        f"low end ({axis.low:.3g})": around.get("flat_low", inf) <= axis.low,
        f"high end ({axis.high:.3g})": around.get("flat_high", -inf) >= axis.high,
    }
    return [
        f"the LRs within {FLAT:.1%} of the best loss reach the {end} of the searched range, so the optimum is not known"
        " on that side: widen tune.space.lr, and let the grid's LRs reach beyond it"
        for end, cut in reached.items()
        if cut
    ]


def history(tried: Sequence[Tried], finalists: Sequence[Finalist]) -> list[dict[str, Any]]:
    """Every run in the order it was asked, as plain values: the search first, then the finalists."""
    again = [run for finalist in finalists for run in finalist.runs]
    return [
        {
            "number": t.number,
            "stage": stage,
            "trial_id": t.trial.id,
            "width": t.trial.width,
            "seed": t.trial.seed,
            "status": t.status,
            "loss": t.loss,
            "told": t.told,
            **t.hps,
        }
        for stage, runs in (("search", tried), ("finalist", again))
        for t in runs
    ]
