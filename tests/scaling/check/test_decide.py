"""Seeds are added until a check is decided, and no longer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from made_up_sizes import made_up

from hptransfer.scaling.check.decide import check_until_decided, seed_batches
from hptransfer.scaling.check.judge import CheckVerdict, judge_check


def test_seeds_double_up_to_the_cap():
    assert seed_batches((0, 1, 2), 16) == [(0, 1, 2), (3, 4, 5), (6, 7, 8, 9, 10, 11), (12, 13, 14, 15)]
    assert seed_batches((5, 9), 4) == [(5, 9), (10, 11)]
    assert seed_batches((0, 1, 2), 2) == [(0, 1, 2)]


class Rules:
    """Rules of known slopes, and what was measured of them."""

    def __init__(self, **frames: pd.DataFrame) -> None:
        self.frames = frames
        self.asked: list[tuple[tuple[str, ...], int, int]] = []

    def measure(self, rules: Sequence[str], seeds: Sequence[int], steps: int) -> pd.DataFrame:
        self.asked.append((tuple(rules), len(seeds), steps))
        rows = pd.concat([self.frames[rule].assign(rule=rule) for rule in rules])
        return rows[rows.seed.isin(seeds) & ((rows.step == 0) | (steps > 1))]

    def decided(self, most: int = 64) -> dict[str, str]:
        _, (verdict,) = check_until_decided(
            self.measure, judge, rules=list(self.frames), seeds=range(8), most=most, steps=5
        )
        return dict(verdict.by_rule)


def judge(frame: pd.DataFrame, looks: int) -> tuple[CheckVerdict]:
    return (judge_check(frame, looks=looks),)


def test_a_rule_that_is_decided_gets_no_more_seeds():
    rules = Rules(level=made_up(spread=0.05, seeds=64), tilted=made_up(0.5, spread=0.05, seeds=64))
    assert rules.decided() == {"level": "PASS", "tilted": "FAIL"}
    assert rules.asked == [(("level", "tilted"), 8, 5)]


def test_a_rule_that_fails_on_one_axis_gets_no_more_seeds_for_another_that_is_open():
    rules = Rules(a=made_up(0.5, spread=0.05, seeds=64))

    def over_two_axes(frame: pd.DataFrame, looks: int) -> tuple[CheckVerdict, ...]:
        return *judge(frame, looks), judge_check(made_up(spread=0.25).assign(rule="a"), looks=looks)

    _, (failed, open_still) = check_until_decided(
        rules.measure, over_two_axes, rules=["a"], seeds=range(8), most=64, steps=5
    )
    assert (failed.by_rule["a"], open_still.by_rule["a"]) == ("FAIL", "INCONCLUSIVE")
    assert [seeds for _, seeds, _ in rules.asked] == [8]


def test_one_that_is_open_gets_twice_as_many_and_the_others_none():
    rules = Rules(level=made_up(spread=0.05, seeds=64), noisy=made_up(spread=0.25, seeds=64))
    assert rules.decided() == {"level": "PASS", "noisy": "PASS"}
    assert rules.asked[0] == (("level", "noisy"), 8, 5)
    assert {asked[0] for asked in rules.asked[1:]} == {("noisy",)}


def test_seeds_that_only_the_first_step_needs_take_one_step():
    first = Rules(a=made_up(spread=0.25, seeds=64))
    last = Rules(a=made_up(0.1, spread=0.7, step=5, seeds=64))
    assert (first.decided()["a"], last.decided()["a"]) == ("PASS", "PASS")
    assert {steps for _, _, steps in first.asked[1:]} == {1}
    assert {steps for _, _, steps in last.asked[1:]} == {5}


def test_what_is_open_at_the_cap_is_inconclusive():
    rules = Rules(noisy=made_up(spread=1.0, seeds=64))
    assert rules.decided(most=16) == {"noisy": "INCONCLUSIVE"}
    assert sum(seeds for _, seeds, _ in rules.asked) == 16


@pytest.mark.parametrize(("slope", "wrong"), [(0.1, "PASS"), (-0.1, "FAIL")])
def test_many_looks_do_not_make_many_errors(slope: float, wrong: str) -> None:
    """At its tolerance exactly, where it is hardest, a rule is passed in at most 1 of 20 checks, and failed so too."""
    rng, errors = np.random.default_rng(2), 0
    for _ in range(60):
        frame = made_up(seeds=32)
        own = dict(enumerate(slope + 0.1 * rng.standard_normal(32)))
        first = frame.step == 0
        frame.loc[first, "value"] = frame.density[first] ** frame.seed[first].map(own)
        errors += Rules(a=frame).decided(most=32)["a"] == wrong
    assert errors <= 6  # 3 of 60, and two standard errors
