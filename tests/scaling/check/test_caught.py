"""How small an error of an exponent a passed check would have caught."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_up_sizes import made_up

from hptransfer.scaling.check.judge import judge_check


def passed(update: float, forward: float, spread: float = 0.03, looks: int = 1) -> pd.DataFrame:
    """A rule whose update and first activation have these slopes."""
    return pd.concat(
        [made_up(update, kind="aligned_update", spread=spread), made_up(forward, kind="activation", spread=spread)]
    )


def test_by_hand():
    """With one look: what is left to the tolerance, in the direction where more is left."""
    found = judge_check(passed(0.05, -0.02)).caught["supar"]
    assert found.lr == pytest.approx(0.15 + 0.05)
    assert found.init_std == pytest.approx(0.10 + 0.02)


def test_looks_that_ask_for_more_let_less_pass():
    found = judge_check(passed(0.0, 0.0), looks=4).caught["supar"]
    back = 0.713 * 0.03 / 8**0.5  # a t of 7 degrees, noncentral by 0.713, is above t(7; 0.9875) = 2.84 in 5 of 100
    assert (found.lr, found.init_std) == (pytest.approx(0.15 - back, abs=1e-3), pytest.approx(0.10 - back, abs=1e-3))


def test_rows_that_lean_to_either_side_catch_both_signs_sooner():
    both = pd.concat([passed(0.05, 0.0), made_up(-0.05, kind="aligned_update", spread=0.03, module="blocks.0.down")])
    assert judge_check(both).caught["supar"].lr == pytest.approx(0.10)


def test_only_hidden_matrices_tell_and_only_of_a_rule_that_passed():
    readout = passed(0.0, 0.0).assign(role="readout")
    found = judge_check(readout).caught["supar"]
    assert math.isnan(found.lr)
    assert math.isnan(found.init_std)
    assert "would have caught" not in judge_check(readout).sentence
    assert math.isnan(judge_check(passed(0.0, 0.5)).caught["supar"].lr)


def test_an_error_of_that_size_passes_in_5_of_100_checks():
    """The claim itself: fresh seeds of a rule that is off by what was said."""
    found = judge_check(passed(0.0, 0.0), looks=4).caught["supar"]
    rng, passes = np.random.default_rng(0), 0
    frame = made_up(kind="aligned_update")
    first = frame.step == 0
    for _ in range(100):
        own = dict(enumerate(found.lr + 0.03 * rng.standard_normal(8)))
        frame.loc[first, "value"] = frame.density[first] ** frame.seed[first].map(own)
        passes += judge_check(frame, looks=4).passed
    assert 1 <= passes <= 10  # 5, and two standard errors
