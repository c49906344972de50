"""AdamW equals torch's on one trial; with a leading axis it trains each trial with its own LR."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.study.pieces import TrainingSpec

LR, DECAY, EPS = 1e-2, 0.1, 1e-8
TRAINING = TrainingSpec(beta1=0.9, beta2=0.95)
ADAMW = OPTIMIZERS.get("adamw")


def now(step: int, lr: Tensor | None = None) -> dict[str, Tensor]:
    """What the engine hands to an update at this step."""
    own = {"lr": torch.tensor(LR) if lr is None else lr, "decay": torch.tensor(DECAY), "eps": torch.tensor(EPS)}
    return own | {key: torch.tensor(value) for key, value in ADAMW.numbers(TRAINING, step).items()}


def gradients() -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(5, 3, generator=draw) for _ in range(20)]


def test_it_equals_torchs_over_twenty_steps() -> None:
    theirs = torch.ones(5, 3, requires_grad=True)
    group = {"params": [theirs], "lr": LR, "weight_decay": DECAY}
    optimizer = ADAMW.torch_optimizer([group], TRAINING)
    ours, moments = torch.ones(5, 3), (torch.zeros(5, 3),) * ADAMW.moments
    for step, gradient in enumerate(gradients()):
        theirs.grad = gradient
        optimizer.step()
        ours, *rest = ADAMW.update(ours, gradient, moments, now(step))
        moments = tuple(rest)
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=0)


def test_a_vector_of_lrs_is_each_trial_by_itself() -> None:
    lrs = torch.tensor([1e-3, 1e-1]).view(2, 1, 1)
    gradient = gradients()[0]
    state = (torch.zeros(2, 5, 3), torch.zeros(2, 5, 3))
    together, *_ = ADAMW.update(torch.ones(2, 5, 3), gradient.expand(2, 5, 3), state, now(0, lrs))
    for i, lr in enumerate((1e-3, 1e-1)):
        zeros = (torch.zeros(5, 3), torch.zeros(5, 3))
        alone, *_ = ADAMW.update(torch.ones(5, 3), gradient, zeros, now(0, torch.tensor(lr)))
        assert torch.equal(together[i], alone)


@pytest.mark.parametrize(("step", "first", "second"), [(0, 1 / 0.1, 0.05**-0.5), (1, 1 / 0.19, 0.0975**-0.5)])
def test_adams_bias_corrections_by_hand(step: int, first: float, second: float) -> None:
    numbers = ADAMW.numbers(TRAINING, step)
    assert (numbers["unbias1"], numbers["unbias2"]) == pytest.approx((first, second))
