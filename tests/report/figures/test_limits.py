"""Axes: where ticks stand and what they say."""

from __future__ import annotations

import math

import pytest

from hptransfer.report.figures.limits import around, linear_axis, octave_axis, quantity_axis, scaled_axis


def test_a_linear_axis_has_round_ticks_inside_it() -> None:
    assert linear_axis("loss", 1.96, 2.44).ticks[0] == (2.0, "2.0")
    assert [text for _, text in linear_axis("trial", -3, 7).ticks] == ["−2", "0", "2", "4", "6"]


def test_octaves_are_ticked_at_whole_powers_at_most_seven() -> None:
    axis = octave_axis("LR", -9, -5)
    assert (axis.low, axis.high) == (-9.4, -4.6)
    assert [text for _, text in axis.ticks] == ["2⁻⁹", "2⁻⁸", "2⁻⁷", "2⁻⁶", "2⁻⁵"]
    assert [place for place, _ in octave_axis("LR", -10, 0).ticks] == [-10, -8, -6, -4, -2, 0]


def test_densities_lie_with_the_dense_end_left() -> None:
    axis = scaled_axis("density", [1 / 16, 1, 1 / 4])
    assert axis.ticks == ((0.0, "1"), (2.0, "1/4"), (4.0, "1/16"))
    assert (axis.low, axis.high) == pytest.approx((-0.24, 4.24))
    assert scaled_axis("density", [1, 1 / 4], as_sparsity=True).ticks[1] == (2.0, "75%")
    assert scaled_axis("width", [256, 64]).ticks == ((6.0, "64"), (8.0, "256"))


def test_quantities_are_ticked_at_one_two_and_five() -> None:
    axis = quantity_axis("parameters", [80_000, 600_000])
    assert [text for _, text in axis.ticks] == ["100k", "200k", "500k"]
    assert axis.ticks[0][0] == pytest.approx(5.0)
    assert [text for _, text in quantity_axis("parameters", [110_000, 190_000]).ticks] == ["110k", "190k"]


def test_room_is_left_around_values() -> None:
    assert around([1.0, 2.0]) == pytest.approx((0.92, 2.08))
    low, high = around([3.0])
    assert low < 3.0 < high
    assert math.isclose(high - low, 1.6e-7, rel_tol=1e-6)
