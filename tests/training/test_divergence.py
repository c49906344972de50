"""The ceiling by hand: three times the larger of the first loss and chance."""

from __future__ import annotations

import math

import pytest

from hptransfer.training.divergence import ceiling_of


@pytest.mark.parametrize(
    ("first", "chance", "ceiling"),
    [(2.0, 4.0, 12.0), (5.0, 4.0, 15.0), (5.0, math.nan, 15.0), (math.inf, 4.0, math.inf)],
)
def test_ceiling(first: float, chance: float, ceiling: float) -> None:
    assert ceiling_of(first, chance) == ceiling


def test_no_loss_is_below_the_ceiling_of_a_first_loss_that_is_nan() -> None:
    assert not ceiling_of(math.nan, 4.0) > 1.0
