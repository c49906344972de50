"""One run of a pack: its curve, its pruning, and that an interrupted one is continued bit for bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_trials import EAGER, outcome_of, small_trial

from hptransfer.study.pieces import ModelSpec
from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.pack_run import curve_steps
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs

pytestmark = pytest.mark.usefixtures("no_programs_left")


def test_a_curve_is_logarithmic_with_a_full_tail() -> None:
    steps = curve_steps(1000)
    assert steps[:6] == [0, 1, 2, 3, 4, 5]
    assert 512 in steps
    assert steps[-16:] == list(range(984, 1000))
    assert len(steps) < 60
    assert curve_steps(1) == [0]


def test_pruning_is_asked_at_rungs_and_ends_the_trial() -> None:
    asked: list[tuple[int, float]] = []

    def prune(trial: Trial, step: int, loss: float) -> bool:
        asked.append((step, loss))
        return step == 10

    (outcome,) = train_pack([small_trial(training={"steps": 40})], EAGER, prune)
    assert [step for step, _ in asked] == [5, 10]
    assert outcome.status == "pruned"
    assert math.isnan(outcome.loss)
    assert outcome.curve[-1].step == 10
    assert {p.step: p.validation_loss for p in outcome.curve if not math.isnan(p.validation_loss)} == dict(asked)


def theirs(name: str, **changes: Any) -> Trial:
    return small_trial(model=ModelSpec(factory=f"users_models:{name}"), **changes)


def test_a_loss_that_starts_as_nan_is_an_outcome_with_its_cause() -> None:
    outcome = outcome_of(theirs("Nan"))
    assert (outcome.status, outcome.diverged_step) == ("diverged", 0)
    assert "the model itself yields a NaN" in outcome.note


def test_an_init_that_overflows_is_an_outcome_with_its_cause() -> None:
    outcome = outcome_of(small_trial(base={"init_std": 1e38}))
    assert (outcome.status, outcome.diverged_step) == ("diverged", 0)
    assert "init_std" in outcome.note


def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    saving = replace(EAGER, checkpoint_dir=str(tmp_path), checkpoint_every_s=0.0)
    trial = theirs("Dropping", training={"steps": 40})
    whole = outcome_of(trial)

    def interrupt(trial: Trial, step: int, loss: float) -> bool:
        if step == 20:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        list(train_pack([trial], saving, interrupt))
    assert [p.name for p in tmp_path.iterdir()] == [f"{trial.id}.safetensors"]
    forget_programs()
    torch.manual_seed(12345)
    resumed = outcome_of(trial, saving)
    assert resumed.loss == whole.loss
    assert trimmed(resumed) == trimmed(whole)
    assert list(tmp_path.iterdir()) == []


def trimmed(outcome: Outcome) -> list[tuple[int, float]]:
    return [(p.step, p.train_loss) for p in outcome.curve]
