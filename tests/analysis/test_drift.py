"""The slope of the optimum along the axes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hptransfer.analysis.drift import SCATTER_FLOOR, OptimumErrors, drift_slopes


def axes(densities, widths):
    return {"density": np.log2(np.array(densities)), "width": np.log2(np.array(widths))}


def errors(noise, cells, *, noise_df=40.0, shift=0.0, shift_df=math.inf):
    return OptimumErrors(np.full(cells, noise), noise_df, np.full(cells, shift), shift_df)


def test_slopes_of_exact_planes_are_separated():
    """Optimum = −7 − 0.5·log2 density + 0.25·log2(width/64) on a 2 × 3 grid."""
    d, w = (g.ravel() for g in np.meshgrid([1, 0.5, 0.25], [64, 128]))
    optimum = -7 - 0.5 * np.log2(d) + 0.25 * np.log2(w / 64)
    found = drift_slopes(axes(d, w), optimum, errors(0.05, 6))
    assert found["density"].value == pytest.approx(-0.5)
    assert found["width"].value == pytest.approx(0.25)
    assert found["density"].path == found["width"].path == "alone"
    assert found["density"].beyond(0.1)
    assert not found["density"].equivalent(0.1)


def test_the_interval_by_hand_for_two_cells():
    """Two cells two octaves apart: error of the slope = √2·√(0.05² + 0.02²)/2, t(40) = 2.021."""
    found = drift_slopes(axes([1, 0.25], [64, 64]), np.array([-7.0, -7.0]), errors(0.05, 2))["density"]
    half = 2.0211 * math.sqrt(2 * (0.05**2 + SCATTER_FLOOR**2)) / 2
    assert (found.low, found.high) == (pytest.approx(-half, rel=1e-3), pytest.approx(half, rel=1e-3))
    assert found.equivalent(0.1)
    assert set(drift_slopes(axes([1, 0.25], [64, 64]), np.zeros(2), errors(1.0, 2))) == {"density"}


def test_axes_that_move_together_give_the_slope_of_the_path():
    """Width doubles as density halves: 0.2 octaves per step are +0.2 per octave of width, −0.2 per one of density."""
    found = drift_slopes(axes([1, 0.5, 0.25], [64, 128, 256]), np.array([0.0, 0.2, 0.4]), errors(0.01, 3))
    assert found["width"].value == pytest.approx(0.2)
    assert found["density"].value == pytest.approx(-0.2)
    assert found["width"].path == found["density"].path == "joint"


def test_axes_never_varied_alone_yet_separable_say_so():
    found = drift_slopes(axes([1, 0.5, 0.125], [64, 128, 256]), np.array([0.0, 0.1, 0.2]), errors(0.01, 3))
    assert found["width"].path == "adjusted"


def test_scatter_between_cells_widens_the_interval_beyond_their_own_errors():
    x = [1, 0.5, 0.25, 0.125, 0.0625]
    smooth = drift_slopes(axes(x, [64] * 5), np.zeros(5), errors(0.01, 5))["density"]
    rough = drift_slopes(axes(x, [64] * 5), np.array([0.2, -0.2, 0.2, -0.2, 0.2]), errors(0.01, 5))["density"]
    assert rough.high - rough.low > 5 * (smooth.high - smooth.low)


def test_shifts_of_the_seeds_count_as_independent_between_cells():
    """Variance 0.01 a cell beside the noise's 0.05² and the floor: √2·√(0.05² + 0.02² + 0.01)/2, nearly normal."""
    found = drift_slopes(axes([1, 0.25], [64, 64]), np.zeros(2), errors(0.05, 2, noise_df=1e9, shift=0.01))["density"]
    assert found.high == pytest.approx(1.95996 * math.sqrt(2 * (0.05**2 + SCATTER_FLOOR**2 + 0.01)) / 2, rel=1e-3)


def test_shifts_told_by_few_seeds_are_worth_few_degrees_of_freedom():
    """Noise and floor negligible beside a variance of 1 with 3 degrees of freedom: t(3) = 3.182, half of √2 octaves."""
    found = drift_slopes(axes([1, 0.25], [64, 64]), np.zeros(2), errors(0.001, 2, shift=1.0, shift_df=3.0))["density"]
    assert found.high == pytest.approx(3.1824 * math.sqrt(2) / 2, rel=1e-2)


@pytest.mark.parametrize("optimum", [[0.0, 0.0, 0.0], [0.1, -0.2, 0.1], [0.3, -0.6, 0.3]])
def test_an_interval_never_gets_narrower_by_them(optimum):
    """Scatter that the shifts might explain would be the cells' own, with few degrees of freedom, were they shared."""
    x = axes([1, 0.5, 0.25], [64] * 3)
    with_shifts = drift_slopes(x, np.array(optimum), errors(0.05, 3, shift=0.04, shift_df=20.0))["density"]
    without = drift_slopes(x, np.array(optimum), errors(0.05, 3))["density"]
    assert with_shifts.high - with_shifts.low >= without.high - without.low


def test_without_errors_there_is_a_slope_and_no_interval():
    found = drift_slopes(axes([1, 0.5], [64, 64]), np.array([-7.0, -6.5]), errors(math.nan, 2, noise_df=0.0))["density"]
    assert found.value == pytest.approx(-0.5)
    assert math.isnan(found.low)
    assert not found.equivalent(10.0)
