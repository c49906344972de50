"""Optimizers as users write them: one that leaves roles to AdamW, and some that break their contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Normed:
    """Momentum of a whole matrix, divided by its norm; for hidden matrices, the rest is AdamW's."""

    table = "adamw"
    moments = 1
    roles = ("hidden", "residual")
    others = "adamw"
    whole = True

    def numbers(self, training: Any, step: int) -> Mapping[str, float]:
        return {"momentum": training.momentum}

    def update(self, parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], now: Mapping[str, Tensor]):
        buffer = now["momentum"] * moments[0] + gradient
        return parameter - now["lr"] * buffer / (buffer.norm() + 1e-8), buffer

    def torch_optimizer(self, groups: list[dict[str, Any]], training: Any) -> torch.optim.Optimizer:
        raise NotImplementedError


class Shifting(Normed):
    """Moves every number of a matrix, those of the mask's zeros too."""

    def update(self, parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], now: Mapping[str, Tensor]):
        return parameter - now["lr"] * 0.01, moments[0]


class Lonely(Normed):
    """Leaves roles to nobody."""

    others = ""


class Forgetful(Normed):
    """Does not hand its momentum back."""

    roles, others, whole = None, "", False

    def update(self, parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], now: Mapping[str, Tensor]):
        return (parameter - now["lr"] * gradient,)


class Shrinking(Forgetful):
    """Hands back a row less."""

    def update(self, parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], now: Mapping[str, Tensor]):
        return parameter[1:], moments[0]


class Uncounted(Forgetful):
    """Says in words how much it keeps."""

    moments = "two"  # type: ignore[assignment]


class Turning(Forgetful):
    """Names another number from step 5 on."""

    def numbers(self, training: Any, step: int) -> Mapping[str, float]:
        return {"momentum" if step < 5 else "speed": 0.9}


class Wordy(Forgetful):
    """Names no numbers."""

    def numbers(self, training: Any, step: int) -> Any:
        return {"momentum": "much"}
