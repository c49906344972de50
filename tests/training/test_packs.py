"""What `train_pack` promises: a trial's numbers are its own, divergence is an outcome, and faults are named."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_trials import EAGER, outcome_of, small_trial
from torch import nn

from hptransfer.common.errors import InputError, OutOfMemoryError, WorkError
from hptransfer.scaling.parametrize import parametrize_target
from hptransfer.study.pieces import DataSpec, ModelSpec
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import data_of
from hptransfer.training.build import target_of
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs
from hptransfer.training.schedules import lr_factor

STACKED = replace(EAGER, stack=4)


pytestmark = pytest.mark.usefixtures("no_programs_left")


def by_hand(trial: Trial) -> float:
    """The same run as anyone would write it: an ordinary module, torch's AdamW, one Python loop."""
    made, corpus, t = parametrize_target(target_of(trial), trial.seed), data_of(trial), trial.training
    optimizer = torch.optim.AdamW(made.param_groups, betas=(t.beta1, t.beta2))
    peaks = [group["lr"] for group in optimizer.param_groups]

    def loss_of(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())

    for step in range(t.steps):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * lr_factor(t.schedule, step, t.steps, t.warmup)
        optimizer.zero_grad()
        loss_of(made.model, corpus.batch(trial.data_seed, step, t.batch_size, t.sequence_length)).backward()
        torch.nn.utils.clip_grad_norm_(made.model.parameters(), t.clip)
        optimizer.step()
    made.model.eval()
    with torch.no_grad():
        batches = corpus.validation_batches(t.eval_tokens, t.batch_size, t.sequence_length)
        return float(torch.stack([loss_of(made.model, b) for b in batches]).mean())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rule": "completep", "base": {"alpha_input": 3.0, "alpha_output": 0.5}, "depth": 3},
        {
            "rule": "completep_half",
            "model": ModelSpec(options={"head_size": 8, "bias": True, "qk_norm": True}),
            "depth": 4,
        },
        {"rule": "mup", "model": ModelSpec(options={"head_size": 8, "tied": True, "bias": True})},
        {"training": {"clip": 0.1, "decay": "coupled", "schedule": "cosine"}},
        {"base": {"lr_embedding": 4.0, "lr_readout": 0.5, "lr_vector": 2.0}},
    ],
    ids=["supar", "completep-multipliers", "half-biases-qk-norm", "tied-biases", "clip-coupled-cosine", "role-lrs"],
)
def test_a_trial_is_the_run_one_would_write_by_hand(changes: dict[str, Any]) -> None:
    trial = small_trial(**changes)
    assert outcome_of(trial).loss == pytest.approx(by_hand(trial), abs=1e-5)


def test_a_pack_of_one_equals_the_same_trial_in_any_pack() -> None:
    trials = [small_trial(2.0**-9), small_trial(2.0**-7, seed=1), small_trial(2.0**-8, rule="mup")]
    alone = [outcome_of(t) for t in trials]
    together = list(train_pack(trials, STACKED))
    one_by_one = list(train_pack(trials, EAGER))
    assert [o.trial_id for o in together] == [t.id for t in trials]
    for a, b, c in zip(alone, together, one_by_one, strict=True):
        assert abs(a.loss - b.loss) <= 1e-5
        assert a.loss == c.loss
        assert [p.step for p in a.curve] == [p.step for p in b.curve]


def test_a_neighbour_that_diverges_changes_nothing_and_its_step_is_told() -> None:
    trial = small_trial(2.0**-8)
    exploding = small_trial(1e6)
    broken, fine = list(train_pack([exploding, trial], STACKED))
    calm, _ = list(train_pack([trial, small_trial(2.0**-9)], STACKED))
    assert fine.status == "ok"
    assert fine.loss == calm.loss
    assert broken.status == "diverged"
    assert broken.diverged_step == outcome_of(exploding).diverged_step == 2
    assert math.isnan(broken.loss)
    assert broken.curve[-1].step == 2


def test_the_same_trial_twice_is_the_same_bit_for_bit() -> None:
    first = outcome_of(small_trial())
    forget_programs()
    second = outcome_of(small_trial())
    assert first.loss == second.loss
    assert [p.train_loss for p in first.curve] == [p.train_loss for p in second.curve]


def test_trials_that_differ_in_lr_alone_see_the_same_start() -> None:
    slow, fast = outcome_of(small_trial(2.0**-12)), outcome_of(small_trial(2.0**-6))
    assert slow.curve[0].train_loss == fast.curve[0].train_loss
    assert slow.loss != fast.loss


