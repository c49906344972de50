"""Pooling noise over cells, and the slope of the optimum along the axes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from surfaces import cell, quadratic

from hptransfer.analysis.drift import SCATTER_FLOOR, drift_slopes
from hptransfer.analysis.noise import pool_noise
from hptransfer.analysis.optimum import CellPoints, Noise, fit_optimum

X = np.arange(-10.0, -3.0)


def test_alike_cells_share_one_variance_and_all_degrees_of_freedom():
    """(4 · 1.0 + 8 · 1.3) / 12 = 1.2 on 12."""
    pooled = pool_noise([Noise(1.0, 4), Noise(1.3, 8), None])
    for noise in pooled:
        assert noise is not None
        assert (noise.variance, noise.df) == (pytest.approx(1.2), 12)


def test_unlike_cells_keep_most_of_their_own():
    pooled = pool_noise([Noise(v, 40) for v in (1.0, 100.0, 1.1, 90.0, 0.9, 110.0)])
    assert pooled[0] is not None
    assert pooled[1] is not None
    assert pooled[0].variance < 2
    assert pooled[1].variance > 80
    assert 40 < pooled[0].df < 60


def test_no_cell_with_two_seeds_means_no_noise_at_all():
    assert pool_noise([None, None]) == [None, None]


def test_seeds_whose_curves_lie_side_by_side_do_not_break_the_coverage():
    """Every seed's optimum is 0.1 octaves off its own way: residuals of neighbouring values are then alike."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(400):
        own = 0.1 * rng.standard_normal((3, 1))
        losses = quadratic()(X - own + 7) + 0.002 * rng.standard_normal((3, len(X)))
        found = fit_optimum(CellPoints(X, losses, (0, 1, 2)))
        hits.append(found.log2_low <= -7 <= found.log2_high)
    assert 0.92 <= np.mean(hits) <= 0.995


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
    """Width doubles as density halves: 0.2 octaves a step is +0.2 an octave of width and −0.2 one of density."""
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
    assert rough.scatter > 0.15
    assert rough.high - rough.low > 5 * (smooth.high - smooth.low)


def test_without_errors_there_is_a_slope_and_no_interval():
    found = drift_slopes(axes([1, 0.5], [64, 64]), np.array([-7.0, -6.5]), np.full(2, math.nan), 0.0)["density"]
    assert found.value == pytest.approx(-0.5)
    assert math.isnan(found.low)
    assert not found.equivalent(10.0)


def test_pooled_fits_of_the_same_surface_agree_with_single_ones():
    points = cell(np.random.default_rng(1), quadratic(), -7.0, x=X, seeds=5)
    own = fit_optimum(points)
    assert fit_optimum(points, Noise(0.004**2, 200)).log2 == pytest.approx(own.log2, abs=0.05)
