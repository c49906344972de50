"""SGD with heavy-ball momentum and decay in the gradient, equal to torch.optim.SGD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.optimizers.base import Moments

__all__ = ["SGD"]


class SGD:
    """Keeps the momentum buffer."""

    table = "sgd"
    moments = 1

    def numbers(self, training: TrainingSpec, step: int) -> Mapping[str, float]:
        """The momentum."""
        return {"momentum": training.momentum}

    def update(
        self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """New (parameter, buffer)."""
        (buffer,) = moments
        buffer = now["momentum"] * buffer + gradient + now["decay"] * parameter
        return parameter - now["lr"] * buffer, buffer

    def torch_optimizer(self, groups: list[dict[str, Any]], training: TrainingSpec) -> torch.optim.Optimizer:
        """torch.optim.SGD with the study's momentum; LR and decay are the groups' own."""
        return torch.optim.SGD(groups, momentum=training.momentum)
