"""Losses turned into compute, the study's own curve, and the price of tuning."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from surfaces import frame

from hptransfer.analysis.compute import (
    CHINCHILLA,
    Chinchilla,
    compute_gain,
    fit_loss_curve,
    rule_gains,
    tuning_cost,
)
from hptransfer.analysis.verdict import judge
from hptransfer.common.errors import InputError


def test_the_law_at_a_billion_parameters_by_hand():
    """1.69 + 406.4/10^(9·0.34) + 410.7/(2·10^10)^0.28 = 1.69 + 0.3540 + 0.5361."""
    by_hand = 1.69 + 406.4 / 10 ** (9 * 0.34) + 410.7 / (2e10) ** 0.28
    assert CHINCHILLA.loss(1e9) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(2.580, abs=1e-3)


@pytest.mark.parametrize("params", [1e6, 1e9, 1e12])
def test_inverting_the_law_gives_the_size_back_and_its_flops(params):
    assert CHINCHILLA.params_for(CHINCHILLA.loss(params)) == pytest.approx(params, rel=1e-6)
    assert CHINCHILLA.compute_for(CHINCHILLA.loss(params)) == pytest.approx(120 * params**2, rel=1e-6)


def test_ten_times_the_parameters_are_a_hundredfold_compute():
    assert compute_gain(CHINCHILLA.loss(1e10), CHINCHILLA.loss(1e9)) == pytest.approx(100, rel=1e-6)
    assert compute_gain(3.0, 3.0) == 1.0


def test_the_gains_that_version_1_of_the_paper_quotes():
    """4.1× over SP and 1.5× over μP, beside a loss 8.2% below SP's. To the tenth, 8.2% comes to 4.1× where SP's loss is
    2.92 to 2.95, and there 1.5× is 2.3% below μP. Version 3 has 11.9% and 1.9% and quotes no gains."""
    sp = 2.935
    supar = (1 - 0.082) * sp
    assert round(compute_gain(supar, sp), 1) == 4.1
    assert round(compute_gain(supar, supar / (1 - 0.023)), 1) == 1.5
    assert [round(compute_gain((1 - 0.082) * x, x), 1) for x in (2.91, 2.92, 2.95, 2.96)] == [4.2, 4.1, 4.1, 4.0]


def test_a_percentage_is_worth_less_at_a_higher_loss_and_the_convention_says_what_it_assumes():
    """At the losses read off figure 3 at density 1/128, 3.435 against 3.72 and 3.495, the gains are 2.7 and 1.25."""
    assert compute_gain((1 - 0.082) * 3.72, 3.72) == pytest.approx(2.90, abs=0.01)
    assert compute_gain(3.435, 3.72) == pytest.approx(2.69, abs=0.01)
    assert compute_gain(3.435, 3.495) == pytest.approx(1.25, abs=0.01)
    assert "D = 20 N" in CHINCHILLA.convention
    assert "406.4" in CHINCHILLA.convention


def test_losses_the_law_cannot_reach_have_no_compute():
    assert math.isnan(CHINCHILLA.compute_for(1.69))
    assert math.isnan(compute_gain(1.2, 3.0))
    assert math.isnan(Chinchilla().params_for(1e6))


SIZES = np.geomspace(1e4, 1e7, 8)


def test_an_exact_curve_is_found_again():
    found = fit_loss_curve(SIZES, 1.5 + 80 * SIZES**-0.35)
    assert found.floor == pytest.approx(1.5, abs=1e-3)
    assert found.exponent == pytest.approx(0.35, abs=1e-3)
    assert found.loss(1e6) == pytest.approx(1.5 + 80 * 1e6**-0.35, abs=1e-4)


def test_its_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    fits = [fit_loss_curve(SIZES, 1.5 + 80 * SIZES**-0.35 + 0.01 * rng.standard_normal(8)) for _ in range(150)]
    assert 0.9 <= np.mean([f.exponent_low <= 0.35 <= f.exponent_high for f in fits]) <= 1.0


def test_three_sizes_fit_without_an_interval_and_two_not_at_all():
    sizes = SIZES[:3]
    assert math.isnan(fit_loss_curve(sizes, 1.5 + 80 * sizes**-0.35).exponent_low)
    with pytest.raises(InputError, match="three sizes"):
        fit_loss_curve(sizes[:2], [3.0, 2.0])


def test_gains_of_one_rule_over_another_at_transferred_and_at_tuned_values():
    """Same minimum everywhere: tuned gains near 1; at the transferred LR the drifting rule pays."""
    judged = judge(frame(rules={"supar": 0.0, "sp": -0.6}, noise=0.001), base={"lr": 2.0**-7})
    gains = rule_gains(judged.cells, "supar", "sp").sort_values("density")
    assert gains["gain_tuned"].between(0.8, 1.25).all()
    assert gains["gain_transferred"].iloc[0] > 1.5
    assert gains["gain_transferred"].iloc[-1] == pytest.approx(gains["gain_tuned"].iloc[-1], rel=0.02)
    with pytest.raises(InputError, match="no such series"):
        rule_gains(judged.cells, "supar", "muon")


def test_a_trainer_that_knows_no_cost_saves_nothing_and_breaks_nothing():
    unknown = tuning_cost(costs().assign(flops_dense=[None] * 13), {"trials": 10, "flops": None})
    assert math.isnan(unknown.saved)
    assert math.isnan(tuning_cost(costs().assign(flops_dense=0.0)).saved)
    proxy_unknown = costs().assign(flops_dense=[0.0] * 10 + [2.0, 50.0, 100.0])
    assert math.isnan(tuning_cost(proxy_unknown).saved)


def costs() -> pd.DataFrame:
    return pd.DataFrame({"phase": ["tune"] * 10 + ["grid"] * 3, "flops_dense": [1.0] * 10 + [2.0, 50.0, 100.0]})


def test_ten_proxy_trials_against_ten_at_the_target():
    """10 · 1 FLOP against 10 · 100: transfer saves 99%."""
    cost = tuning_cost(costs())
    assert (cost.proxy_trials, cost.proxy_flops, cost.target_flops) == (10, 10.0, 1000.0)
    assert cost.saved == pytest.approx(0.99)


def test_a_search_made_elsewhere_is_taken_from_the_base():
    grid = costs().iloc[10:]
    assert math.isnan(tuning_cost(grid).saved)
    assert tuning_cost(grid, {"trials": 20, "flops": 40.0}).saved == pytest.approx(1 - 40 / 2000)
    with pytest.raises(InputError, match="flops_dense"):
        tuning_cost(grid[["phase"]])
