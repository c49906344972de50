"""An optimizer may take some roles and leave the rest to another; each tensor is updated by its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_trials import EAGER, outcome_of, small_trial

from hptransfer.common.errors import InputError
from hptransfer.scaling.parametrize import parametrize_target
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import data_of
from hptransfer.training.build import table_of, target_of
from hptransfer.training.flops import cost_of
from hptransfer.training.optimizers.parts import part_for, parts_of
from hptransfer.training.program_cache import program_for
from hptransfer.training.schedules import lr_factor
from hptransfer.training.step_numbers import step_numbers

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("no_programs_left")


def theirs(name: str, **changes: Any) -> Trial:
    return small_trial(training={"optimizer": f"users_optimizers:{name}"}, **changes)


def by_hand(trial: Trial) -> float:
    """A normed step for hidden matrices, torch's AdamW for the rest, in one Python loop."""
    made, corpus, t = parametrize_target(target_of(trial), trial.seed), data_of(trial), trial.training
    rows = {row.name: row for row in made.table}
    hidden = {name: torch.zeros(row.shape) for name, row in rows.items() if row.role in ("hidden", "residual")}
    matrices = [made.model.get_parameter(name) for name in hidden]
    groups = [
        {"params": [p], "lr": rows[n].lr, "weight_decay": rows[n].weight_decay, "eps": rows[n].eps}
        for n, p in made.model.named_parameters()
        if n not in hidden
    ]
    optimizer = torch.optim.AdamW(groups, betas=(t.beta1, t.beta2))
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step in range(t.steps):
        factor = lr_factor(t.schedule, step, t.steps, t.warmup)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        made.model.zero_grad()
        batch = corpus.batch(trial.data_seed, step, t.batch_size, t.sequence_length)
        F.cross_entropy(made.model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(made.model.parameters(), t.clip)
        optimizer.step()
        with torch.no_grad():
            for (name, buffer), matrix in zip(hidden.items(), matrices, strict=True):
                buffer.mul_(t.momentum).add_(matrix.grad)
                matrix -= rows[name].lr * factor * buffer / (buffer.norm() + 1e-8)
    with torch.no_grad():
        batches = corpus.validation_batches(t.eval_tokens, t.batch_size, t.sequence_length)
        losses = [F.cross_entropy(made.model(b[:, :-1]).flatten(0, 1), b[:, 1:].flatten()) for b in batches]
        return float(torch.stack(losses).mean())


@pytest.mark.parametrize("settings", [EAGER, replace(EAGER, stack=2), replace(EAGER, products="sparse")])
def test_a_mixed_trial_is_the_run_one_would_write_by_hand(settings) -> None:
    trial = theirs("Normed", lr=2.0**-6)
    outcome = outcome_of(trial, settings)
    assert outcome.loss == pytest.approx(by_hand(trial), abs=1e-5)
    assert outcome.products == "dense"  # a whole matrix is never held as its non-zeros
    assert abs(outcome.loss - outcome_of(small_trial(2.0**-6)).loss) > 1e-3


def test_each_sheet_keeps_the_moments_of_its_optimizer() -> None:
    trial = theirs("Normed", depth=1)
    program = program_for(trial, EAGER, CPU, 1)
    whole = [i for i, place in enumerate(program.layout.optimizers) if place == 0]
    assert len(whole) == sum(row.role in ("hidden", "residual") for row in table_of(trial)) == 6
    assert {len(moments) for i, moments in enumerate(program.momenta) if i in whole} == {1}
    assert {len(moments) for i, moments in enumerate(program.momenta) if i not in whole} == {2}


def test_the_estimated_memory_counts_each_tensor_s_own_moments() -> None:
    mixed, plain = theirs("Normed"), small_trial()
    hidden = 2 * 12 * 32 * 32
    assert cost_of(plain).state_bytes - cost_of(mixed).state_bytes == 4 * hidden


def test_a_zero_of_the_mask_stays_zero_whatever_the_update_does_there() -> None:
    trial = theirs("Shifting")
    program = program_for(trial, EAGER, CPU, 1)
    assert outcome_of(trial).status == "ok"
    masks = program.layout.mask_views([mask[0] for mask in program.masks])
    weight = program.layout.views([sheet[0] for sheet in program.sheets])["blocks.0.ffn.up.weight"]
    mask = masks["blocks.0.ffn.up.weight"]
    assert not mask.all()
    assert not weight[~mask].any()


def test_a_role_that_nobody_takes_is_refused_by_name() -> None:
    with pytest.raises(
        InputError, match=r"no optimizer takes tensors of the role 'embedding'.*users_optimizers:Lonely"
    ):
        outcome_of(theirs("Lonely"))


def test_parts_are_found_by_role() -> None:
    parts = parts_of("users_optimizers:Normed")
    assert [part.name for part in parts] == ["users_optimizers:Normed", "adamw"]
    assert [part_for(parts, role) for role in ("hidden", "residual", "readout", "vector")] == [0, 0, 1, 1]
    assert [part.name for part in parts_of("sgd")] == ["sgd"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [("Forgetful", "gives 2 tensors.*gave 1"), ("Shrinking", r"gives tensors of the parameter's shape .*it gave \(")],
)
@pytest.mark.parametrize("settings", [EAGER, replace(EAGER, stack=2)], ids=["alone", "stacked"])
def test_an_update_that_breaks_its_contract_is_named_with_its_file(name: str, rule: str, settings) -> None:
    with pytest.raises(InputError, match=r"(?s)`update` " + rule) as caught:
        outcome_of(theirs(name), settings)
    assert "users_optimizers.py" in str(caught.value)


def test_an_entry_whose_numbers_are_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"Uncounted, from .*`moments` is a whole number from 0; found 'two'"):
        parts_of("users_optimizers:Uncounted")
    with pytest.raises(InputError, match=r"Wordy, from .*`numbers` are numbers by name; found \{'momentum': 'much'\}"):
        step_numbers(theirs("Wordy").training, 0)
