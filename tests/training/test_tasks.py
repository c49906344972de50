"""The engine trains any task: nothing in it knows of tokens."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_trials import EAGER, outcome_of

from hptransfer.common.errors import InputError
from hptransfer.common.seams import TASKS
from hptransfer.scaling.parametrize import parametrize_target
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.study.trial import Trial
from hptransfer.tasks.base import loss_of
from hptransfer.training.ask_task import data_of
from hptransfer.training.build import target_of
from hptransfer.training.flops import cost_of
from hptransfer.training.packs import train_pack
from hptransfer.training.schedules import lr_factor

pytestmark = pytest.mark.usefixtures("no_programs_left")


def trial_of(task: str, lr: float = 2.0**-6, **changes: Any) -> Trial:
    roles = {"inner.weight": "embedding", "readout.weight": "readout"}
    return Trial(
        task=f"users_tasks:{task}",
        data=DataSpec(options={"features": 6}),
        model=ModelSpec(factory=f"users_tasks:{changes.pop('model', 'Net')}", roles=roles),
        training=TrainingSpec(steps=20, batch_size=8, precision="fp32"),
        base=BaseHPs(lr=lr, init_std=0.3),
        **{"base_width": 16, "width": 32, "density": 0.5, **changes},
    )


def by_hand(trial: Trial, held_out: list[Any] | None = None) -> float:
    made, data, t = parametrize_target(target_of(trial), trial.seed), data_of(trial), trial.training
    task = TASKS.get(trial.task)
    loss = loss_of(task)
    optimizer = torch.optim.AdamW(made.param_groups, betas=(t.beta1, t.beta2))
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step in range(t.steps):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * lr_factor(t.schedule, step, t.steps, t.warmup)
        optimizer.zero_grad()
        loss(made.model, task.batch(data, trial.data_seed, step, t)).backward()
        torch.nn.utils.clip_grad_norm_(made.model.parameters(), t.clip)
        optimizer.step()
    with torch.no_grad():
        return float(torch.stack([loss(made.model, b) for b in held_out or task.held_out(data, t)]).mean())


@pytest.mark.parametrize("task", ["Sorting", "Fitting"])
@pytest.mark.parametrize(
    "settings",
    [EAGER, replace(EAGER, stack=2), replace(EAGER, micro_batches=4), replace(EAGER, products="sparse")],
    ids=["alone", "stacked", "micro-batches", "non-zeros"],
)
def test_a_task_of_ones_own_is_the_run_one_would_write_by_hand(task: str, settings: Any) -> None:
    trials = [trial_of(task), trial_of(task, seed=1)]
    for trial, outcome in zip(trials, train_pack(trials, settings), strict=True):
        assert outcome.loss == pytest.approx(by_hand(trial), abs=1e-5)
        assert outcome.products == ("sparse:1/1" if settings.products == "sparse" else "dense")
        assert outcome.loss < outcome.curve[0].train_loss


def test_what_a_step_consumes_is_counted_as_the_task_counts_it() -> None:
    cost = cost_of(trial_of("Sorting", density=1.0))
    assert cost.tokens == 20 * 8
    assert cost.flops_dense == 3 * 2 * (32 * 32 + 32 * 3) * 20 * 8


def test_divergence_is_measured_by_chance_or_by_the_first_loss_alone() -> None:
    for task in ("Sorting", "Fitting"):
        outcome = outcome_of(trial_of(task, lr=1e5))
        assert outcome.status == "diverged"
        assert math.isnan(outcome.loss)


def test_an_output_that_the_loss_cannot_take_is_refused_while_the_step_is_built() -> None:
    with pytest.raises(InputError, match=r"wrong shape.*\(8, 4\)"):
        outcome_of(trial_of("Sorting", model="Wide"))


def test_other_data_than_planned_is_refused() -> None:
    with pytest.raises(InputError, match=r"other data; found 'sorting-6'; allowed: sorting-7"):
        outcome_of(trial_of("Sorting", data_id="sorting-7"))


@pytest.mark.parametrize("settings", [EAGER, replace(EAGER, micro_batches=2)], ids=["whole", "micro-batches"])
def test_every_held_out_example_counts_alike_however_large_its_batch(settings: Any) -> None:
    trial = trial_of("Uneven")
    (outcome,) = train_pack([trial], settings)
    batches = TASKS.get(trial.task).held_out(data_of(trial), trial.training)
    together = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    assert len(together["label"]) == 8 + 4
    assert outcome.loss == pytest.approx(by_hand(trial, [together]), abs=1e-5)
    assert outcome.loss != pytest.approx(by_hand(trial, batches), abs=1e-4)  # a mean of means is another number


def test_a_task_whose_loss_is_no_number_is_refused_by_its_file() -> None:
    with pytest.raises(InputError, match=r"Separate, from .*users_tasks\.py, .*`loss` gives a scalar.*found \(8,\)"):
        outcome_of(trial_of("Separate"))
