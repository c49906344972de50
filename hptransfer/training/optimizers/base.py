"""What an optimizer promises to the engine, to the rules and to a training loop of torch's own.

torch's optimizers take one Python number as LR, so they cannot sit inside a program that serves every trial of a shape.
An entry here updates one tensor as a function: whatever differs between trials is data. With K trials stacked, the
engine maps the function over them, so an entry never sees the leading axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from hptransfer.study.pieces import TrainingSpec

__all__ = ["Moments", "Optimizer"]

Moments = tuple[Tensor, ...]


class Optimizer(Protocol):
    """One optimizer. `hptransfer.testing.check_optimizer` holds an entry to this.

    An entry may also have `roles`, the roles it takes (without it, all), `others`, the name of the optimizer for the
    remaining ones, and `whole = True` where `update` needs each matrix as a tensor of its own (kernels as outputs ×
    inputs). Otherwise it is given sheets of many tensors below one another, so it must work number by number.
    """

    table: str
    """The table of a rule that speaks of it: `adamw`, `sgd`, or a name of its own that the study's rules have."""
    moments: int
    """How many tensors of a parameter's shape it keeps between steps. They start at zero."""

    def numbers(self, training: TrainingSpec, step: int) -> Mapping[str, float]:
        """Numbers that all tensors share at `step` (0-based), such as β₁, by name; the same names at every step."""

    def update(
        self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """New (parameter, *moments) after one step, as a pure function: no Python branch on a tensor's value.

        `now` holds `lr` (of this tensor at this step), `decay`, `eps` and what `numbers` names; each broadcasts
        against the parameter. The gradient is clipped and masked already.
        """

    def torch_optimizer(self, groups: list[dict[str, Any]], training: TrainingSpec) -> torch.optim.Optimizer:
        """The same as a torch optimizer over param groups, for the coordinate check and for loops of a user's own."""
