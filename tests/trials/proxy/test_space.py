"""Places on a searched axis, and meshes over a space."""

from __future__ import annotations

import pytest

from hptransfer.study.study import Range
from hptransfer.trials.proxy.space import coordinate, mesh, mesh_points, rounded, value_at

LOG = Range(low=2.0**-10, high=2.0**-2)
LINEAR = Range(low=0.0, high=0.5, log=False)


def test_a_log_axis_is_measured_in_octaves_a_linear_one_in_eighths_of_its_range() -> None:
    assert coordinate(2.0**-7, LOG) == -7
    assert coordinate(0.25, LINEAR) == 4
    for axis, value in ((LOG, 0.003), (LINEAR, 0.3)):
        assert value_at(coordinate(value, axis), axis) == pytest.approx(value)


def test_a_mesh_holds_the_ends_and_even_steps_between() -> None:
    points = mesh({"lr": LOG, "warmup": LINEAR}, 3)
    assert len(points) == 9
    assert [point["lr"] for point in points[::3]] == [2.0**-10, 2.0**-6, 2.0**-2]
    assert [point["warmup"] for point in points[:3]] == [0.0, 0.25, 0.5]


@pytest.mark.parametrize(("budget", "axes", "points"), [(24, 1, 24), (24, 2, 4), (27, 3, 3), (1, 2, 1)])
def test_the_largest_mesh_within_a_budget(budget: int, axes: int, points: int) -> None:
    assert mesh_points(budget, axes) == points


def test_a_value_is_rounded_to_five_digits_and_stays_inside() -> None:
    assert rounded(0.01234567, LOG) == 0.012346
    assert rounded(0.2500000001, LOG) == 0.25
    assert rounded(1.0, LOG) == 0.25
