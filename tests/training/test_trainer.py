"""A plain function is a trainer: its losses become a curve, its end an outcome, and its faults are named."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from small_trials import EAGER, small_trial

from hptransfer.common.errors import InputError
from hptransfer.common.seams import TRAINERS
from hptransfer.execute.pack import Pack
from hptransfer.execute.packing import packs_of
from hptransfer.execute.worker import run_pack
from hptransfer.study.pieces import ModelSpec
from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.packs import Packs
from hptransfer.training.trainer import as_trainer


def theirs(name: str, lr: float = 2.0**-6, **changes: Any) -> Trial:
    return small_trial(lr, trainer=f"users_trainers:{name}", **changes)


def outcome_of(trial: Trial, prune: Any = None) -> Outcome:
    (outcome,) = TRAINERS.get(trial.trainer).train([trial], EAGER, prune)
    return outcome


def test_a_function_trains_from_pack_to_outcome() -> None:
    report = run_pack(Pack("grid", (theirs("bowl"),)), EAGER)
    assert report.failure is None
    (outcome,) = report.outcomes
    assert (outcome.trial_id, outcome.status, outcome.loss) == (theirs("bowl").id, "ok", 4.0)
    points = [(p.step, p.validation_loss, p.train_loss) for p in outcome.curve]
    assert points[0] == (2, 4.5, 5.0)
    assert points[-1] == (12, 4 + 1 / 12, 4 + 2 / 12)
    assert outcome.train_loss == 4 + 2 / 12
    assert (outcome.tokens, outcome.products, outcome.device) == (12 * 4 * 16, "dense", "cpu")
    assert outcome.wall_s > 0


def test_what_a_function_cannot_know_is_zero() -> None:
    outcome = outcome_of(theirs("bowl", model=ModelSpec(factory="no_such_module:build")))
    assert (outcome.params, outcome.flops_dense, outcome.tokens) == (0, 0.0, 0)
    assert outcome.loss == 4.0


def test_the_pruner_is_asked_at_every_report_and_ends_the_function() -> None:
    asked: list[int] = []

    def prune(trial: Trial, step: int, loss: float) -> bool:
        asked.append(step)
        return step == 6

    outcome = outcome_of(theirs("bowl"), prune)
    assert asked == [2, 4, 6]
    assert (outcome.status, outcome.diverged_step, outcome.curve[-1].step) == ("pruned", None, 6)
    assert math.isnan(outcome.loss)
    assert math.isnan(outcome.train_loss)


@pytest.mark.parametrize(("name", "step"), [("stubborn", 6), ("swallowing", 6), ("talkative", 6), ("infinite", 12)])
def test_a_loss_that_is_not_finite_is_a_divergence(name: str, step: int) -> None:
    outcome = outcome_of(theirs(name))
    assert (outcome.status, outcome.diverged_step) == ("diverged", step)
    assert math.isnan(outcome.loss)


def test_a_function_may_return_a_whole_outcome() -> None:
    outcome = outcome_of(theirs("whole_outcome"))
    assert (outcome.loss, outcome.params_nonzero, outcome.device) == (1.5, 5, "a cluster")


@pytest.mark.parametrize(
    ("name", "found"),
    [("wordy", "it returned 'it went well'"), ("anothers_outcome", r"it returned Outcome\(trial_id='0000")],
)
def test_a_function_that_breaks_its_contract_is_named_with_its_file(name: str, found: str) -> None:
    with pytest.raises(InputError, match=rf"users_trainers:{name}, from .*users_trainers\.py.*{found}"):
        outcome_of(theirs(name))
    failure = run_pack(Pack("grid", (theirs(name),)), EAGER).failure
    assert failure is not None
    assert "the function returns the final loss" in failure.text


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(InputError, match=r"users_trainers:number.*trainer is a function or has `train`; this is int"):
        TRAINERS.get("users_trainers:number")


def test_a_cost_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"users_trainers:Priceless, from .*`cost` gives a `TrialCost`; found None"):
        packs_of([theirs("Priceless")], "grid")


def test_a_trainer_and_a_class_are_taken_as_they_are() -> None:
    packs = Packs()
    assert as_trainer(packs, "own") is packs
    assert as_trainer(Packs, "own") is Packs


def test_trials_of_a_function_ride_alone_and_those_of_the_engine_together() -> None:
    alone = [theirs("bowl", seed=seed) for seed in range(4)]
    together = [small_trial(seed=seed) for seed in range(4)]
    assert [len(pack.trials) for pack in packs_of(alone, "grid")] == [1, 1, 1, 1]
    assert [len(pack.trials) for pack in packs_of(together, "grid")] == [2, 2]


def test_the_engine_is_a_trainer_too() -> None:
    outcome = outcome_of(small_trial())
    assert outcome.status == "ok"
    assert Packs().cost(small_trial()).params == outcome.params
    assert Packs().resources(small_trial()).gpus is None


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("backwards", r"the steps of a curve rise; found \[8, 2, 12\]"),
        ("Foreign", "one `Outcome` for each trial it is given; found 'ffff"),
        ("Doubled", "one `Outcome` for each trial it is given; found '"),
        ("Unheard", "one of ok, diverged, pruned; found 'fine'"),
        ("Lossless", "a finite loss where it is ok, else NaN; this is ok; found nan"),
        ("Worded", "`params` of an outcome is a whole number; found None"),
        ("Halved", r"`params` of an outcome is a whole number; found 10\.5"),
        ("Partway", r"`diverged_step` of an outcome is a whole number or None; found 2\.5"),
        ("Listed", "consists of `CurvePoint`"),
    ],
)
def test_an_outcome_that_no_row_can_be_made_of_is_refused(name: str, rule: str) -> None:
    failure = run_pack(Pack("grid", (theirs(name, seed=0), theirs(name, seed=1))), EAGER).failure
    assert failure is not None
    assert failure.kind == "breach"
    assert re.search(rf"users_trainers:{name}, from .*users_trainers\.py, breaks.*{rule}", failure.text)


def test_a_step_told_again_is_told_once() -> None:
    assert [(p.step, p.validation_loss) for p in outcome_of(theirs("twice")).curve] == [(12, 1.0)]


def test_a_function_that_leaves_is_a_trial_that_failed() -> None:
    failure = run_pack(Pack("grid", (theirs("leaving"),)), EAGER).failure
    assert failure is not None
    assert (failure.kind, failure.text.splitlines()[-1]) == ("raised", "SystemExit: 0")
