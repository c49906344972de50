"""The slope of the optimum along the axes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hptransfer.analysis.drift import SCATTER_FLOOR, drift_slopes


def axes(densities, widths):
    return {"density": np.log2(np.array(densities)), "width": np.log2(np.array(widths))}


def test_slopes_of_exact_planes_are_separated():
    """Optimum = −7 − 0.5·log2 density + 0.25·log2(width/64) on a 2 × 3 grid."""
    d, w = (g.ravel() for g in np.meshgrid([1, 0.5, 0.25], [64, 128]))
    optimum = -7 - 0.5 * np.log2(d) + 0.25 * np.log2(w / 64)
    found = drift_slopes(axes(d, w), optimum, np.full(6, 0.05), 40.0)
    assert found["density"].value == pytest.approx(-0.5)
    assert found["width"].value == pytest.approx(0.25)
    assert found["density"].path == found["width"].path == "alone"
    assert found["density"].beyond(0.1)
    assert not found["density"].equivalent(0.1)


def test_the_interval_by_hand_for_two_cells():
    """Two cells two octaves apart: error of the slope = √2·√(0.05² + 0.02²)/2, t(40) = 2.021."""
    found = drift_slopes(axes([1, 0.25], [64, 64]), np.array([-7.0, -7.0]), np.full(2, 0.05), 40.0)["density"]
    half = 2.0211 * math.sqrt(2 * (0.05**2 + SCATTER_FLOOR**2)) / 2
    assert (found.low, found.high) == (pytest.approx(-half, rel=1e-3), pytest.approx(half, rel=1e-3))
    assert found.equivalent(0.1)
    assert set(drift_slopes(axes([1, 0.25], [64, 64]), np.zeros(2), np.ones(2), 40.0)) == {"density"}


def test_axes_that_move_together_give_the_slope_of_the_path():
    """Width doubles as density halves: 0.2 octaves per step are +0.2 per octave of width, −0.2 per one of density."""
    found = drift_slopes(axes([1, 0.5, 0.25], [64, 128, 256]), np.array([0.0, 0.2, 0.4]), np.full(3, 0.01), 40.0)
    assert found["width"].value == pytest.approx(0.2)
    assert found["density"].value == pytest.approx(-0.2)
    assert found["width"].path == found["density"].path == "joint"


def test_axes_never_varied_alone_yet_separable_say_so():
    found = drift_slopes(axes([1, 0.5, 0.125], [64, 128, 256]), np.array([0.0, 0.1, 0.2]), np.full(3, 0.01), 40.0)
    assert found["width"].path == "adjusted"


def test_scatter_between_cells_widens_the_interval_beyond_their_own_errors():
    x = [1, 0.5, 0.25, 0.125, 0.0625]
    smooth = drift_slopes(axes(x, [64] * 5), np.zeros(5), np.full(5, 0.01), 40.0)["density"]
    rough = drift_slopes(axes(x, [64] * 5), np.array([0.2, -0.2, 0.2, -0.2, 0.2]), np.full(5, 0.01), 40.0)["density"]
    assert rough.high - rough.low > 5 * (smooth.high - smooth.low)


def test_without_errors_there_is_a_slope_and_no_interval():
    found = drift_slopes(axes([1, 0.5], [64, 64]), np.array([-7.0, -6.5]), np.full(2, math.nan), 0.0)["density"]
    assert found.value == pytest.approx(-0.5)
    assert math.isnan(found.low)
    assert not found.equivalent(10.0)
