"""The searched space as coordinates: places on an axis, meshes, and values as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import exp2, log2

from hptransfer.study.study import Range

__all__ = ["HPs", "coordinate", "mesh", "mesh_points", "rounded", "value_at"]

HPs = Mapping[str, float]
"""Searched hyperparameters by name, in the units of a study file."""


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
    """Every combination of `points` evenly spaced values per axis, ends included."""
    return [
        dict(zip(ranges, values, strict=True)) for values in product(*(_even(axis, points) for axis in ranges.values()))
    ]


def mesh_points(budget: int, dimensions: int) -> int:
    """The most points per axis for which the whole mesh stays within `budget`."""
    points = 1
    while (points + 1) ** dimensions <= budget:
        points += 1
    return points


def _even(axis: Range, points: int) -> Sequence[float]:
    low, high = coordinate(axis.low, axis), coordinate(axis.high, axis)
    inner = [value_at(low + (high - low) * i / (points - 1), axis) for i in range(1, points - 1)]
    return [axis.low, *inner, axis.high]
