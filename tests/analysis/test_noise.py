"""Pooling noise over cells."""

from __future__ import annotations

import numpy as np
import pytest
from surfaces import cell, quadratic

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
        found = fit_optimum(CellPoints(X, losses))
        hits.append(found.log2_low <= -7 <= found.log2_high)
    assert 0.92 <= np.mean(hits) <= 0.995


def test_pooled_fits_of_the_same_surface_agree_with_single_ones():
    points = cell(np.random.default_rng(1), quadratic(), -7.0, x=X, seeds=5)
    own = fit_optimum(points)
    assert fit_optimum(points, Noise(0.004**2, 200)).log2 == pytest.approx(own.log2, abs=0.05)
