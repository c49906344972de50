"""A trial whose masks move is the run one would write by hand, in a stack, in micro-batches and after a resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_trials import EAGER, outcome_of, small_trial
from torch import Tensor

from hptransfer.common.errors import InputError
from hptransfer.common.seams import METHODS
from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.scaling.parametrize import parametrize_target
from hptransfer.sparsity.masks import generator
from hptransfer.study.pieces import SparsitySpec
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import data_of
from hptransfer.training.build import target_of
from hptransfer.training.flops import cost_of
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs
from hptransfer.training.schedules import lr_factor
from hptransfer.training.settings import WorkerSettings

STACKED = replace(EAGER, stack=4)


pytestmark = pytest.mark.usefixtures("no_programs_left")


def moving(name: str = "ByGradient", lr: float = 2.0**-7, **changes: Any) -> Trial:
    sparsity = SparsitySpec(method=f"users_methods:{name}")
    return small_trial(lr, sparsity=sparsity, training={"steps": 30}, density=0.25, **changes)


def by_hand(trial: Trial) -> float:
    """An ordinary module, torch's AdamW, and every four steps new masks, in one Python loop."""
    made, corpus, t = parametrize_target(target_of(trial), trial.seed), data_of(trial), trial.training
    method, masks = METHODS.get(trial.sparsity.method), masked_parameters(made.model)
    optimizer = torch.optim.AdamW(made.param_groups, betas=(t.beta1, t.beta2))
    peaks = [group["lr"] for group in optimizer.param_groups]

    def gradients(batch: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(made.model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()

    for step in range(t.steps):
        batch = corpus.batch(trial.data_seed, step, t.batch_size, t.sequence_length)
        if step and step % 4 == 0:
            before = {name: mask.clone() for name, mask in masks.items()}
            for mask in masks.values():
                mask.fill_(True)  # so that the gradient is the dense one
            gradients(batch)
            for name, mask in masks.items():
                weight, draw = made.model.get_parameter(name), generator(trial.seed, name, f"mask after {step}")
                now = {"step": step, "draw": draw, "sparsity": trial.sparsity, "training": t}
                mask.copy_(method.next_mask(weight.detach(), before[name], weight.grad, **now))
                for tensor in (weight.data, optimizer.state[weight]["exp_avg"], optimizer.state[weight]["exp_avg_sq"]):
                    tensor *= mask
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * lr_factor(t.schedule, step, t.steps, t.warmup)
        gradients(batch)
        torch.nn.utils.clip_grad_norm_(made.model.parameters(), t.clip)
        optimizer.step()
    with torch.no_grad():
        batches = corpus.validation_batches(t.eval_tokens, t.batch_size, t.sequence_length)
        losses = [F.cross_entropy(made.model(b[:, :-1]).flatten(0, 1), b[:, 1:].flatten()) for b in batches]
        return float(torch.stack(losses).mean())


@pytest.mark.parametrize("method", ["PruneAndRegrow", "ByGradient"])
def test_a_trial_whose_masks_move_is_the_run_one_would_write_by_hand(method: str) -> None:
    trial = moving(method)
    outcome = outcome_of(trial)
    assert outcome.loss == pytest.approx(by_hand(trial), abs=1e-5)
    still = small_trial(2.0**-7, training={"steps": 30}, density=0.25)
    assert abs(outcome.loss - outcome_of(still).loss) > 1e-4


@pytest.mark.parametrize("settings", [STACKED, replace(EAGER, micro_batches=2), replace(EAGER, products="sparse")])
def test_stacked_cut_or_asked_for_non_zeros_it_comes_to_the_same(settings: WorkerSettings) -> None:
    trials = [moving(), moving(seed=1), moving(lr=1e6)]
    alone = [outcome_of(trial) for trial in trials]
    for a, b in zip(alone, train_pack(trials, settings), strict=True):
        assert (b.status, b.diverged_step, b.products) == (a.status, a.diverged_step, "dense")
        assert b.loss == pytest.approx(a.loss, abs=2e-5, nan_ok=True)


@pytest.mark.slow
def test_a_compiled_step_sees_the_new_masks(tmp_path: Path) -> None:
    compiled = replace(EAGER, compile="always", cache_dir=str(tmp_path))
    assert outcome_of(moving(), compiled).loss == pytest.approx(outcome_of(moving()).loss, abs=1e-5)


@pytest.mark.parametrize("step", [8, 15], ids=["just-before-a-move", "between-moves"])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    saving = replace(EAGER, checkpoint_dir=str(tmp_path), checkpoint_every_s=0.0)
    trial = moving(model=small_trial().model)
    whole = outcome_of(trial)
    calls = 0

    def killed(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step + 2:  # the example batch of the program is the first
            raise KeyboardInterrupt
        return draw(*args, **options)

    corpus = type(data_of(trial))
    draw = corpus.batch
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            list(train_pack([trial], saving))
    assert len(list(tmp_path.iterdir())) == 1
    forget_programs()
    resumed = outcome_of(trial, saving)
    assert resumed.loss == whole.loss
    assert [p.train_loss for p in resumed.curve] == [p.train_loss for p in whole.curve]


def test_a_method_that_breaks_its_count_is_named_with_its_file() -> None:
    with pytest.raises(InputError, match=r"Growing, from .*users_methods.*next_mask gives .* keeps 256 .* keeps 257"):
        outcome_of(moving("Growing"))
    with pytest.raises(InputError, match=r"Full, from .*users_methods.*first_mask gives .* keeps 256 .* keeps 1024"):
        outcome_of(moving("Full"))


def test_no_layer_of_a_moving_trial_is_counted_as_its_non_zeros() -> None:
    cost, still = cost_of(moving()), cost_of(small_trial(density=0.25))
    assert cost.state_sparse_bytes == cost.state_bytes == still.state_bytes > still.state_sparse_bytes
