"""SGD equals torch's over twenty steps, momentum and decay included."""

from __future__ import annotations

import torch

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.study.pieces import TrainingSpec

SGD = OPTIMIZERS.get("sgd")
TRAINING = TrainingSpec(momentum=0.9)


def test_it_equals_torchs_over_twenty_steps() -> None:
    draw = torch.Generator().manual_seed(1)
    theirs = torch.ones(5, 3, requires_grad=True)
    optimizer = SGD.torch_optimizer([{"params": [theirs], "lr": 1e-2, "weight_decay": 0.1}], TRAINING)
    ours, buffer = torch.ones(5, 3), torch.zeros(5, 3)
    now = {"lr": torch.tensor(1e-2), "decay": torch.tensor(0.1), "eps": torch.tensor(1e-8)}
    for step in range(20):
        theirs.grad = torch.randn(5, 3, generator=draw)
        optimizer.step()
        numbers = {name: torch.tensor(value) for name, value in SGD.numbers(TRAINING, step).items()}
        ours, buffer = SGD.update(ours, theirs.grad, (buffer,), now | numbers)
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=0)


def test_two_steps_by_hand() -> None:
    """Buffer 0.5 then 0.9 · 0.5 + 0.5, without decay; each moves the weight by LR times the buffer."""
    now = {name: torch.tensor(value) for name, value in {"lr": 0.1, "decay": 0.0, "momentum": 0.9}.items()}
    weight, buffer = SGD.update(torch.tensor(1.0), torch.tensor(0.5), (torch.tensor(0.0),), now)
    assert (round(float(weight), 6), float(buffer)) == (0.95, 0.5)
    weight, buffer = SGD.update(weight, torch.tensor(0.5), (buffer,), now)
    assert (round(float(weight), 6), round(float(buffer), 6)) == (0.855, 0.95)
