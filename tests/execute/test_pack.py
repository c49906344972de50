"""A pack: trials of one shape, halved where it must be."""

from __future__ import annotations

import pytest
from trials_for_executors import a_trial

from hptransfer.execute.pack import Pack


def test_it_holds_trials_of_one_shape_and_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        Pack("grid", ())
    with pytest.raises(ValueError, match="share one shape"):
        Pack("grid", (a_trial(0), a_trial(0, width=32)))


def test_its_id_is_that_of_its_trials_in_their_order() -> None:
    first, second = a_trial(0), a_trial(1)
    assert Pack("grid", (first, second)).id == Pack("tune", (first, second), 5.0).id
    assert Pack("grid", (first, second)).id != Pack("grid", (second, first)).id


def test_halves_share_trials_and_cost_and_a_single_trial_stays_whole() -> None:
    trials = tuple(a_trial(seed) for seed in range(3))
    one, other = Pack("grid", trials, 6.0).halves()
    assert (one.trials, other.trials) == (trials[:1], trials[1:])
    assert (one.cost, other.cost) == (2.0, 4.0)
    (alone,) = one.halves()
    assert alone == one
