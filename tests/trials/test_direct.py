"""The search at a target itself, on surfaces with a known optimum there."""

from __future__ import annotations

from math import log2
from typing import Any

import pytest

from hptransfer.study.study import Cell, Study
from hptransfer.trials.direct import direct_places, planned_trials, search_directly
from hptransfer.trials.settled import Settled

TREE: dict[str, Any] = {
    "name": "direct",
    "data": {"source": "synthetic", "max_bytes": 10_000},
    "training": {"steps": 4, "batch_size": 2, "sequence_length": 8, "eval_tokens": 64},
    "base": {"width": 32, "lr": 2.0**-7, "weight_decay": 0.3},
    "grid": {"rules": ["sp", "supar"], "widths": [32], "densities": [1, 0.25], "seeds": 3},
    "tune": {"sampler": "grid", "trials": 8, "finalists": 2, "finalist_seeds": 2,
             "space": {"lr": {"low": 2.0**-10, "high": 2.0**-3}}},
    "direct": {"rules": ["supar"], "lr_multiples": [0.25, 0.5, 1, 2, 4]},
}  # fmt: skip


def settled(**changes: Any) -> Settled:
    study = Study.model_validate(TREE | changes)
    return Settled(study, study.base.hps, "fp32", "d")


def surface(trial: Any) -> float:
    """The optimum lies at 2^-7 where dense and two octaves higher at a quarter."""
    best = -7 - log2(trial.density)
    return 2 + 0.05 * (log2(trial.base.lr) - best) ** 2 + 0.001 * (trial.seed % 1000)


def test_every_chosen_series_is_searched_in_every_cell() -> None:
    places = [(series.name, cell) for series, cell in direct_places(settled())]
    assert places == [("supar", Cell(32, 1.0, 2)), ("supar", Cell(32, 0.25, 2))]
    assert len(direct_places(settled(direct={}))) == 4
    assert direct_places(settled(direct=None)) == []


def test_each_cell_finds_its_own_optimum_at_the_proxys_number_of_trials(surface_runner) -> None:
    runner = surface_runner(surface)
    dense, sparse = search_directly(settled(), runner)
    assert (log2(dense.hps["lr"]), log2(sparse.hps["lr"])) == (pytest.approx(-7, abs=0.1), pytest.approx(-5, abs=0.1))
    assert dense.hps["weight_decay"] == 0.3
    assert dense.trials == sparse.trials == planned_trials(settled())[0] == 8 + 2 * 2
    assert {(t.width, t.density, t.rule) for batch in runner.asked[:4] for t in batch} == {(32, 1.0, "supar")}


def test_its_winner_runs_over_a_line_of_lrs_and_the_transferred_hps_as_they_are(surface_runner) -> None:
    runner = surface_runner(surface)
    found = search_directly(settled(), runner)
    trials = {trial.id: trial for batch in runner.asked for trial in batch}
    for cell in found:
        line = [trials[i] for i in cell.line]
        assert {round(t.base.lr / cell.hps["lr"], 6) for t in line} == {0.25, 0.5, 1, 2, 4}
        assert {t.seed for t in line} == {0, 1, 2}
        there = [trials[i] for i in cell.transferred]
        assert [(t.base.lr, t.seed, t.density) for t in there] == [(2.0**-7, seed, cell.density) for seed in (0, 1, 2)]
    assert planned_trials(settled())[1] == (5 + 1) * 3


def test_its_search_shares_no_seed_with_the_comparison(surface_runner) -> None:
    runner = surface_runner(surface)
    search_directly(settled(direct={"seeds": [250_000]}), runner)
    seeds = {trial.seed for batch in runner.asked[:-1] for trial in batch}
    assert min(seeds) == 300_000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tune": None}, "add a `tune` section"),
        ({"direct": {"rules": ["mup"]}}, "direct.rules names mup, which grid.rules does not run"),
        ({"direct": {"lr_multiples": [1, 2]}}, "at least 5"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settled(**changes)
