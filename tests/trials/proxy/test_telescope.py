"""The telescope on a surface whose optimum wanders a little with width."""

from __future__ import annotations

from itertools import pairwise
from math import log2

import pytest

from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.telescope import telescope_plan
from hptransfer.trials.settled import Settled

LR = {"low": 2.0**-11, "high": 2.0**-3}


def wandering(trial):
    """The optimum lies at 2^-7 plus 8/width octaves: 1 octave up at width 8, a quarter at width 32."""
    best = -7 + 8 / trial.width
    init = 0.02 * (log2(trial.base.init_std) + 4) ** 2
    return 2 + 0.03 * (log2(trial.base.lr) - best) ** 2 + init


def test_widths_double_from_a_quarter_of_the_proxy_and_the_first_mesh_gets_half_the_trials(make_study):
    study = make_study(tune={"strategy": "telescope", "trials": 24})
    plan = telescope_plan(Proxy(Settled(study, study.base.hps, "fp32", "")))
    assert plan == [(8, 12), (16, 6), (32, 6)]


def test_the_optimum_is_followed_from_width_to_width(make_study, surface_runner):
    study = make_study({"lr": LR}, tune={"strategy": "telescope", "trials": 20, "finalist_seeds": 1})
    base = tune(Settled(study, study.base.hps, "fp32", ""), surface_runner(wandering)).document()
    assert [level["width"] for level in base["levels"]] == [8, 16, 32]
    found = [log2(level["optimum"]["lr"]) for level in base["levels"]]
    assert found == pytest.approx([-6, -6.5, -6.75], abs=0.02)
    assert log2(base["lr"]) == pytest.approx(-6.75, abs=0.02)


def test_the_mesh_at_least_halves_and_every_width_reports_its_cost(make_study, surface_runner):
    space = {"lr": LR, "init_std": {"low": 2.0**-8, "high": 2.0**-1}}
    study = make_study(space, tune={"strategy": "telescope", "trials": 36})
    base = tune(Settled(study, study.base.hps, "fp32", ""), surface_runner(wandering)).document()
    levels = base["levels"]
    for name in space:
        assert all(later["spacing"][name] <= first["spacing"][name] / 1.999 for first, later in pairwise(levels))
    assert [level["trials"] for level in levels] == [16, 9, 9]
    assert [level["flops"] for level in levels] == [16 * 8000, 9 * 16000, 9 * 32000]
    assert log2(base["init_std"]) == pytest.approx(-4, abs=0.05)


def test_finalists_run_at_the_last_width(make_study, surface_runner):
    study = make_study(tune={"strategy": "telescope", "telescope_widths": [8, 16]})
    runner = surface_runner(wandering)
    tune(Settled(study, study.base.hps, "fp32", ""), runner)
    assert {t.width for batch in runner.asked[-3:] for t in batch} == {16}
    assert {t.base_width for batch in runner.asked for t in batch} == {32}
