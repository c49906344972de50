"""Optuna's pruners, asked on the way: what they go by, and that packing changes nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from search_process import search

from hptransfer.execute.pruning import PastRun, Pruning
from hptransfer.store.store import Store
from hptransfer.study.trial import Trial

TRIAL = Trial(seed=1)


def pruning(name: str, losses: list[float]) -> Pruning:
    """Sixteen steps, asked at 2, 4 and 8; every past run held one loss all the way."""
    past = tuple(PastRun(rungs=((2, x), (4, x), (8, x)), told=x) for x in losses)
    return Pruning(pruner=name, steps=16, past=past, numbers={TRIAL.id: len(losses)})


def test_the_median_pruner_ends_what_is_worse_than_the_median_of_the_past() -> None:
    assert pruning("median", [1.0, 2.0, 3.0, 4.0, 5.0])(TRIAL, 2, 3.1) is True
    assert pruning("median", [1.0, 2.0, 3.0, 4.0, 5.0])(TRIAL, 2, 2.9) is False
    assert pruning("median", [1.0, 2.0, 3.0, 4.0])(TRIAL, 2, 9.0) is False  # fewer than five say nothing yet


def test_successive_halving_lets_the_better_half_go_on() -> None:
    losses = [1.0, 2.0, 3.0, 4.0]
    assert pruning("successive_halving", losses)(TRIAL, 2, 1.5) is False
    assert pruning("successive_halving", losses)(TRIAL, 2, 4.5) is True


@pytest.mark.parametrize("name", ["median", "hyperband", "successive_halving"])
def test_the_answer_survives_the_way_to_a_worker(name: str) -> None:
    asked = pruning(name, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    copies = [pickle.loads(pickle.dumps(asked)), Pruning.model_validate_json(asked.model_dump_json())]
    for step, loss in ((2, 1.4), (4, 2.2), (8, 6.5)):
        assert {asked(TRIAL, step, loss)} == {copy(TRIAL, step, loss) for copy in copies}


def test_a_trial_that_is_run_again_starts_anew() -> None:
    asked = pruning("median", [1.0, 2.0, 3.0, 4.0, 5.0])
    assert asked(TRIAL, 2, 0.5) is False
    assert asked(TRIAL, 4, 4.0) is False  # its best so far, 0.5, still counts
    assert asked(TRIAL, 2, 4.0) is True


def test_a_trial_outside_the_search_is_never_pruned() -> None:
    assert pruning("median", [1.0] * 5)(Trial(seed=2), 2, 9.0) is False


@pytest.mark.parametrize("pruner", ["median", "hyperband", "successive_halving"])
def test_a_real_search_prunes_and_packing_changes_nothing(pruner: str, tmp_path: Path) -> None:
    base = search(str(tmp_path / "one"), "tpe", pruner, most=1)
    assert base["pruned"] > 0
    assert search(str(tmp_path / "four"), "tpe", pruner, most=4) == base
    pruned = Store.open(str(tmp_path / "one")).read().query("status == 'pruned'")
    assert len(pruned) == base["pruned"]
    assert pruned["loss"].isna().all()
    # A pruned run is charged for the steps it trained, at most half of them.
    assert base["flops"] <= pruned["flops_dense"].iloc[0] * (base["trials"] - base["pruned"] / 2)
