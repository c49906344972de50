"""A loop of one's own over `parametrize` trains every model as a study's trial does: the same loss at every step and
the same held-out loss at the end."""

from __future__ import annotations

import warnings

import pytest
import torch

pytest.importorskip("transformers")

from zoo.entries import ENTRIES
from zoo.entry import BASE, BASE_WIDTH, Entry

from hptransfer.common.seams import TASKS
from hptransfer.scaling.parametrize import InitWarning, Parametrized, parametrize, set_lr
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.study.trial import Trial
from hptransfer.tasks.base import loss_of
from hptransfer.training.ask_task import batch_at, data_of, held_out_of
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs
from hptransfer.training.schedules import lr_factor
from hptransfer.training.settings import WorkerSettings

EAGER = WorkerSettings(device="cpu", compile="never", products="dense")
STEPS = 3
TRAINING = TrainingSpec(steps=STEPS, batch_size=4, sequence_length=8, eval_tokens=64, precision="fp32")


def trial_of(entry: Entry) -> Trial:
    """Twice as wide as the base and a quarter as dense."""
    return Trial(
        task=entry.task,
        model=ModelSpec(factory=entry.factory, roles=dict(entry.roles), queries=entry.queries),
        data=DataSpec(source="synthetic", vocab_size=64),
        training=TRAINING,
        base=BASE,
        base_width=BASE_WIDTH,
        width=2 * BASE_WIDTH,
        base_depth=1,
        depth=1,
        density=1 / 4,
        seed=1,
    )


def parametrized(entry: Entry) -> Parametrized:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InitWarning)
        return parametrize(
            entry.build,
            width=2 * BASE_WIDTH,
            base_width=BASE_WIDTH,
            depth=1,
            density=1 / 4,
            base=BASE,
            seed=1,
            roles=entry.roles,
            queries=entry.queries,
            sample=entry.sample,
        )


def by_hand(entry: Entry, trial: Trial) -> tuple[list[float], float]:
    """Plain torch; of ours only `parametrize`, `set_lr` and the schedule."""
    scaled, loss, data = parametrized(entry), loss_of(TASKS.get(entry.task)), data_of(trial)
    optimizer = torch.optim.AdamW(scaled.param_groups, betas=(0.9, 0.95))
    losses = []
    for step in range(STEPS):
        set_lr(optimizer, BASE.lr * lr_factor(TRAINING.schedule, step, STEPS, TRAINING.warmup))
        value = loss(scaled.model, batch_at(trial, data, trial.data_seed, step))
        value.backward()
        torch.nn.utils.clip_grad_norm_(scaled.model.parameters(), TRAINING.clip)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(value.detach()))
    scaled.model.eval()
    batches = held_out_of(trial, data)
    with torch.no_grad():
        return losses, sum(float(loss(scaled.model, batch)) for batch in batches) / len(batches)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_the_hand_loop_and_the_trial_have_the_same_losses(entry: Entry) -> None:
    trial = trial_of(entry)
    forget_programs()
    (outcome,) = train_pack([trial], EAGER)
    losses, held_out = by_hand(entry, trial)
    assert [point.train_loss for point in outcome.curve[:STEPS]] == pytest.approx(losses, rel=1e-4)
    assert outcome.loss == pytest.approx(held_out, rel=1e-4)
