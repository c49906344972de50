"""Seeds with optima of their own are told from noise that is only noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hptransfer.analysis.optimum import CellPoints, fit_optimum
from hptransfer.analysis.seed_spread import seed_spread

OCTAVES = np.arange(-10.0, -3.0)


def cells(spread: float, *, count: int = 30, seeds: int = 5, noise: float = 0.004):
    """Cells whose seeds have a parabola each, its minimum `spread` octaves (standard deviation) from the common one."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(count):
        best = -6.5 + spread * rng.standard_normal(seeds)
        losses = 2.5 + 0.03 * (OCTAVES - best[:, None]) ** 2 + noise * rng.standard_normal((seeds, len(OCTAVES)))
        found.append(CellPoints(OCTAVES, losses + 0.02 * rng.standard_normal((seeds, 1))))
    return found, [fit_optimum(cell) for cell in found]


@pytest.mark.parametrize("spread", [0.1, 0.3])
def test_the_spread_of_the_seeds_optima_is_found(spread):
    assert seed_spread(*cells(spread)) == pytest.approx(spread, rel=0.15)


def test_independent_noise_is_no_spread():
    assert seed_spread(*cells(0.0)) < 0.03


def test_too_few_seeds_or_values_say_nothing():
    assert math.isnan(seed_spread(*cells(0.1, count=1, seeds=2)))
    assert math.isnan(seed_spread([], []))
