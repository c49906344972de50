"""The verdict's thresholds: their defaults, what is no threshold, and which rules must hold."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.refusals import validated
from hptransfer.study.thresholds import VerdictSpec


def test_by_default_half_a_percent_and_a_tenth_of_an_octave_at_95_percent() -> None:
    spec = VerdictSpec()
    assert (spec.delta, spec.slope_margin, spec.confidence, spec.expect_stable) == (0.005, 0.1, 0.95, ("supar",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"delta": 0}, "delta: is out of range; found 0; allowed: above 0"),
        ({"confidence": 0.5}, "confidence: is out of range; found 0.5; allowed: above 0.5"),
        ({"confidence": 1}, "confidence: is out of range; found 1; allowed: below 1"),
        ({"margin": 0.1}, "margin"),
    ],
)
def test_what_is_no_threshold_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validated(VerdictSpec, given)


def test_of_the_series_that_must_be_stable_the_rules_count_once_in_their_order() -> None:
    assert VerdictSpec(expect_stable=("supar", "mup")).stable_rules == ("supar", "mup")
    assert VerdictSpec(expect_stable=("mup · row", "supar", "mup")).stable_rules == ("mup", "supar")
