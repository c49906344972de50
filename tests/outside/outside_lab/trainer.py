"""A trainer that is a plain function: a network learns a random teacher. Without a version its source speaks for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hptransfer.study.trial import Trial


def examples(key: int, count: int) -> tuple[Tensor, Tensor]:
    """Inputs and what the teacher says of them."""
    x = torch.randn(count, 8, generator=torch.Generator().manual_seed(key))
    return x, torch.sin(x.sum(1, keepdim=True))


def train(trial: Trial, report: Callable[..., None]) -> float:
    """Train, report twice on the way, and return the held-out loss."""
    torch.manual_seed(trial.seed)
    model = nn.Sequential(nn.Linear(8, trial.width), nn.Tanh(), nn.Linear(trial.width, 1))
    lr = trial.base.lr * (trial.base_width / trial.width if trial.rule == "mup" else 1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    x_held, y_held = examples(2**40, 64)
    for step in range(trial.training.steps):
        x, y = examples(trial.seed * 2**20 + step, trial.training.batch_size)
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % max(1, trial.training.steps // 2) == 0:
            held_out = float((model(x_held) - y_held).square().mean().detach())
            report(step + 1, held_out, train_loss=float(loss.detach()))
    return float((model(x_held) - y_held).square().mean().detach())
