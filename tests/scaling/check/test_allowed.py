"""What slope a row is allowed, and how it is written."""

from __future__ import annotations

import pandas as pd
import pytest

from hptransfer.scaling.check.allowed import Allowed, Tolerances

GROWS, FIXED, THROUGH = (
    pd.DataFrame({"features": features, "through": through})
    for features, through in [([16, 64], False), ([16, 16], False), ([16, 64], True)]
)
"""A tensor that grows; one that does not; one that acts through as many scores at every width."""


@pytest.mark.parametrize(
    ("axis", "kind", "step", "sizes", "low", "high"),
    [
        ("width", "activation", 0, GROWS, -0.1, 0.1),
        ("width", "activation", 0, FIXED, -0.6, 0.1),
        ("width", "gradient", 0, FIXED, -0.65, 0.15),
        ("width", "input_gradient", 0, FIXED, -0.65, 0.15),
        ("width", "aligned_update", 0, FIXED, -0.15, 0.15),
        ("width", "gradient", 0, THROUGH, -0.65, 0.15),
        ("density", "gradient", 0, THROUGH, -0.15, 0.15),
        ("width", "activation", 5, FIXED, -0.5, 0.5),
        ("density", "activation", 0, FIXED, -0.1, 0.1),
    ],
)
def test_only_what_does_not_grow_may_shrink_over_width_at_the_first_step(axis, kind, step, sizes, low, high):
    allowed = Tolerances(axis, 0, 5).of(kind, step, "hidden", sizes)
    assert (allowed.low, allowed.high) == (pytest.approx(low), high)


def test_the_update_of_scores_may_shrink_by_a_quarter_over_width_and_may_not_grow():
    assert Tolerances("width", 0, 5).of("aligned_update", 0, "scores", GROWS) == Allowed(-0.4, 0.15)
    assert Tolerances("density", 0, 5).of("aligned_update", 0, "scores", GROWS) == Allowed(-0.15, 0.15)


@pytest.mark.parametrize(("kind", "step"), [("gradient", 5), ("weight_update", 0), ("update", 0), ("activation", 3)])
def test_what_is_not_judged(kind, step):
    allowed = Tolerances("width", 0, 5).of(kind, step, "hidden", FIXED)
    assert not allowed.judged
    assert not allowed.may_shrink


@pytest.mark.parametrize(
    ("slope", "text"), [(0.05, "+0.05"), (0.123, "+0.12"), (0.1249, "+0.12"), (0.1251, "+0.13"), (-0.1, "-0.10")]
)
def test_a_slope_is_never_written_on_the_other_side_of_its_limit(slope, text):
    assert Allowed(-0.125, 0.125).number(slope) == text
    assert Allowed(-0.1, 0.1).number(0.1003) == "+0.1003"
    assert Allowed(-0.6, 0.1).number(-0.6004) == "-0.6004"


def test_limits_are_written_as_one_number_where_both_sides_are():
    assert (str(Allowed(-0.1, 0.1)), str(Allowed(-0.6, 0.1))) == ("0.1", "-0.6 to +0.1")
