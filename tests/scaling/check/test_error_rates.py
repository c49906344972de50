"""How often the check is right, on real models: SμPar, and rules an exponent off by ¼.

Each rule is measured once; twenty checks then take its seeds in twenty orders, eight first and more where it is open.
The first step alone, where exponents show: after one step what the readout gives still shrinks with width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from hptransfer.scaling.check.decide import check_until_decided
from hptransfer.scaling.check.judge import Axis, CheckVerdict, judge_check
from hptransfer.scaling.check.measure import CheckSettings, coordinate_check
from hptransfer.scaling.rules import Rule, get_rule, rule_from_table
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import GPT

CHECKS, SEEDS = 20, 32
CELLS = {32: (1, 1 / 4), 64: (1, 1 / 4, 1 / 16), 128: (1, 1 / 4, 1 / 16)}
DRAW = torch.Generator().manual_seed(0)
TOKENS = torch.multinomial(1 / torch.arange(1, 257.0), 4 * 33, replacement=True, generator=DRAW).view(4, 33)
SETTINGS = CheckSettings(base_width=32, depth=2, base_depth=2, steps=1, base=BaseHPs(lr=2**-7, init_std=0.08))


def off(name: str, **changes: dict[str, float]) -> Rule:
    """SμPar with other exponents of its hidden matrices."""
    hidden = {
        "lr": {"width": -1, "density": -1},
        "init_std": {"width": -1 / 2, "density": -1 / 2},
        "eps": {"width": -1},
    }
    hidden = {quantity: powers | changes.get(quantity, {}) for quantity, powers in hidden.items()}
    return rule_from_table(name, {"like": "supar", "adamw": {"hidden": hidden}})


def measured(rule: Rule, seeds: int) -> pd.DataFrame:
    settings = replace(SETTINGS, seeds=tuple(range(seeds)))
    model = partial(GPT, vocab_size=256, context=32, head_size=16)
    frame = pd.concat(
        coordinate_check(model, TOKENS, widths=(width,), densities=densities, rules=(rule,), settings=settings)
        for width, densities in CELLS.items()
    )
    return frame[frame["step"] == 0]


def outcomes(frame: pd.DataFrame, axis: Axis) -> Counter[str]:
    """What twenty checks of these rows come to."""
    found: Counter[str] = Counter()
    (rule,), seeds = frame["rule"].unique(), np.array(sorted(frame["seed"].unique()))
    for order in range(CHECKS):
        shuffled = np.random.default_rng(order).permutation(seeds)

        def measure(rules: Sequence[str], places: Sequence[int], steps: int, shuffled=shuffled) -> pd.DataFrame:
            return frame[frame["seed"].isin(shuffled[list(places)])]

        def judge(rows: pd.DataFrame, looks: int) -> tuple[CheckVerdict]:
            return (judge_check(rows, axis=axis, looks=looks),)

        _, (verdict,) = check_until_decided(measure, judge, rules=[rule], seeds=range(8), most=len(seeds), steps=1)
        found[verdict.by_rule[rule]] += 1
    return found


@pytest.mark.slow
def test_supar_passes_over_density_and_width() -> None:
    frame = measured(get_rule("supar"), SEEDS)
    assert outcomes(frame, "density")["PASS"] >= CHECKS - 1
    assert outcomes(frame, "width")["PASS"] >= CHECKS - 1


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["lr", "init_std"])
@pytest.mark.parametrize("axis", ["density", "width"])
def test_an_exponent_off_by_a_quarter_fails(axis: Axis, quantity: str) -> None:
    right = {"lr": -1, "init_std": -1 / 2}[quantity]
    frame = measured(off(f"{quantity}-{axis}", **{quantity: {axis: right + 1 / 4}}), 16)
    assert outcomes(frame, axis)["FAIL"] >= CHECKS - 1
