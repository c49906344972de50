"""What a check came to, in words."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up_sizes import made_up

from hptransfer.scaling.check.judge import judge_check


def test_each_outcome_is_said_with_its_worst_row():
    verdict = judge_check(made_up(0.05, spread=0.05))
    assert verdict.sentence.startswith(
        "supar passes over density: closest to its tolerance is the activation of blocks.*.up at step 0, "
        "slope +0.05 [+0.02, +0.08] (allowed 0.1); at 8 seeds it would have caught an init exponent off by 0."
    )
    verdict = judge_check(made_up(0.5, spread=0.05))
    assert verdict.sentence.startswith("supar fails over density: 1 of 2 beyond tolerance, worst is the activation")
    verdict = judge_check(made_up(0.0, spread=0.3))
    assert verdict.sentence == (
        "supar is INCONCLUSIVE over density, which is no pass: 1 of 2 slopes neither within tolerance nor beyond it"
        " after 8 seeds, worst is the activation of blocks.*.up at step 0, slope -0.00 [-0.20, +0.20] (allowed 0.1);"
        " more seeds or widths further apart would decide it."
    )


def test_a_clause_for_each_rule() -> None:
    said = judge_check(pd.concat([made_up(spread=0.05, rule="a"), made_up(0.5, spread=0.05, rule="b")])).sentence
    assert [clause.split(" over ")[0] for clause in said.split("; ") if " over " in clause] == ["a passes", "b fails"]


@pytest.mark.parametrize(("size", "words"), [(float("nan"), "slope not finite"), (1.0, "slope +0.00")])
def test_a_slope_that_is_no_number_is_called_so(size: float, words: str) -> None:
    frame = made_up()
    frame.loc[frame.density == 0.125, "value"] = size
    assert words in judge_check(frame).sentence


def test_the_closest_row_is_one_that_is_to_be_level() -> None:
    both = [
        made_up(-0.5, axis="width", grows=False, module="readout", spread=0.1),
        made_up(0.03, axis="width", module="up", spread=0.01),
    ]
    verdict = judge_check(pd.concat(both), axis="width")
    assert verdict.passed
    assert "closest to its tolerance is the activation of up at step 0, slope +0.03" in verdict.sentence
    alone = judge_check(both[0].query("step == 0"), axis="width").sentence
    assert "closest to its tolerance is the activation of readout at step 0, slope -0.50" in alone
