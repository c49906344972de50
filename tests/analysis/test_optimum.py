"""The fitted minimum of one cell: right where the truth is known, honest where it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import cell, lopsided, quadratic, walled

from hptransfer.analysis.optimum import CellPoints, Noise, at_confidence, fit_optimum, own_noise, value_means

DRAWS = 500
OCTAVES = np.arange(-11.0, -2.0)


def coverage(curve, seeds, *, x, noise, draws=DRAWS, edge=math.inf):
    """Share of draws whose interval holds the true optimum, which lies anywhere within one step of the middle."""
    rng = np.random.default_rng(seeds)
    step, middle = x[1] - x[0], x[len(x) // 2]
    hits = []
    for _ in range(draws):
        truth = middle + step * rng.uniform(-0.5, 0.5)
        found = fit_optimum(cell(rng, curve, truth, x=x, seeds=seeds, noise=noise, edge=edge))
        if not math.isnan(found.log2_low):
            hits.append(found.log2_low <= truth <= found.log2_high)
    assert len(hits) > 0.97 * draws
    return np.mean(hits)


def test_a_parabola_without_noise_gives_its_own_vertex_curvature_and_minimum():
    rows = [(2.0**x, 0, 2.0 + 0.1 * (x + 6.3) ** 2) for x in range(-9, -3)]
    found = fit_optimum(CellPoints.of(rows), Noise(1e-8, 100))
    assert found.log2 == pytest.approx(-6.3, abs=1e-4)
    assert found.vertex == pytest.approx(2.0**-6.3, rel=1e-4)
    assert found.curvature == pytest.approx(0.1, abs=1e-4)
    assert found.min_loss == pytest.approx(2.0, abs=1e-5)
    assert found.status == "ok"
    assert found.low < found.vertex < found.high


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("noise", [0.002, 0.008])
def test_the_interval_of_one_cell_covers_the_truth(seeds, noise):
    assert 0.92 <= coverage(quadratic(), seeds, x=OCTAVES, noise=noise) <= 0.99


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_it_covers_with_five_values_only(seeds):
    assert 0.92 <= coverage(quadratic(), seeds, x=np.arange(-9.0, -4.0), noise=0.004) <= 0.99


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_it_covers_on_curves_steeper_at_high_lr_that_end_in_divergence(seeds):
    x = np.arange(-9.0, -3.9, 0.5)
    assert 0.91 <= coverage(lopsided(), seeds, x=x, noise=0.006, draws=300, edge=2.2) <= 0.995


def test_a_wall_at_high_lr_moves_the_vertex_less_than_a_plain_parabola():
    x = np.arange(-10.0, -3.0, 0.5)
    clean = cell(np.random.default_rng(0), walled(), -7.0, x=x, seeds=3, noise=1e-5, offset=0.0)
    plain = np.polyfit(x, clean.losses.mean(axis=0), 2)
    assert abs(-plain[1] / (2 * plain[0]) + 7.0) > 0.3
    assert abs(fit_optimum(clean, Noise(0.004**2, 50)).log2 + 7.0) < 0.06


@settings(max_examples=40)
@given(
    st.floats(-1, 1),
    st.floats(-5, 5),
    st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
    st.integers(0, 10_000),
)
def test_offsets_of_seeds_and_the_unit_of_the_value_change_nothing(level, shift, offsets, seed):
    """Adding a constant to every loss of a seed leaves the fit; multiplying all LRs moves only the vertex."""
    points = cell(np.random.default_rng(seed), quadratic(0.05), -6.8, x=OCTAVES, seeds=3)
    moved = CellPoints(points.x + shift, points.losses + level + np.array(offsets)[:, None])
    a, b = fit_optimum(points), fit_optimum(moved)
    assert b.log2 - shift == pytest.approx(a.log2, abs=1e-6)
    assert b.half_width == pytest.approx(a.half_width, rel=1e-5)


@settings(max_examples=60)
@given(st.floats(-14, 0), st.integers(2, 5), st.integers(0, 10_000), st.sampled_from([math.inf, 3.0, 1.0, -1.0]))
def test_a_settled_optimum_always_lies_inside_its_interval_and_the_grid(optimum, seeds, seed, edge):
    points = cell(np.random.default_rng(seed), quadratic(), optimum, x=OCTAVES, seeds=seeds, edge=edge)
    found = fit_optimum(points)
    if found.settled:
        assert OCTAVES[0] < found.log2_low <= found.log2 <= found.log2_high < OCTAVES[-1]
    assert found.n_diverged == np.isinf(points.losses).sum()
    assert found.ceiling > found.log2 or math.isnan(found.log2)


def test_a_minimum_on_the_edge_is_said_to_be_there():
    rng = np.random.default_rng(1)
    low = fit_optimum(cell(rng, quadratic(), -12.0, x=OCTAVES, seeds=3))
    high = fit_optimum(cell(rng, quadratic(), -1.0, x=OCTAVES, seeds=3))
    assert (low.status, low.side) == ("edge", "low")
    assert (high.status, high.side) == ("edge", "high")


def test_fewer_than_two_values_on_a_side_is_not_enough():
    """The optimum on the second value from the left: one lies below it, the other on it."""
    found = fit_optimum(cell(np.random.default_rng(2), quadratic(), -10.0, x=OCTAVES, seeds=3, noise=1e-3))
    assert (found.status, found.side) == ("one-sided", "low")


def test_a_value_where_one_seed_diverged_bounds_the_fit_and_is_counted():
    points = cell(np.random.default_rng(3), quadratic(), -7.0, x=OCTAVES, seeds=3)
    points.losses[1, 6] = math.inf  # 2^-5; 2^-4 and 2^-3 lie beyond it
    found = fit_optimum(points)
    assert found.n_diverged == 1
    assert found.ceiling == -5.0
    assert found.n_points == 6
    assert (found.status, found.side) == ("one-sided", "high")


def test_a_value_that_only_lucky_seeds_survive_is_not_the_optimum():
    """One seed diverged at the best LR: it bounds the grid, so the minimum below it sits on an edge."""
    points = cell(np.random.default_rng(3), quadratic(), -7.0, x=OCTAVES, seeds=3)
    points.losses[0, 4] = math.inf  # 2^-7
    found = fit_optimum(points)
    assert (found.status, found.side) == ("edge", "high")
    assert found.best_seen == -8.0
    assert found.ceiling == -7.0


def test_everything_diverged_or_one_value_only_is_too_few_points():
    assert fit_optimum(CellPoints.of([(2.0**-x, 0, math.nan) for x in range(5)])).status == "few points"
    assert fit_optimum(CellPoints.of([(2.0**-7, s, 3.0) for s in range(3)])).status == "few points"


def test_one_seed_gives_a_vertex_without_interval_unless_noise_is_known():
    points = cell(np.random.default_rng(4), quadratic(), -7.0, x=OCTAVES, seeds=1)
    alone = fit_optimum(points)
    assert alone.status == "one seed"
    assert alone.log2 == pytest.approx(-7.0, abs=0.3)
    assert math.isnan(alone.low)
    assert own_noise(points) is None
    assert fit_optimum(points, Noise(0.004**2, 40)).status == "ok"


def test_a_flat_noisy_curve_has_an_open_interval():
    found = fit_optimum(cell(np.random.default_rng(5), quadratic(1e-5), -7.0, x=OCTAVES, seeds=2, noise=0.02))
    assert found.status in ("open", "flat", "edge", "one-sided")


def test_missing_runs_are_no_divergence_and_the_rest_is_still_paired():
    """A seed far above the others is missing at the best LR: plain means would push the minimum there."""
    x = np.arange(-9.0, -4.0)
    losses = np.tile(quadratic(0.05)(x + 7.2), (3, 1)) + np.array([[0.0], [0.0], [3.0]])
    losses[2, 4] = np.nan
    means, _, squares, df = value_means(losses)
    np.testing.assert_allclose(means - means[0], quadratic(0.05)(x + 7.2) - quadratic(0.05)(x[0] + 7.2), atol=1e-9)
    assert squares == pytest.approx(0, abs=1e-12)
    assert df == 14 - 5 - 2
    found = fit_optimum(CellPoints(x, losses), Noise(1e-6, 20))
    assert found.n_diverged == 0
    assert found.log2 == pytest.approx(-7.2, abs=1e-3)


@pytest.mark.parametrize("confidence", [0.8, 0.99, 0.999])
def test_an_interval_of_another_confidence_is_that_of_a_fit_asked_for_it(confidence):
    points = cell(np.random.default_rng(6), quadratic(), -7.2, x=np.arange(-11.0, -2.0), seeds=3)
    again, asked = at_confidence(fit_optimum(points), confidence), fit_optimum(points, confidence=confidence)
    assert (again.log2_low, again.log2_high) == (asked.log2_low, asked.log2_high)
    assert (again.log2, again.status, again.fit.t) == (asked.log2, asked.status, asked.fit.t)


def test_seeds_that_never_meet_cannot_be_paired():
    """Seed 0 at two values, seed 1 at two others: their offset cannot be told from the values'."""
    losses = np.array([[1.0, 2.0, np.nan, np.nan], [np.nan, np.nan, 3.0, 4.0]])
    means, unit, _, df = value_means(losses)
    np.testing.assert_allclose(means, [1, 2, 3, 4])
    np.testing.assert_allclose(unit, np.eye(4))
    assert df == 0


