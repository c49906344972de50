"""Which of the finalists wins: the least mean over fresh seeds, or the fitted minimum where that is a tie."""

from __future__ import annotations

import math

import pytest

from hptransfer.study.trial import Trial
from hptransfer.trials.proxy.finalists import Finalist
from hptransfer.trials.proxy.tried import Tried


def finalist(*losses: float, fitted: bool = False) -> Finalist:
    runs = [
        Tried(i, {"lr": 0.01}, Trial(), "ok" if math.isfinite(loss) else "diverged", loss, loss, {})
        for i, loss in enumerate(losses)
    ]
    return Finalist({"lr": 0.01}, tuple(runs), fitted)


def test_a_difference_within_its_standard_error_is_a_tie():
    best = finalist(2.00, 2.10, 2.05)
    assert finalist(2.02, 2.09, 2.06, fitted=True).ties_with(best)  # +0.02, −0.01, +0.01
    assert not finalist(2.03, 2.12, 2.08, fitted=True).ties_with(best)  # always a little worse


def test_seeds_are_compared_pairwise_so_that_their_own_luck_cancels():
    best = finalist(1.0, 3.0)
    assert not finalist(1.01, 3.01, fitted=True).ties_with(best)
    assert finalist(3.0, 1.0, fitted=True).ties_with(best)


@pytest.mark.parametrize("losses", [(2.0,), (2.0, math.nan)], ids=["one seed", "a seed diverged"])
def test_a_tie_takes_two_seeds_that_ended(losses):
    assert not finalist(*losses, fitted=True).ties_with(finalist(*([2.0] * len(losses))))
