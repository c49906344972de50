"""Own against transferred, paired by seeds, on rows whose losses are known."""

from __future__ import annotations

from math import inf, isnan, log2, nan
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptransfer.analysis.direct import compare_directly, paired

SEEDS = range(5)
LINE = [2.0 ** (-7 + k / 2) for k in range(-3, 4)]


def rows(rule: str, best: float, floor: float, *, at: float = 2.0**-7, shift: Any = None) -> tuple[list[dict], dict]:
    """A line with its minimum `floor` at 2^best, and the transferred LR `at`; every seed has an offset of its own."""
    made: list[dict[str, Any]] = []
    for lr in dict.fromkeys([*LINE, at]):
        for seed in SEEDS:
            wobble = 0.002 * np.sin(3 * seed + 5 * log2(lr)) + 0.05 * seed + (shift(seed) if shift else 0.0)
            loss = floor + 0.1 * (log2(lr) - best) ** 2 + wobble
            made.append({"trial_id": f"{rule}-{lr}-{seed}", "rule": rule, "lr": lr, "seed": seed, "loss": loss})
    cell = {
        "rule": rule,
        "variant": "",
        "width": 64,
        "density": 0.25,
        "depth": 2,
        "hps": {"lr": 2.0**best},
        "trials": 9,
    }
    ids = {
        "line": [r["trial_id"] for r in made if r["lr"] in LINE],
        "transferred": [r["trial_id"] for r in made if r["lr"] == at],
    }
    return [r | {"status": "ok"} for r in made], cell | ids


def test_what_transferring_gave_up_is_the_loss_there_over_the_own_minimum() -> None:
    made, cell = rows("supar", -7.0, 2.0, at=2.0**-6)
    (found,) = compare_directly(pd.DataFrame(made), [cell])
    assert log2(found.lr) == pytest.approx(-7, abs=0.05)
    assert found.loss == pytest.approx(2.1, abs=0.01)  # 2, and the mean of the seeds' offsets
    assert found.given_up.value == pytest.approx(0.1 / 2.1, abs=0.003)
    assert found.given_up.low < 0.1 / 2.1 < found.given_up.high
    assert found.given_up.high - found.given_up.low < 0.01  # the seeds' offsets, 0.05 each, cancel
    assert found.doubt == ""


def test_two_series_are_compared_seed_by_seed_in_the_same_cell() -> None:
    made, sp = rows("sp", -7.5, 2.02)
    more, supar = rows("supar", -7.0, 2.0)
    found = {v.key.series: v for v in compare_directly(pd.DataFrame(made + more), [sp, supar], reference="supar")}
    assert found["sp"].against.value == pytest.approx(0.02 / 2.1, abs=0.002)
    assert 0 < found["sp"].against.low < found["sp"].against.high < 0.02
    assert isnan(found["supar"].against.value)
    elsewhere = supar | {"density": 0.5}
    (lonely, _) = compare_directly(pd.DataFrame(made + more), [sp, elsewhere], reference="supar")
    assert isnan(lonely.against.value)


def test_without_a_minimum_inside_the_line_the_lowest_value_stands_for_it_and_that_is_said() -> None:
    made, cell = rows("supar", -12.0, 2.0)
    (found,) = compare_directly(pd.DataFrame(made), [cell])
    assert (found.doubt, log2(found.lr)) == ("edge", pytest.approx(-8.5))


def test_a_diverged_transfer_gives_up_without_bound_and_a_missing_run_is_no_run() -> None:
    made, cell = rows("supar", -7.0, 2.0, at=2.0**-3)
    for row in made:
        if row["trial_id"] == cell["transferred"][0]:
            row.update(status="diverged", loss=nan)
    (found,) = compare_directly(pd.DataFrame(made), [cell])
    assert found.given_up.value == inf
    fewer = [row for row in made if row["trial_id"] != cell["line"][0]]
    (found,) = compare_directly(pd.DataFrame(fewer), [cell | {"transferred": cell["transferred"][1:]}])
    assert np.isfinite(found.given_up.value)
    assert compare_directly(pd.DataFrame(made), [cell | {"line": ["gone"]}]) == []


def test_the_interval_covers_at_the_seeds_people_run() -> None:
    dice, hits = np.random.default_rng(0), 0
    for _ in range(400):
        offsets = dice.normal(0, 0.05, 5)
        mine = {s: 2.02 + offsets[s] + dice.normal(0, 0.01) for s in SEEDS}
        other = {s: 2.00 + offsets[s] + dice.normal(0, 0.01) for s in SEEDS}
        found = paired(mine, other)
        hits += found.low <= 0.01 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_one_seed_has_no_interval_and_none_no_value() -> None:
    assert isnan(paired({0: 2.0}, {0: 1.0}).low)
    assert paired({0: 2.0}, {0: 1.0}).value == 1.0
    assert isnan(paired({0: 2.0}, {1: 1.0}).value)
