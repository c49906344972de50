"""One cell of a bracket search, on surfaces whose minimum is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hptransfer.analysis.optimum import Noise
from hptransfer.study.study import BracketSpec
from hptransfer.trials.bracket.moves import Ask, Bounds, Point, first_asks, next_move, snap, two_basins

SETTINGS = BracketSpec()
WIDE = Bounds(-14.0, 0.0)


def search(loss, guess, *, seeds=(0, 1, 2), bounds=WIDE, settings=SETTINGS):
    """Play a cell to its end; the points it asked for and its last move."""
    points: list[Point] = []
    while True:
        move = next_move(points, guess, seeds, settings, bounds)
        if not move.asks:
            return points, move
        known = {(p.x, p.seed) for p in points}
        assert not known & {(a.x, a.seed) for a in move.asks}, "a run was asked for twice"
        points += [Point(a.x, a.seed, loss(a.x, a.seed)) for a in move.asks]


def bowl(optimum, noise=0.0, rng=None, cliff=math.inf):
    """A slightly asymmetric basin with an offset a seed; diverges `cliff` octaves above its minimum."""

    def loss(x, seed):
        u = x - optimum
        if u > cliff:
            return math.inf
        return 2.5 + 0.03 * u * u * (1 + 0.1 * u) + 0.02 * seed + (rng.normal() * noise if rng else 0.0)

    return loss


def test_first_asks_put_two_values_on_either_side_and_both_seeds_at_the_upper_two():
    asks = first_asks(-6.1, (7, 9), SETTINGS, WIDE)
    middle, h = snap(-6.1), SETTINGS.step
    assert set(asks) == {
        *(Ask(middle + k * h, 7) for k in (-1.5, 0.5, 1.5)),
        *(Ask(middle + k * h, 9) for k in (-0.5, 0.5, 1.5)),
    }


def test_first_asks_stay_inside_the_bounds():
    assert all(a.x in Bounds(-6, -3) for a in first_asks(-2.0, (0, 1), SETTINGS, Bounds(-6, -3)))


def test_a_noiseless_bowl_needs_at_most_a_dozen_runs():
    points, move = search(bowl(-6.3), guess=-6.0)
    assert len(points) <= 12
    assert move.optimum.log2 == pytest.approx(-6.3, abs=0.1)


def test_a_narrow_interval_still_wants_the_seeds_that_were_asked_for():
    points, move = search(bowl(-6.3), guess=-6.0, settings=BracketSpec(min_seeds=3))
    assert {p.seed for p in points} == {0, 1, 2}
    assert move.optimum.n_seeds == 3  # they share a value
    assert "interval" in move.why
    points, _ = search(bowl(-6.3), guess=-6.0, seeds=(0, 1), settings=BracketSpec(min_seeds=3))
    assert {p.seed for p in points} == {0, 1}  # there are no more


def test_a_far_guess_walks_to_the_minimum():
    points, move = search(bowl(-9.5), guess=-5.0)
    assert move.optimum.settled
    assert move.optimum.log2 == pytest.approx(-9.5, abs=0.15)
    assert len(points) <= SETTINGS.max_trials


def test_a_wall_of_divergence_is_approached_not_crossed():
    _, move = search(bowl(-6.0, cliff=0.9), guess=-6.5)
    assert move.optimum.n_diverged > 0
    assert move.optimum.log2 == pytest.approx(-6.0, abs=0.25)


def test_an_edge_of_the_range_stops_the_search_and_says_so():
    _, move = search(bowl(-1.0), guess=-6.0, bounds=Bounds(-9.0, -4.0))
    assert move.optimum.status == "edge"
    assert "end of the range" in move.why


def test_two_basins_fall_back_to_the_fixed_axis():
    def loss(x, seed):
        return 2.5 + 0.2 * math.cos(2 * math.pi * (x + 6) / 3) + 0.001 * seed

    _, move = search(loss, guess=-6.0)
    assert move.fall_back


def test_one_basin_is_not_taken_for_two():
    _, move = search(bowl(-6.0, 0.003, np.random.default_rng(0)), guess=-6.0)
    assert not two_basins(move.optimum)


def test_the_search_stops_at_the_cap():
    points, move = search(bowl(-6.0, 0.2, np.random.default_rng(1)), guess=-6.0, settings=BracketSpec(max_trials=9))
    assert len(points) <= 9
    assert "most allowed" in move.why or move.fall_back


def test_a_fresh_seed_starts_only_where_there_is_room_for_its_four_runs():
    loss, noise = bowl(-6.0), Noise(0.02**2, 20)
    points = [Point(a.x, a.seed, loss(a.x, a.seed)) for a in first_asks(-6.0, (0, 1, 2), SETTINGS, WIDE)]

    def asks(most):
        settings = BracketSpec(max_trials=most)
        return {(a.x, a.seed) for a in next_move(points, -6.0, (0, 1, 2), settings, WIDE, noise).asks}

    assert asks(10) == {(x, 2) for x in (-7.5, -6.5, -5.5, -4.5)}
    assert asks(9) == {(-6.5, 0)}  # what seed 0 has not run
    assert len(asks(7)) == 1


def test_when_every_seed_has_run_everywhere_values_between_are_asked_for():
    settings = BracketSpec(width=0.05, max_trials=24)
    points, _ = search(bowl(-6.0, 0.01, np.random.default_rng(2)), guess=-6.0, seeds=(0, 1), settings=settings)
    assert len(points) > 10
    assert len({p.x for p in points}) > 5


def test_a_range_too_short_for_the_usual_spacing_gets_a_closer_one():
    """Two octaves: four values half an octave apart, not two of which none can be fitted."""
    points, move = search(bowl(-6.2), guess=-6.0, bounds=Bounds(-7.0, -5.0), settings=BracketSpec(width=0.3))
    assert len({p.x for p in points}) >= 4
    assert move.optimum.log2 == pytest.approx(-6.2, abs=0.15)
