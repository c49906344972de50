"""Whole short trainings on the non-zeros come to the numbers of the masked dense ones, in far less memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DataSpec, SparsitySpec, TrainingSpec
from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.flops import cost_of
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs, program_for
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.sparse import swappable

SETTINGS = WorkerSettings(device="cpu", compile="never", products="dense")
SPARSE = replace(SETTINGS, products="sparse")


@pytest.fixture(autouse=True)
def programs_forgotten():
    yield
    forget_programs()


def a_trial(seed: int = 0, **changes) -> Trial:
    training = {"steps": 24, "batch_size": 4, "sequence_length": 32, "eval_tokens": 256, "precision": "fp32"}
    return Trial(
        data=DataSpec(source="synthetic"),
        training=TrainingSpec(**{**training, **changes.pop("training", {})}),
        base_width=32,
        base=BaseHPs(lr=2.0**-8),
        seed=seed,
        **{"width": 64, "density": 1 / 16, **changes},
    )


def train(trial: Trial, settings: WorkerSettings) -> Outcome:
    (outcome,) = train_pack([trial], settings)
    return outcome


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rule": "completep"},
        {"density": 1 / 128},
        {"training": {"optimizer": "sgd"}},
        {"sparsity": SparsitySpec(kind="2:4"), "density": 0.5},
    ],
    ids=["supar", "multipliers-on-branches", "few-per-row", "sgd", "2:4"],
)
def test_sparse_and_dense_trainings_come_to_the_same_loss(changes):
    trial = a_trial(**changes)
    dense, sparse = train(trial, SETTINGS), train(trial, SPARSE)
    assert (dense.products, sparse.products) == ("dense", "sparse:12/12")
    assert dense.trial_id == sparse.trial_id
    assert abs(dense.loss - sparse.loss) <= 1e-5
    for a, b in zip(dense.curve, sparse.curve, strict=True):
        assert abs(a.train_loss - b.train_loss) <= 1e-5


def test_training_moves_the_loss_far_more_than_the_tolerance():
    """Without this the test above would prove nothing."""
    outcome = train(a_trial(), SPARSE)
    assert outcome.curve[0].train_loss - outcome.loss > 0.05


def test_bf16_agrees_to_rounding():
    trial = a_trial(training={"precision": "bf16"})
    assert abs(train(trial, SETTINGS).loss - train(trial, SPARSE).loss) < 2e-3


def test_stacked_sparse_trials_have_masks_of_their_own():
    trials = [a_trial(seed) for seed in range(2)]
    alone = [train(t, SPARSE).loss for t in trials]
    together = [o.loss for o in train_pack(trials, replace(SPARSE, stack=2))]
    assert alone[0] != alone[1]
    assert together == pytest.approx(alone, abs=1e-5)


@pytest.mark.slow
def test_the_compiled_step_agrees_with_the_eager_one():
    trial = a_trial(training={"steps": 8}, depth=1)
    compiled = train(trial, replace(SPARSE, compile="always"))
    assert compiled.note == ""
    assert compiled.loss == pytest.approx(train(trial, SPARSE).loss, abs=1e-5)


def test_a_killed_sparse_trial_resumes_where_it_stood(tmp_path: Path):
    trial, settings = a_trial(), replace(SPARSE, checkpoint_dir=str(tmp_path), checkpoint_every_s=0.0)

    def killed(trial: Trial, step: int, loss: float) -> bool:
        if step >= trial.training.steps // 2:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        list(train_pack([trial], settings, prune=killed))
    assert len(list(tmp_path.iterdir())) == 1
    forget_programs()
    resumed, whole = train(trial, settings), train(trial, SPARSE)
    assert resumed.loss == whole.loss
    assert [p.train_loss for p in resumed.curve] == [p.train_loss for p in whole.curve]


def state_bytes(trial: Trial, settings: WorkerSettings) -> int:
    """Everything a program keeps between two steps: weights, momenta, masks, indices."""
    program = program_for(trial, settings, torch.device("cpu"), 1)
    index = sum(b.numel() * b.element_size() for n, b in program.buffers.items() if b.dtype == torch.int32)
    return program.bytes + index


def test_a_layer_at_992_percent_takes_a_twentieth_of_the_memory():
    """Weights and both momenta are 12 bytes a non-zero, the indices 12: 24/128 a weight against 13 dense."""
    trial = a_trial(width=256, density=1 / 128)
    hidden = 2 * 12 * 256**2
    others = 12 * (256 * (64 + 32 + 64) + 5 * 256)
    dense, sparse = state_bytes(trial, SETTINGS) - others, state_bytes(trial, SPARSE) - others
    assert dense >= 13 * hidden
    assert sparse < dense / 20


TOKENS = (((1, 2), torch.long),)


class ReadsItsWeight(nn.Module):
    """`inner` is called, `raw` only lends its weight."""

    def __init__(self, *, width: int, depth: int | None = None) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, width)
        self.inner, self.raw = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(self.inner(self.embed(tokens)), self.raw.weight)


class LeavesOneOut(ReadsItsWeight):
    def forward(self, tokens: Tensor) -> Tensor:
        return self.inner(self.embed(tokens))


class Tied(ReadsItsWeight):
    def __init__(self, *, width: int, depth: int | None = None) -> None:
        super().__init__(width=width)
        self.raw.weight = self.inner.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.raw(self.inner(self.embed(tokens)))


def test_only_layers_that_are_called_as_layers_are_swapped():
    names = ("inner.weight", "raw.weight")
    assert swappable(ReadsItsWeight, 32, 1, names, TOKENS) == frozenset()
    assert swappable(LeavesOneOut, 32, 1, names, TOKENS) == {"inner.weight"}
    assert swappable(Tied, 32, 1, names, TOKENS) == frozenset()


def test_the_estimated_memory_knows_layers_held_as_non_zeros():
    """24 d² weights: 17 bytes each dense, 28 a non-zero sparse."""
    cost = cost_of(a_trial(width=256, density=1 / 128))
    assert cost.state_bytes - cost.state_sparse_bytes == 24 * 256**2 * 17 - 24 * 256**2 // 128 * 28
