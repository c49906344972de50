"""The search at a target itself, on surfaces with a known optimum there."""

from __future__ import annotations

from math import log2, nan
from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.study import Cell, Study
from hptransfer.trials.direct import direct_places, question_of, refuse_vain_direct, search_directly
from hptransfer.trials.grid import direct_size
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
    places = [(place.series.name, place.cell) for place in direct_places(settled())]
    assert places == [("supar", Cell(32, 1.0, 2)), ("supar", Cell(32, 0.25, 2))]
    assert len(direct_places(settled(direct={}))) == 4
    assert direct_places(settled(direct=None)) == []


def test_each_cell_finds_its_own_optimum_at_the_proxys_number_of_trials(surface_runner) -> None:
    runner = surface_runner(surface)
    dense, sparse = search_directly(settled(), runner)
    assert (log2(dense.hps["lr"]), log2(sparse.hps["lr"])) == (pytest.approx(-7, abs=0.1), pytest.approx(-5, abs=0.1))
    assert dense.hps["weight_decay"] == 0.3
    assert dense.trials == sparse.trials == 8 + 2 * 2
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
    assert direct_size(settled().study) == 2 * (8 + 2 * 2 + (5 + 1) * 3)


def test_its_search_shares_no_seed_with_the_comparison(surface_runner) -> None:
    runner = surface_runner(surface)
    search_directly(settled(direct={"seeds": [250_000]}), runner)
    seeds = {trial.seed for batch in runner.asked[:-1] for trial in batch}
    assert min(seeds) == 300_000


def test_a_cell_whose_search_finds_nothing_says_so_and_holds_up_no_other(surface_runner) -> None:
    runner = surface_runner(lambda trial: nan if trial.density < 1 else surface(trial))
    dense, sparse = search_directly(settled(), runner)
    assert (dense.failed, len(dense.line)) == ("", 5 * 3)
    assert "all 8 proxy trials diverged" in sparse.failed
    assert sparse.line == ()


def test_a_winner_at_the_end_of_its_range_is_told(surface_runner) -> None:
    narrow = TREE["tune"] | {"space": {"lr": {"low": 2.0**-12, "high": 2.0**-9}}}
    (dense, _) = search_directly(settled(tune=narrow), surface_runner(surface))
    assert "the best lr" in dense.warnings[0]
    assert "high end" in dense.warnings[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": TREE["grid"] | {"seeds": 4}},
        {"grid": TREE["grid"] | {"by_rule": {"supar": {"base.weight_decay": 0.5}}}},
        {"sparsity": {"distribution": "erk"}},
        {"direct": TREE["direct"] | {"lr_multiples": [0.25, 0.5, 1, 2, 8]}},
        {"tune": TREE["tune"] | {"trials": 9}},
    ],
    ids=["seeds", "by_rule", "sparsity", "line", "search"],
)
def test_whatever_changes_a_trial_makes_it_another_question(changes: dict[str, Any]) -> None:
    assert question_of(settled()) == question_of(settled(question="why?"))
    assert question_of(settled(**changes)) != question_of(settled())


def test_a_search_in_vain_under_a_variants_own_settings_is_refused() -> None:
    tune = TREE["tune"] | {"space": {"beta1": {"low": 0.5, "high": 0.9}}}
    variants = {"adam": {}, "plain": {"training.optimizer": "sgd"}}
    with pytest.raises(InputError, match="sgd has no beta1"):
        refuse_vain_direct(settled(tune=tune, grid=TREE["grid"] | {"variants": variants}))


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
