"""The local quadratic: numbers a person can check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hptransfer.analysis.quadratic import (
    flat_interval,
    local_quadratic,
    lowest_within,
    parabola,
    powers,
    shrunk_quadratic,
)


def test_a_parabola_in_one_axis_is_found_exactly() -> None:
    x = np.array([[-9.0], [-8.0], [-7.0], [-6.0], [-5.0]])
    losses = 2 + 0.01 * (x[:, 0] + 7.25) ** 2
    fit = local_quadratic(x, losses, np.array([-7.0]))
    assert fit is not None
    assert fit.hessian[0, 0] == pytest.approx(0.02)
    assert fit.vertex is not None
    assert fit.vertex[0] == pytest.approx(-7.25)


def test_the_flat_range_is_where_the_loss_is_within_the_share() -> None:
    # 2 + 0.01 x² stays within 0.5% of 2 (that is, 2.01) for |x| ≤ 1 octave.
    x = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    fit = local_quadratic(x, 2 + 0.01 * x[:, 0] ** 2, np.array([0.5]))
    assert fit is not None
    assert flat_interval(fit, 0, 0.005) == pytest.approx((-1, 1))


def test_two_axes_with_a_cross_term() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (20, 2))
    losses = 3 + 0.02 * (x[:, 0] - 0.3) ** 2 + 0.01 * x[:, 1] ** 2 + 0.005 * (x[:, 0] - 0.3) * x[:, 1]
    fit = local_quadratic(x, losses, np.zeros(2))
    assert fit is not None
    assert fit.vertex == pytest.approx([0.3, 0.0], abs=1e-9)
    assert fit.hessian == pytest.approx(np.array([[0.04, 0.005], [0.005, 0.02]]))


def test_runs_far_above_the_best_do_not_bend_the_parabola() -> None:
    x = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0], [6.0]])
    losses = np.append(2 + 0.01 * x[:5, 0] ** 2, 9.0)
    fit = local_quadratic(x, losses, np.zeros(1))
    assert fit is not None
    assert fit.hessian[0, 0] == pytest.approx(0.02)


def test_too_few_runs_give_no_fit_rather_than_a_wrong_one() -> None:
    assert local_quadratic(np.array([[0.0], [1.0]]), np.array([2.0, 2.1]), np.zeros(1)) is None
    same = np.zeros((5, 1))
    assert local_quadratic(same, np.full(5, 2.0), np.zeros(1)) is None


def test_a_ridge_has_no_vertex_and_no_flat_range() -> None:
    x = np.array([[-1.0], [0.0], [1.0]])
    fit = local_quadratic(x, 2 - 0.01 * x[:, 0] ** 2, np.zeros(1))
    assert fit is not None
    assert fit.vertex is None
    assert flat_interval(fit, 0, 0.005) is None


def test_powers_are_the_columns_of_a_polynomial() -> None:
    assert powers(np.array([2.0, -3.0]), 3).tolist() == [[1, 2, 4, 8], [1, -3, 9, -27]]


def test_a_weighted_parabola_follows_the_runs_that_weigh() -> None:
    """1 + 2u + 3u² at three places; a fourth run far off weighs nothing, whatever the order of the design."""
    u = np.array([-1.0, 0.0, 1.0, 2.0])
    losses, weights = np.array([2.0, 1.0, 6.0, 99.0]), np.array([1.0, 1.0, 1.0, 0.0])
    for order in (2, 4):
        assert parabola(powers(u, order), losses, weights) == pytest.approx([1, 2, 3])


def bowl(points, tilt=0.0):
    """2, and 2% of it per squared octave about (1, −1, 0.5); `tilt` couples the first two axes."""
    away = points - np.array([1.0, -1.0, 0.5])
    return 2 + 0.04 * (away**2).sum(axis=1) / 2 + tilt * away[:, 0] * away[:, 1]


def test_a_shrunk_quadratic_finds_a_minimum_from_fewer_runs_than_it_has_terms():
    points = np.random.default_rng(0).uniform(-2, 2, (9, 3))  # ten terms
    fit = shrunk_quadratic(points, bowl(points))
    assert lowest_within(fit) == pytest.approx([1.0, -1.0, 0.5], abs=0.15)


def test_with_many_runs_the_runs_speak_not_the_bowl():
    points = np.random.default_rng(0).uniform(-2, 2, (400, 3))
    fit = shrunk_quadratic(points, bowl(points, tilt=0.03))
    assert fit.hessian[0, 1] == pytest.approx(0.03, abs=0.005)
    assert lowest_within(fit) == pytest.approx([1.0, -1.0, 0.5], abs=0.05)


def test_noise_moves_it_less_than_the_plain_quadratic():
    dice, plain, shrunk = np.random.default_rng(1), [], []
    for _ in range(100):
        points = dice.normal(0, 1, (24, 3)) + np.array([1.0, -1.0, 0.5])
        losses = bowl(points) + dice.normal(0, 0.012, 24)
        fit = local_quadratic(points, losses, points[losses.argmin()])
        vertex = None if fit is None else fit.vertex
        if vertex is not None:
            plain.append(bowl(np.array([vertex]))[0])
        shrunk.append(bowl(np.array([lowest_within(shrunk_quadratic(points, losses))]))[0])
    assert np.mean(shrunk) < np.mean(plain)
    assert np.mean(shrunk) < 2.005


def test_the_minimum_stays_among_the_runs():
    points = np.random.default_rng(0).uniform(-3, -2, (30, 3))
    low = lowest_within(shrunk_quadratic(points, bowl(points)))
    assert (low >= points.min(axis=0) - 1e-9).all()
    assert (low <= points.max(axis=0) + 1e-9).all()


def test_runs_that_share_a_value_or_are_the_same_leave_it_where_it_is():
    points = np.random.default_rng(0).uniform(-2, 2, (20, 3))
    points[:, 2] = 0.7
    assert lowest_within(shrunk_quadratic(points, bowl(points)))[2] == pytest.approx(0.7)
    same = np.tile([0.5, 0.5, 0.5], (12, 1))
    assert lowest_within(shrunk_quadratic(same, bowl(same))) == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize("curvature", [0.01, 0.04, 0.2, 1.0])
@pytest.mark.parametrize("axes", [3, 5])
def test_a_bowl_of_any_steepness_is_found(curvature, axes):
    dice = np.random.default_rng(2)
    points, lowest = dice.uniform(-3, 3, (48, axes)), dice.uniform(-1.5, 1.5, axes)

    def loss(x):
        return 2 + curvature * ((x - lowest) ** 2).sum(axis=-1) / 2

    found = lowest_within(shrunk_quadratic(points, loss(points)))
    assert loss(found) / 2 - 1 < 0.01
    assert loss(found) < loss(points).min()


def test_a_loss_of_zero_is_no_trouble():
    points = np.random.default_rng(0).uniform(-2, 2, (20, 3))
    assert np.isfinite(lowest_within(shrunk_quadratic(points, np.maximum(0, bowl(points) - 3)))).all()
