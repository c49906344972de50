"""Seeds with optima of their own are told from noise that is only noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hptransfer.analysis.optimum import CellPoints, Noise, fit_optimum
from hptransfer.analysis.seed_spread import TYPICAL, TYPICAL_DF, SeedSpread, seed_spread

OCTAVES = np.arange(-10.0, -3.0)


def spread_of(*cells: np.ndarray) -> SeedSpread:
    points = {k: CellPoints(OCTAVES, losses) for k, losses in enumerate(cells)}
    return seed_spread(points, {k: fit_optimum(p, Noise(1e-5, 50.0)) for k, p in points.items()})


def parabolas(best: np.ndarray, curvature: float = 0.03) -> np.ndarray:
    return 2.5 + curvature * (OCTAVES - best[:, None]) ** 2


def drawn(spread: float, *, count: int = 30, seeds: int = 5, noise: float = 0.004, holes: float = 0.0) -> SeedSpread:
    """Of cells whose seeds have a parabola each, its minimum `spread` octaves (rms) from the common one."""
    rng = np.random.default_rng(7)
    cells = []
    for _ in range(count):
        losses = parabolas(-6.5 + spread * rng.standard_normal(seeds)) + noise * rng.standard_normal((seeds, 7))
        losses[rng.random(losses.shape) < holes] = math.nan
        cells.append(losses + 0.02 * rng.standard_normal((seeds, 1)))
    return spread_of(*cells)


@pytest.mark.parametrize("holes", [0.0, 0.3], ids=["all ran", "three in ten did not"])
@pytest.mark.parametrize("spread", [0.1, 0.3])
def test_the_spread_of_the_seeds_optima_is_found(spread, holes):
    assert drawn(spread, holes=holes).octaves == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_independent_noise_is_no_spread(holes):
    found = drawn(0.0, holes=holes)
    assert found.octaves < 0.03
    assert max(found.shift.values()) < 0.01**2


def test_the_variance_of_a_cells_optimum_is_that_of_its_seeds_over_their_number():
    found = drawn(0.3)
    assert np.median(list(found.shift.values())) == pytest.approx(0.3**2 / 5, rel=0.3)


def test_two_seeds_are_mixed_with_what_is_typical():
    """Optima 0.2 octaves apart have a variance of 0.02 with 1 degree of freedom, beside 0.1² with 4; over two seeds."""
    found = spread_of(parabolas(np.array([-6.4, -6.6])))
    assert found.shift[0] == pytest.approx((TYPICAL_DF * TYPICAL**2 + 0.02) / (TYPICAL_DF + 1) / 2, rel=0.01)
    assert found.df == pytest.approx(0.06**2 / (4 * 0.01**2 + 0.02**2), rel=0.01)
    assert math.isnan(found.octaves), "one difference of two seeds is not told as their spread"


def test_the_same_tilt_moves_a_flatter_minimum_further():
    """Half the curvature, twice as far: four times the variance."""
    found = spread_of(parabolas(np.array([-6.4, -6.6])), parabolas(np.array([-6.3, -6.7]), 0.015))
    assert found.shift[1] == pytest.approx(4 * found.shift[0], rel=0.02)


def test_a_seed_with_one_run_hardly_counts():
    """Three seeds of 5 runs near the minimum and one of 1 are worth 16² / 76 = 3.4."""
    full = parabolas(np.full(4, -6.5))
    holed = full.copy()
    holed[3, np.arange(7) != 3] = math.nan
    all_ran, some = (spread_of(losses).shift[0] for losses in (full[:3], holed))
    assert all_ran / some == pytest.approx(16**2 / 76 / 3, rel=0.25)


def test_without_a_settled_minimum_nothing_is_said():
    found = spread_of(parabolas(np.full(3, -14.0)))
    assert math.isnan(found.octaves)
    assert found.shift == {}
    assert math.isnan(seed_spread({}, {}).octaves)