@pytest.mark.parametrize("step", [0.25, 0.5])
def test_the_wiggles_of_a_single_seed_are_not_fitted(step):
    """Quartics through every wiggle would put the vertex 0.5 octave off."""
    rng = np.random.default_rng(6)
    x = np.arange(-9.0, -4.9, step)
    found = [fit_optimum(cell(rng, quadratic(0.03), -7.0, x=x, seeds=1, noise=0.01)).log2 for _ in range(200)]
    assert np.sqrt(np.mean(np.square(np.array(found) + 7.0))) < 0.2


def test_seeds_that_share_few_values_take_the_noise_from_the_curve():
    """Two seeds in alternation leave no degree of freedom among themselves, but two beside a parabola and offsets."""
    rng = np.random.default_rng(7)
    x = np.arange(-1.5, 1.6, 0.5)
    found = []
    for _ in range(400):
        losses = np.full((2, 7), np.nan)
        losses[0, ::2], losses[1, 1::2] = 3.0, 3.4
        losses += 0.05 * x**2 + 0.01 * rng.standard_normal(7)
        noise = own_noise(CellPoints(x, losses))
        assert noise is not None
        assert noise.df == 7 - 2 - 2
        found.append(noise.variance)
    assert np.mean(found) == pytest.approx(1e-4, rel=0.15)


def test_own_noise_is_the_two_way_residual_variance():
    """Residuals ±0.01 in a 2 × 5 table: sum of squares 1e-3 on four degrees of freedom; offsets do not count."""
    signs = np.array([[1, -1, 0, 1, -1], [-1, 1, 0, -1, 1]])
    losses = np.array([4.0, 1.0, 0.0, 1.0, 4.0]) + 0.01 * signs + np.array([[1.0], [6.0]])
    found = own_noise(CellPoints(np.arange(-2.0, 3.0), losses))
    assert found is not None
    assert (found.variance, found.df) == (pytest.approx(8 * 1e-4 / 4), 4)
