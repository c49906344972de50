"""AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, algorithm 2), equal to torch.optim.AdamW."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.optimizers.base import Moments

__all__ = ["AdamW"]


class AdamW:
    """Keeps the running means of the gradient and of its square."""

    table = "adamw"
    moments = 2

    def numbers(self, training: TrainingSpec, step: int) -> Mapping[str, float]:
        """The betas and what they unbias by: 1/(1 − β₁ᵗ) and 1/√(1 − β₂ᵗ)."""
        return {
            "beta1": training.beta1,
            "beta2": training.beta2,
            "unbias1": 1.0 / (1.0 - training.beta1 ** (step + 1)),
            "unbias2": 1.0 / math.sqrt(1.0 - training.beta2 ** (step + 1)),
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """New (parameter, m, v)."""
        m, v = moments
        m = m + (1 - now["beta1"]) * (gradient - m)
        v = v * now["beta2"] + (1 - now["beta2"]) * gradient * gradient
        direction = (m * now["unbias1"]) / (v.sqrt() * now["unbias2"] + now["eps"])
        return parameter * (1 - now["lr"] * now["decay"]) - now["lr"] * direction, m, v

    def torch_optimizer(self, groups: list[dict[str, Any]], training: TrainingSpec) -> torch.optim.Optimizer:
        """torch.optim.AdamW with the study's betas; LR, decay and ε are the groups' own."""
        return torch.optim.AdamW(groups, betas=(training.beta1, training.beta2))
