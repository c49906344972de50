"""Lion (Chen et al. 2023): the sign of an interpolated momentum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.optimizers.base import Moments


class Lion:
    """Keeps the momentum. Its update has the size of Adam's, so the rules' Adam tables speak of it."""

    version = "1"
    table = "adamw"
    moments = 1

    def numbers(self, training: TrainingSpec, step: int) -> Mapping[str, float]:
        """The betas."""
        return {"beta1": training.beta1, "beta2": training.beta2}

    def update(
        self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """New (parameter, m)."""
        (m,) = moments
        direction = torch.sign(now["beta1"] * m + (1 - now["beta1"]) * gradient)
        m = now["beta2"] * m + (1 - now["beta2"]) * gradient
        return parameter * (1 - now["lr"] * now["decay"]) - now["lr"] * direction, m

    def torch_optimizer(self, groups: list[dict[str, Any]], training: TrainingSpec) -> torch.optim.Optimizer:
        """The same for a loop of one's own."""
        return LionLoop(groups, self, training)


class LionLoop(torch.optim.Optimizer):
    """Lion as torch has its optimizers."""

    def __init__(self, groups: list[dict[str, Any]], lion: Lion, training: TrainingSpec) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": 0.0})
        self.lion, self.training = lion, training

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            numbers = {"lr": group["lr"], "decay": group["weight_decay"], **self.lion.numbers(self.training, 0)}
            now = {name: torch.tensor(value) for name, value in numbers.items()}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    moments = (self.state[parameter].setdefault("m", torch.zeros_like(parameter)),)
                    new, self.state[parameter]["m"] = self.lion.update(parameter, parameter.grad, moments, now)
                    parameter.copy_(new)
