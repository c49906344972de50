"""Our AdamW and SGD equal torch's on one trial; with a leading axis they train each trial with its own LR."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hptransfer.specs import TrainingSpec
from hptransfer.training.optimizers import Hyper, adamw, sgd, step_numbers

LR, DECAY, EPS = 1e-2, 0.1, 1e-8


def hyper_at(step: int, lr: Tensor, beta1: float = 0.9, beta2: float = 0.95) -> Hyper:
    training = TrainingSpec(schedule="constant", warmup=0, beta1=beta1, beta2=beta2)
    factor, b1, b2, u1, u2, _ = (torch.tensor(x) for x in step_numbers(training, step))
    return Hyper(lr * factor, torch.tensor(DECAY), torch.tensor(EPS), b1, b2, u1, u2)


def gradients() -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(5, 3, generator=draw) for _ in range(20)]


def test_adamw_equals_torchs_over_twenty_steps() -> None:
    theirs = torch.ones(5, 3, requires_grad=True)
    optimizer = torch.optim.AdamW([theirs], lr=LR, betas=(0.9, 0.95), eps=EPS, weight_decay=DECAY)
    ours, momenta = torch.ones(5, 3), (torch.zeros(5, 3), torch.zeros(5, 3))
    for step, gradient in enumerate(gradients()):
        theirs.grad = gradient
        optimizer.step()
        ours, *moments = adamw(ours, gradient, momenta, hyper_at(step, torch.tensor(LR)))
        momenta = tuple(moments)
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=0)


def test_sgd_equals_torchs_with_momentum_over_twenty_steps() -> None:
    theirs = torch.ones(5, 3, requires_grad=True)
    optimizer = torch.optim.SGD([theirs], lr=LR, momentum=0.9, weight_decay=DECAY)
    ours, momenta = torch.ones(5, 3), (torch.zeros(5, 3),)
    for gradient in gradients():
        theirs.grad = gradient
        optimizer.step()
        plain = Hyper(*(torch.tensor(x) for x in (LR, DECAY, 0.0, 0.9, 0.0, 1.0, 1.0)))
        ours, *moments = sgd(ours, gradient, momenta, plain)
        momenta = tuple(moments)
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=0)


def test_a_vector_of_lrs_is_each_trial_by_itself() -> None:
    lrs = torch.tensor([1e-3, 1e-1]).view(2, 1, 1)
    gradient = gradients()[0]
    state = (torch.zeros(2, 5, 3), torch.zeros(2, 5, 3))
    together, *_ = adamw(torch.ones(2, 5, 3), gradient.expand(2, 5, 3), state, hyper_at(0, lrs))
    for i, lr in enumerate((1e-3, 1e-1)):
        zeros = (torch.zeros(5, 3), torch.zeros(5, 3))
        alone, *_ = adamw(torch.ones(5, 3), gradient, zeros, hyper_at(0, torch.tensor(lr)))
        assert torch.equal(together[i], alone)


def test_no_clip_is_an_infinite_one() -> None:
    assert step_numbers(TrainingSpec(clip=0), 0)[-1] == float("inf")
    assert step_numbers(TrainingSpec(clip=0.5), 0)[-1] == 0.5


@pytest.mark.parametrize(("step", "first", "second"), [(0, 1 / 0.1, 0.05**-0.5), (1, 1 / 0.19, 0.0975**-0.5)])
def test_bias_corrections_by_hand(step: int, first: float, second: float) -> None:
    _, _, _, unbias1, unbias2, _ = step_numbers(TrainingSpec(beta1=0.9, beta2=0.95), step)
    assert (unbias1, unbias2) == pytest.approx((first, second))