def test_training_lowers_the_loss_and_the_outcome_counts_the_work() -> None:
    outcome = outcome_of(small_trial(training={"steps": 60}))
    assert outcome.status == "ok"
    assert outcome.loss < outcome.curve[0].train_loss - 0.1
    assert outcome.curve[-1].validation_loss == outcome.loss
    assert (outcome.tokens, outcome.device, outcome.products) == (60 * 4 * 16, "cpu", "dense")
    assert 0 < outcome.params_nonzero < outcome.params
    assert outcome.wall_s > 0
    assert outcome.peak_memory_bytes > 0


def test_bf16_comes_close_to_fp32() -> None:
    trials = [small_trial(training={"precision": p, "steps": 40}, seed=1) for p in ("fp32", "bf16")]
    exact, rough = (outcome_of(t).loss for t in trials)
    assert exact != rough
    assert rough == pytest.approx(exact, abs=5e-3)


def test_sgd_trains() -> None:
    outcome = outcome_of(small_trial(0.1, training={"optimizer": "sgd", "steps": 40}))
    assert outcome.loss < outcome.curve[0].train_loss - 0.05


# --- users' models


def theirs(name: str, **changes: Any) -> Trial:
    return small_trial(model=ModelSpec(factory=f"users_models:{name}"), **changes)


@pytest.mark.parametrize("name", ["Plain", "WithBuffer"])
def test_a_users_model_is_the_run_one_would_write_by_hand(name: str) -> None:
    trial = theirs(name, rule="mup")
    assert outcome_of(trial).loss == pytest.approx(by_hand(trial), abs=1e-5)
    stacked, _ = train_pack([trial, theirs(name, seed=1)], STACKED)
    assert stacked.loss == pytest.approx(outcome_of(trial).loss, abs=1e-5)


def test_a_model_that_vmap_cannot_take_is_trained_one_at_a_time_and_says_so() -> None:
    trials = [theirs("Branching"), theirs("Branching", seed=1)]
    first, second = train_pack(trials, STACKED)
    assert "trained one at a time" in first.note
    assert (first.loss, second.loss) == tuple(outcome_of(t).loss for t in trials)


def test_torchs_lstm_for_which_vmap_has_no_rule_without_gradients_is_scored_slot_by_slot() -> None:
    def recurrent(seed: int) -> Trial:
        model = ModelSpec(factory="own_inits:recurrent")
        return small_trial(model=model, data=DataSpec(source="synthetic", vocab_size=16), seed=seed)

    trials = [recurrent(0), recurrent(1)]
    stacked = list(train_pack(trials, replace(EAGER, stack=2)))
    assert [o.loss for o in stacked] == pytest.approx([outcome_of(t).loss for t in trials], abs=1e-5)


def test_dropout_is_drawn_from_the_trials_seed_and_off_when_scored() -> None:
    first, again, other = (outcome_of(theirs("Dropping", seed=s)) for s in (0, 0, 1))
    assert first.loss == again.loss
    assert first.loss != other.loss


# --- faults


def test_a_model_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"wrong shape.*WrongShape gave \(4, 64\).*\(4, 16, 64\)"):
        outcome_of(theirs("WrongShape"))


def test_a_sequence_longer_than_the_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_bytes(b"to be or not to be " * 60)
    data = DataSpec(source="text", path=str(tmp_path / "short.txt"))
    trial = small_trial(training={"sequence_length": 1200}).model_copy(update={"data": data})
    with pytest.raises(InputError, match=r"training\.sequence_length"):
        outcome_of(trial)


def test_running_out_of_memory_is_its_own_error() -> None:
    with pytest.raises(OutOfMemoryError, match="out of memory"):
        outcome_of(small_trial(width=2**20, training={"batch_size": 1}, model=ModelSpec(factory="mlp")))


def test_a_rule_that_has_changed_since_planning_is_refused() -> None:
    with pytest.raises(WorkError, match="not the one trial"):
        outcome_of(small_trial(rule_digest="other"))


# --- interruption


def test_a_model_with_dropout_is_never_stacked() -> None:
    """In a stack its random numbers would depend on its neighbours."""
    trials = [theirs("Dropping", seed=s) for s in (0, 1)]
    stacked = list(train_pack(trials, replace(EAGER, stack=2)))
    assert [o.loss for o in stacked] == [outcome_of(t).loss for t in trials]
    assert all("one at a time" in o.note for o in stacked)
